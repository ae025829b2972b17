"""One event of a WotNot delivery.

https://docs.swiftsell.biz/integrations/events, https://help.wotnot.io/integrations/events

Timestamps have no zone and are UTC; this is inferred from the vendors' samples. Texts of bots are
HTML, and stay as they are.
"""

from collections.abc import Callable, Mapping
from typing import Any

from relay.errors import Malformed
from relay.events.event import Data, NormalizedEvent
from relay.events.timestamps import from_utc_text
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    as_note,
    identifier,
    identifier_in,
    mapping,
    message_kind,
    sequence,
    text,
    without_empty,
)

_ACTORS: dict[object, ActorType] = {
    "user": "agent",
    "bot": "bot",
    "visitor": "contact",
    "team": "team",
}
_NOTE = "note"
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
_VARIABLES = ("/event/payload/variables", "/event/payload/message/payload/variables")
_PEOPLE = (
    *("assigned_to_user", "from", "to", "changed_by", "message_by", "note_by"),
    *("action_performed_by", "closed_by", "opened_by"),
)
FIELDS = (
    # By name, or an array of them whose `value` may be anything; customers choose the names.
    *[f"{place}/*" for place in _VARIABLES],
    *[f"{place}/*/value/*" for place in (*_VARIABLES, "/event/payload/message/payload/fields")],
    # Of message statuses, whose shape is not published.
    *("/event/payload/message_id", "/event/payload/message/id", "/event/payload/message/status"),
    "/event/payload/message/text",
    *[
        f"/event/payload/{who}/{name}"
        for who in _PEOPLE
        for name in ("type", "id", "name", "email")
    ],
)

_Typed = tuple[str, str, Data]  # the event's type, its detail, and the data of this type alone


def normalized(element: object, raw: bytes) -> NormalizedEvent:
    """Return the event that an element of `events` describes.

    Raises:
        Malformed: `unknown_shape`, if the element names no type.
    """
    envelope = mapping(element)
    event = mapping(envelope.get("event"))
    vendortype = text(event.get("type"))
    if vendortype is None:
        raise Malformed("unknown_shape")
    payload = mapping(event.get("payload"))
    if normalize_payload := _PAYLOADS.get(vendortype):
        event_type, detail, specific = normalize_payload(payload)
    else:
        event_type, detail, specific = "unrecognized", vendortype, {}
    return NormalizedEvent(
        type=event_type,
        detail=detail,
        vendortype=vendortype,
        time=from_utc_text(envelope.get("timestamp")),
        data=_parties(envelope, specific),
        raw=raw,
    )


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
    kind = _ACTORS.get((text(person.get("type")) or "").lower())
    if not kind:
        return {}
    return actor(kind, person.get("id"), name=person.get("name"), email=person.get("email"))


def _conversation_create(payload: Mapping[str, Any]) -> _Typed:
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


def _message(payload: Mapping[str, Any]) -> _Typed:
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
    if kind.lower() == _NOTE:  # as a message it would be there for all who want what customers see
        return "note.created", "", specific | as_note(specific["message"])
    return "message.created", kind, specific


def _shown_text(message: Mapping[str, Any], content: Mapping[str, Any]) -> str | None:
    """Return what a person in the chat reads: a text, an answer, the title of a question."""
    candidates = (message.get("text"), *map(content.get, ("text", "body", "title", "message")))
    return next(filter(None, map(text, candidates)), None)


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
    """Return an array, whether an array of objects was sent or one object by name."""
    if not value:
        return []
    if type(value) is dict:
        return [_variable(name, {"value": member}) for name, member in value.items()]
    variables = map(mapping, sequence(value))
    return [_variable(variable.get("name"), variable) for variable in variables if variable]


def _form_answers(kind: str, content: Mapping[str, Any]) -> list[Data]:
    if kind != "form.response":
        return []
    fields = map(mapping, sequence(content.get("fields")))
    return [_variable(field.get("variable"), field) for field in fields if field]


def _variable(name: object, holder: Mapping[str, Any]) -> Data:
    described = without_empty(name=_unwrapped(name), type=text(holder.get("type")))
    return described | {"value": holder.get("value")}


def _unwrapped(name: object) -> str | None:
    """Return the variable's name without the placeholder around it: `¿·name·?` is `name`."""
    wrapped = text(name)
    return wrapped.removeprefix("¿·").removesuffix("·?") if wrapped else None


def _status(payload: Mapping[str, Any]) -> _Typed:
    status = text(payload.get("status"))
    # Only `closed_by` is documented; reopening presumably has a name of its own.
    actor_field = next((name for name in payload if name.endswith("_by")), "")
    specific = {"actor": _actor(payload.get(actor_field)), "status": status}
    event_type = _STATUSES.get((status or "").lower(), "conversation.status_changed")
    return event_type, "", specific


def _assignee_change(payload: Mapping[str, Any]) -> _Typed:
    assignment = {"from": _actor(payload.get("from")), "to": _actor(payload.get("to"))}
    specific = {
        "actor": _actor(payload.get("changed_by")),
        "assignment": without_empty(**assignment),
    }
    return "conversation.assigned", "", specific


def _variables_updated(payload: Mapping[str, Any]) -> _Typed:
    specific = {
        "actor": _actor(payload.get("action_performed_by")),
        "variables": _variables(payload.get("variables")),
    }
    return "variables.updated", "", specific


def _labels(payload: Mapping[str, Any]) -> _Typed:
    ids = [identifier_in(label, "id") for label in sequence(payload.get("labels"))]
    specific = {
        "actor": _actor(payload.get("action_performed_by")),
        "labels": [{"id": label_id} for label_id in ids if label_id],
    }
    action = (text(payload.get("action")) or "").lower()
    return _LABEL_ACTIONS.get(action, "labels.changed"), "", specific


def _note(payload: Mapping[str, Any]) -> _Typed:
    specific = {
        "actor": _actor(payload.get("note_by")),
        "note": without_empty(text=text(payload.get("note"))),
    }
    return "note.created", "", specific


def _message_status(payload: Mapping[str, Any]) -> _Typed:
    """Return the delivery status of a message. Its shape is not published, only that it exists."""
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


_PAYLOADS: dict[str, Callable[[Mapping[str, Any]], _Typed]] = {
    "conversation_create": _conversation_create,
    "message": _message,
    "status": _status,
    "assignee_change": _assignee_change,
    "variables": _variables_updated,
    "conversation_labels": _labels,
    "note": _note,
    "message_status": _message_status,
}
