"""WotNot webhooks, which Swiftsell and Support Hunt sell under their own names.

https://docs.swiftsell.biz/integrations/events, https://help.wotnot.io/integrations/events

The token is documented, but not where it is, so every place it may be in is searched. One POST
carries an array of events.
"""

import re
from typing import Any

import orjson

from relay.errors import Malformed, Unauthenticated
from relay.events.event import MAX_EVENTS, NormalizedEvent, NotUnderstood
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.batches import Element, read_element, split_batch, understand_each
from relay.vendors.kit.fields import mapping, sequence
from relay.vendors.kit.request import Echo, OutgoingRequest, Request
from relay.vendors.kit.setup import Setup
from relay.vendors.parts import wotnot_tokens
from relay.vendors.parts.wotnot_events import FIELDS, TYPES, normalized

__all__ = ["ECHOES", "FIELDS", "SETUP", "TYPES", "authenticate", "handshake", "normalize", "sign"]

SETUP = Setup(
    enter="Event settings: the URL, the secret as token, and which events. Saving them calls the "
    "URL, so the relay must run and be reachable by then."
)
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
    reason = "token_missing"
    for token in wotnot_tokens.outside_body(request):
        if secrets.matches(token):
            return Echo(token=token)
        reason = "token_wrong"
    for candidate in wotnot_tokens.in_body(request):
        if secrets.matches(candidate.token):
            return candidate
        reason = "token_wrong"
    raise Unauthenticated("no live token in headers, query or body", reason)


def normalize(request: Request) -> list[NormalizedEvent | NotUnderstood]:
    """Return one event per element of `events`; none for a handshake or an empty call.

    An element may also come alone, as the quarantine keeps one that was not understood.

    Raises:
        Malformed: `not_json`, `too_deep`, `unknown_shape`, `duplicate_events`,
            `too_many_events` or `too_many_members`, where that is so of all elements.
    """
    body = raw_json.strip_bom(request.body)
    if not body:
        return []
    if only := _only_element(body):
        return [normalized(*only)]
    return understand_each(map(_without_token, _elements(body)), normalized)


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body, with the token where the one known receiver expects it."""
    headers = {"Content-Type": "application/json", "Authorization": secret}
    return OutgoingRequest(body=body, headers=headers)


def handshake(secret: str) -> OutgoingRequest:
    """Return the call made when the event settings are saved, in its likeliest form."""
    headers = {"Content-Type": "application/json"}
    return OutgoingRequest(body=orjson.dumps({"token": secret}), headers=headers)


# Cutting a delivery into its elements.


def _only_element(body: bytes) -> tuple[Any, bytes] | None:
    """Cut out the element of `{"events": [ELEMENT]}`; return None for any other body.

    What is between the brackets is one element exactly if it is one JSON value. So the element is
    parsed, and the whole delivery need not be.
    """
    start = _ONLY_EVENTS.match(body)
    inner = body[:-1].rstrip(raw_json.WHITE_SPACE)
    if not (start and body.endswith(b"}") and inner.endswith(b"]")):
        return None
    raw = inner[start.end() : -1].rstrip(raw_json.WHITE_SPACE)
    try:
        element = raw_json.parse(raw)
    except Malformed:
        return None
    return None if "token" in mapping(element) else (element, raw)


def _elements(body: bytes) -> list[Element | NotUnderstood]:
    try:
        document = raw_json.parse(body)
    except Malformed:
        rest, texts = split_batch(body, {"events"})
        if not texts:
            raise
        rest = raw_json.repair(rest)
        _array(raw_json.parse(rest), rest)  # but for its elements, it must be as any other
        return [read_element(text) for text in texts]
    if "events" not in mapping(document) and type(mapping(document).get("event")) is dict:
        return [Element(document, body, body)]
    raws = [text.encode() for text in _array(document, body)]
    events = document["events"] if raws else []
    return [Element(event, raw, raw) for event, raw in zip(events, raws, strict=True)]


def _array(document: Any, body: bytes) -> list[str]:
    """Return the texts of the elements of `events`; none for a handshake or an empty call."""
    if type(document) is not dict:
        raise Malformed("unknown_shape")
    events = document.get("events")
    if len(sequence(events)) > MAX_EVENTS:  # before they cost anything more
        raise Malformed("too_many_events")
    arrays = [part for name, part in raw_json.split_object(body.decode()) if name == "events"]
    if len(arrays) > 1:
        raise Malformed("duplicate_events")
    if document in ({}, {"events": []}) or ("token" in document and not events):
        return []  # a handshake; its token may be in a header
    if type(events) is not list or not events:
        raise Malformed("unknown_shape")
    return raw_json.split_array(arrays[0])


def _without_token(element: Element | NotUnderstood) -> Element | NotUnderstood:
    """Remove the secret that an element may carry; every other member stays as it is."""
    without = wotnot_tokens.without_token
    try:
        if isinstance(element, NotUnderstood):
            return element._replace(raw=without(element.raw))
        if "token" not in mapping(element.value):
            return element
        return element._replace(raw=without(element.raw), sent=without(element.sent))
    except Malformed as error:
        return NotUnderstood(reason=error.reason, raw=element.raw)
