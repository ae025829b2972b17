"""WotNot webhooks, which Swiftsell and Support Hunt sell under their own names.

https://docs.swiftsell.biz/integrations/events, https://help.wotnot.io/integrations/events

The token is documented; where it travels is not, so it is taken from every place it may be in.
One POST carries an array of events. Timestamps are naive and UTC (inferred from their samples).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from relay.errors import Malformed, Unauthenticated
from relay.events.event import MAX_EVENTS, Data, NormalizedEvent
from relay.events.timestamps import from_utc_text
from relay.vendors import _wotnot_tokens
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    identifier,
    identifier_in,
    mapping,
    message_kind,
    sequence,
    text,
    without_empty,
)
from relay.vendors.kit.request import Echo, OutgoingRequest, Request

ECHOES = True

_ACTORS: dict[object, ActorType] = {"user": "agent", "bot": "bot", "visitor": "contact"}
_HOLDS_FILES = {"link", "payload", "items"}
_STATUSES = {
    "close": "conversation.closed",
    "closed": "conversation.closed",
    "open": "conversation.opened",
    "opened": "conversation.opened",
}
_LABEL_ACTIONS = {
    "deleted": "labels.removed",
    "removed": "labels.removed",
    "detached": "labels.removed",
    "created": "labels.added",
    "added": "labels.added",
    "attached": "labels.added",
}


TYPES = frozenset(
    {
        *("conversation.created", "conversation.assigned", "conversation.status_changed"),
        *("message.created", "message.status_changed"),
        *("note.created", "variables.updated", "labels.changed"),
        *_STATUSES.values(),
        *_LABEL_ACTIONS.values(),
    }
)


# `{"events": [` of a delivery with nothing else in it: all that were ever seen look like this.
_ONLY_EVENTS = re.compile(rb'\{[ \t\n\r]*"events"[ \t\n\r]*:[ \t\n\r]*\[[ \t\n\r]*')


def authenticate(request: Request, secrets: Secrets) -> Echo | None:
    """Raise Unauthenticated unless a live token is in the headers, the query or the body.

    Returns:
        The token to read back to WotNot, which is how it checks a new endpoint.
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
    return [_event(value, raw) for value, raw in _only_element(body) or _elements(body)]


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
    """Cut out the element of `{"events": [ELEMENT]}`; nothing for any other body.

    What is left between the brackets is one element exactly if it is one JSON value, so its
    parse is all the checking there is to do, and the only parse of the whole delivery.
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
    if len(sequence(value.get("events"))) > MAX_EVENTS:  # before any of them costs anything more
        raise Malformed("too_many_events")
    arrays = [part for name, part in raw_json.split_object(body.decode()) if name == "events"]
    if len(arrays) > 1:
        raise Malformed("duplicate_events")
    events = value.get("events")
    if value in ({}, {"events": []}) or ("token" in value and not events):
        return []  # a handshake, its token maybe in a header
    if type(events) is not list or not events:
        raise Malformed("unknown_shape")
    raws = raw_json.split_array(arrays[0])
    return [
        (event, (_without_token(raw) if "token" in mapping(event) else raw).encode())
        for event, raw in zip(events, raws, strict=True)
    ]


def _without_token(element: str) -> str:
    """Remove the secret that may travel in an element; every other member stays as it is."""
    kept = [(name, value) for name, value in raw_json.split_object(element) if name != "token"]
    return "{" + ",".join(f"{orjson.dumps(name).decode()}:{value}" for name, value in kept) + "}"


# Normalizing one element.


def _event(element: object, raw: bytes) -> NormalizedEvent:
    envelope = mapping(element)
    event = mapping(envelope.get("event"))
    vendortype = text(event.get("type"))
    if vendortype is None:
        raise Malformed("unknown_shape")
    payload = mapping(event.get("payload"))
    understand = _EVENTS.get(vendortype, _unrecognized)
    event_type, detail, specific = understand(payload, vendortype)
    return NormalizedEvent(
        type=event_type,
        detail=detail,
        vendortype=vendortype,
        time=from_utc_text(envelope.get("timestamp")),
        data=_parties(envelope, specific),
        raw=raw,
    )


ProcessedDelivery = tuple[str, str, Data]  # event type, detail, data of this type alone


def _parties(envelope: Mapping[str, Any], specific: Data) -> Data:
    account = mapping(envelope.get("account"))
    conversation = without_empty(id=identifier_in(envelope.get("conversation"), "key"))
    return without_empty(
        conversation=conversation | specific.pop("conversation", {}),
        contact=without_empty(id=identifier_in(envelope.get("visitor"), "key")),
        account=without_empty(
            id=identifier(account.get("id")), bot_id=identifier_in(account.get("bot"), "id")
        ),
        **specific,
    )


def _actor(value: object) -> Data:
    person = mapping(value)
    kind = _ACTORS.get(text(person.get("type")))
    return actor(kind, person.get("id"), email=person.get("email")) if kind else {}


def _conversation_create(payload: Mapping[str, Any], _: str) -> ProcessedDelivery:
    specific = {
        "conversation": without_empty(
            title=text(payload.get("title")),
            created_at=from_utc_text(payload.get("created_at")),
        ),
        "channel": without_empty(id=identifier_in(payload.get("channel"), "name")),
        "assignment": without_empty(to=_actor(payload.get("assigned_to_user"))),
        "variables": _variables(payload.get("variables")),
    }
    return "conversation.created", "", specific


def _message(payload: Mapping[str, Any], _: str) -> ProcessedDelivery:
    message = mapping(payload.get("message"))
    content = mapping(message.get("payload"))
    kind = text(message.get("type")) or "unknown"
    specific = {
        "actor": _actor(payload.get("message_by")),
        "message": without_empty(
            id=identifier(message.get("id")),
            kind=message_kind(kind),
            text=_shown_text(message, content),
            attachments=_attachments(content),
            variables=_variables(content.get("variables")) or _form_answers(kind, content),
        ),
    }
    return "message.created", kind, specific


def _shown_text(message: Mapping[str, Any], content: Mapping[str, Any]) -> str | None:
    """Return what a person in the chat reads: a text, an answer, a question's title."""
    for value in (message.get("text"), *map(content.get, ("text", "body", "title", "message"))):
        if found := text(value):
            return found
    return None


