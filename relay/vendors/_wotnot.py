"""WotNot webhooks, which Swiftsell and Support Hunt sell under their own names.

https://docs.swiftsell.biz/integrations/events, https://help.wotnot.io/integrations/events

The token is documented, but not where it is, so every place it may be in is searched. One POST
carries an array of events.
"""

import re
from typing import Any

import orjson

from relay.errors import Malformed, Unauthenticated
from relay.events.event import MAX_EVENTS, NormalizedEvent
from relay.vendors import _wotnot_tokens
from relay.vendors._wotnot_events import TYPES, normalized
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.fields import mapping, sequence
from relay.vendors.kit.request import Echo, OutgoingRequest, Request

__all__ = ["ECHOES", "TYPES", "authenticate", "handshake", "normalize", "sign"]

ECHOES = True

# `{"events": [` of a delivery with nothing else in it. All deliveries ever seen begin like this.
_ONLY_EVENTS = re.compile(rb'\{[ \t\n\r]*"events"[ \t\n\r]*:[ \t\n\r]*\[[ \t\n\r]*')


def authenticate(request: Request, secrets: Secrets) -> Echo | None:
    """Raise Unauthenticated unless a live token is in the headers, the path, the query or the body.

    Returns:
        The token that WotNot wants to read in the answer, which is how it checks a new endpoint.
    """
    if not secrets.values:
        return None
    for token in _wotnot_tokens.outside_body(request):
        if secrets.matches(token):
            return Echo(token=token)
    for candidate in _wotnot_tokens.in_body(request):
        if secrets.matches(candidate.token):
            return candidate
    raise Unauthenticated("no live token in headers, query or body")


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return one event per element of `events`; none for a handshake or an empty call.

    Raises:
        Malformed: `not_json`, `too_deep`, `unknown_shape`, `duplicate_events`,
            `too_many_events` or `too_many_members`.
    """
    body = raw_json.strip_bom(request.body)
    if not body:
        return []
    elements = _only_element(body) or _elements(body)
    return [normalized(element, raw) for element, raw in elements]


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body, with the token where the one known receiver expects it."""
    headers = {"Content-Type": "application/json", "Authorization": secret}
    return OutgoingRequest(body=body, headers=headers)


def handshake(secret: str) -> OutgoingRequest:
    """Return the call made when the event settings are saved, in its likeliest form."""
    headers = {"Content-Type": "application/json"}
    return OutgoingRequest(body=orjson.dumps({"token": secret}), headers=headers)


# Cutting a delivery into its elements: (parsed value, bytes as sent).


def _only_element(body: bytes) -> list[tuple[Any, bytes]]:
    """Cut out the element of `{"events": [ELEMENT]}`; return nothing for any other body.

    What is between the brackets is one element exactly if it is one JSON value. So the element is
    parsed, and the whole delivery need not be.
    """
    start = _ONLY_EVENTS.match(body)
    inner = body[:-1].rstrip(raw_json.WHITE_SPACE)
    if not (start and body.endswith(b"}") and inner.endswith(b"]")):
        return []
    raw = inner[start.end() : -1].rstrip(raw_json.WHITE_SPACE)
    try:
        element = raw_json.parse(raw)
    except Malformed:
        return []
    return [] if "token" in mapping(element) else [(element, raw)]


def _elements(body: bytes) -> list[tuple[Any, bytes]]:
    value = raw_json.parse(body)
    if type(value) is not dict:
        raise Malformed("unknown_shape")
    if len(sequence(value.get("events"))) > MAX_EVENTS:  # before they cost anything more
        raise Malformed("too_many_events")
    arrays = [part for name, part in raw_json.split_object(body.decode()) if name == "events"]
    if len(arrays) > 1:
        raise Malformed("duplicate_events")
    events = value.get("events")
    if value in ({}, {"events": []}) or ("token" in value and not events):
        return []  # a handshake; its token may be in a header
    if type(events) is not list or not events:
        raise Malformed("unknown_shape")
    raws = raw_json.split_array(arrays[0])
    return [
        (event, (_without_token(raw) if "token" in mapping(event) else raw).encode())
        for event, raw in zip(events, raws, strict=True)
    ]


def _without_token(element: str) -> str:
    """Remove the secret that an element may carry; every other member stays as it is."""
    kept = [(name, value) for name, value in raw_json.split_object(element) if name != "token"]
    return "{" + ",".join(f"{orjson.dumps(name).decode()}:{value}" for name, value in kept) + "}"
