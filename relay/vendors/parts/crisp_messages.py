"""What a message of Crisp says: to a customer, or among operators. Pure.

https://docs.crisp.chat/references/rtm-api/v1/#message-events
"""

from collections.abc import Mapping
from typing import Any

from relay.events.event import Data
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    as_note,
    attachment,
    contact,
    identifier,
    mapping,
    message_kind,
    sequence,
    text,
    without_empty,
)

MESSAGES: dict[str, ActorType] = {"message:send": "contact", "message:received": "agent"}
ACKNOWLEDGED = {
    "message:acknowledge:read:send": "read",
    "message:acknowledge:read:received": "read",
    "message:acknowledge:delivered": "delivered",
}
_WRITERS: dict[str | None, ActorType] = {"user": "contact", "operator": "agent"}
_FILES = ("file", "animation", "audio")

Typed = tuple[str, str, Data]  # the event's type, its detail, and the data of this type alone


def read_message(vendortype: str, data: Mapping[str, Any]) -> Typed:
    """Read a message. Notes, and what was sent by stealth, are for operators alone."""
    user = mapping(data.get("user"))
    writer = _WRITERS.get(text(data.get("from")), MESSAGES[vendortype])
    if writer == "agent" and (data.get("automated") is True or user.get("type") == "website"):
        writer = "bot"
    who = actor(writer, user.get("user_id"), name=user.get("nickname"))
    is_customer = writer == "contact"
    customer = contact(user.get("user_id"), name=user.get("nickname")) if is_customer else {}
    content = _content(text(data.get("type")) or "unknown", data)
    specific = {"contact": customer, "actor": who, "channel": _channel(data), "message": content}
    if content["kind"] == "event":  # what operators did, between the messages
        del specific["message"]
        return "unrecognized", f"{vendortype}_event", specific
    if _is_internal(data):
        return "note.created", "", specific | as_note(content)
    return "message.created", content["kind"], specific


def _is_internal(data: Mapping[str, Any]) -> bool:
    kind = (text(data.get("type")) or "").lower()
    return kind == "note" or data.get("stealth") not in (None, False)


def read_update(vendortype: str, data: Mapping[str, Any]) -> Typed:
    """Read a changed message, of which Crisp may say no type.

    Then a text may be that of a note, which is nothing for those who want messages.
    """
    kind, value = text(data.get("type")), data.get("content")
    content = _content(kind or "", data)
    if not kind:
        content.pop("kind", None)
    if _is_internal(data):
        return "note.created", "", as_note(content)
    if kind == "event" or (kind is None and not mapping(value)):
        return "unrecognized", vendortype, {}
    return "message.updated", "", {"message": content, "channel": _channel(data)}


def _content(kind: str, data: Mapping[str, Any]) -> Data:
    value = data.get("content")
    content = mapping(value)
    files = [_file(content)] if kind in _FILES or not kind else []
    return without_empty(
        id=identifier(data.get("fingerprint")),
        kind=message_kind(kind),
        text=text(value) or text(content.get("text")),
        attachments=[file for file in files if file],
        variables=_answers(content),
    )


def _file(content: Mapping[str, Any]) -> Data:
    return attachment(
        url=content.get("url"), mime_type=content.get("type"), file_name=content.get("name")
    )


def _answers(content: Mapping[str, Any]) -> list[Data]:
    """Return what a customer chose of a picker, or entered into a field."""
    name = text(content.get("id"))
    choices = map(mapping, sequence(content.get("choices")))
    values = [choice.get("value") for choice in choices if choice.get("selected") is True]
    values.append(content.get("value"))
    return [
        without_empty(name=name) | {"value": value} for value in values if value not in (None, "")
    ]


def _channel(data: Mapping[str, Any]) -> Data:
    return without_empty(type=text(data.get("origin")))


def read_acknowledgement(vendortype: str, data: Mapping[str, Any]) -> Typed:
    """Read that messages were delivered or read; of several, the ids are in `raw`."""
    fingerprints = sequence(data.get("fingerprints"))
    only = identifier(fingerprints[0]) if len(fingerprints) == 1 else None
    specific = {
        "message": without_empty(id=only),
        "status": ACKNOWLEDGED[vendortype],
        "channel": _channel(data),
    }
    return "message.status_changed", "", specific