def _attachments(content: Mapping[str, Any]) -> list[Data]:
    if _HOLDS_FILES.isdisjoint(content):
        return []
    files = [content, mapping(content.get("payload"))]  # file_upload.response nests its file
    links = [(file.get("link"), file) for file in files]
    links += [(mapping(item).get("image"), {}) for item in sequence(content.get("items"))]
    return [
        without_empty(
            url=url,
            mime_type=text(file.get("mime_type")),
            file_name=text(file.get("file_name")),
        )
        for url, file in links
        if text(url)
    ]


def _variables(value: object) -> list[Data]:
    """Return one array whatever was sent: an array of objects, or an object by name."""
    if not value:
        return []
    if type(value) is dict:
        return [without_empty(name=_unwrapped(name)) | {"value": it} for name, it in value.items()]
    return [_variable(it, it.get("name")) for it in map(mapping, sequence(value)) if it]


def _form_answers(kind: str, content: Mapping[str, Any]) -> list[Data]:
    if kind != "form.response":
        return []
    fields = map(mapping, sequence(content.get("fields")))
    return [_variable(field, field.get("variable")) for field in fields if field]


def _variable(it: Mapping[str, Any], name: object) -> Data:
    return without_empty(name=_unwrapped(name), type=text(it.get("type"))) | {
        "value": it.get("value")
    }


def _unwrapped(name: object) -> str | None:
    """Remove the placeholder's wrapper: `¿·name·?` stands for the variable `name`."""
    found = text(name)
    return found.removeprefix("¿·").removesuffix("·?") if found else None


def _status(payload: Mapping[str, Any], _: str) -> ProcessedDelivery:
    status = text(payload.get("status"))
    by = next((name for name in payload if name.endswith("_by")), "")  # closed_by; others unseen
    specific = {"actor": _actor(payload.get(by)), "status": status}
    event_type = _STATUSES.get((status or "").lower(), "conversation.status_changed")
    return event_type, "", specific


def _assignee_change(payload: Mapping[str, Any], _: str) -> ProcessedDelivery:
    assignment = {"from": _actor(payload.get("from")), "to": _actor(payload.get("to"))}
    specific = {
        "actor": _actor(payload.get("changed_by")),
        "assignment": without_empty(**assignment),
    }
    return "conversation.assigned", "", specific


def _variables_updated(payload: Mapping[str, Any], _: str) -> ProcessedDelivery:
    specific = {
        "actor": _actor(payload.get("action_performed_by")),
        "variables": _variables(payload.get("variables")),
    }
    return "variables.updated", "", specific


def _labels(payload: Mapping[str, Any], _: str) -> ProcessedDelivery:
    ids = [identifier_in(label, "id") for label in sequence(payload.get("labels"))]
    specific = {
        "actor": _actor(payload.get("action_performed_by")),
        "labels": [{"id": it} for it in ids if it],
    }
    action = (text(payload.get("action")) or "").lower()
    return _LABEL_ACTIONS.get(action, "labels.changed"), "", specific


def _note(payload: Mapping[str, Any], _: str) -> ProcessedDelivery:
    specific = {
        "actor": _actor(payload.get("note_by")),
        "note": without_empty(text=text(payload.get("note"))),
    }
    return "note.created", "", specific


def _message_status(payload: Mapping[str, Any], _: str) -> ProcessedDelivery:
    """Understand the delivery status of a message; its shape is not published."""
    message = mapping(payload.get("message"))
    status = text(payload.get("status")) or text(message.get("status"))
    specific = {
        "message": without_empty(
            id=identifier(payload.get("message_id")) or identifier(message.get("id")),
            kind=message_kind(message.get("type")),
        ),
        "status": status,
    }
    return "message.status_changed", "", specific


def _unrecognized(_: Mapping[str, Any], vendortype: str) -> ProcessedDelivery:
    return "unrecognized", vendortype, {}


_EVENTS: dict[str, Callable[[Mapping[str, Any], str], ProcessedDelivery]] = {
    "conversation_create": _conversation_create,
    "message": _message,
    "status": _status,
    "assignee_change": _assignee_change,
    "variables": _variables_updated,
    "conversation_labels": _labels,
    "note": _note,
    "message_status": _message_status,
}
