"""The normalized event: one occurrence at a vendor, in words all vendors share. Pure values.

What is made for each delivery, here and in request, delivery and envelope, is a NamedTuple: frozen
like the other values, and made in a third of a frozen dataclass's time. Make it by keyword.

Which `data` each type carries is the table of "The event" in README.md. Ids are strings and
left out when unknown; no `null`, no `""`, no `{}` stands for "unknown".
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Data = dict[str, Any]
ActorType = Literal["agent", "bot", "contact", "system"]

TYPES = frozenset(
    {
        "agent.status_changed",
        "contact.deleted",
        "contact.updated",
        "conversation.accepted",
        "conversation.assigned",
        "conversation.closed",
        "conversation.created",
        "conversation.joined",
        "conversation.left",
        "conversation.missed",
        "conversation.opened",
        "conversation.rejected",
        "conversation.status_changed",
        "conversation.updated",
        "labels.added",
        "labels.changed",
        "labels.removed",
        "message.created",
        "message.status_changed",
        "message.updated",
        "note.created",
        "unrecognized",
        "variables.updated",
    }
)
"""The shared vocabulary. A vendor that needs another word adds it here first."""

MAX_EVENTS = 10_000
"""In one delivery. No vendor is known to send a hundred at once, while 5 MiB hold 200,000 that are
understood: each a message to encode, store, publish and have confirmed, 30 times its size."""


class Event(NamedTuple):
    """One occurrence, as a vendor's `normalize` understood it.

    Args:
        type: one of TYPES.
        vendortype: the vendor's own word for it, as sent.
        data: the normalized fields, without `raw`.
        raw: the vendor's own element, the bytes as they were sent.
        detail: third part of the routing key (a message kind, an unrecognized type), or "".
        time: the vendor's clock in RFC 3339 UTC, or None when it gives none to be trusted.
    """

    type: str
    vendortype: str
    data: Data
    raw: bytes
    detail: str = ""
    time: str | None = None


def identifier(value: object) -> str | None:
    """Return an id as the string it stands for, or None when there is none.

    A float is no id: a number beyond 64 bits has lost digits by then.
    """
    if type(value) is str:
        return value or None
    return str(value) if type(value) is int else None


def text(value: object) -> str | None:
    """Return a non-empty string, or None for everything else."""
    return value if type(value) is str and value else None


def identifier_in(value: object, name: str) -> str | None:
    """Return the id that an object has under name; None if it is no object or has none."""
    return identifier(value.get(name)) if type(value) is dict else None


def message_kind(value: object) -> str | None:
    """Return a vendor's message type as the kind of a message: `form.response` is form_response."""
    kind = text(value)
    return kind.replace(".", "_") if kind else None


def known(**fields: object) -> Data:
    """Return the fields that hold something: None, "", [] and {} are left out."""
    if all(fields.values()):
        return fields
    return {name: value for name, value in fields.items() if value or value is False or value == 0}


def actor(actor_type: ActorType, actor_id: object = None, **fields: object) -> Data:
    """Return who did it: `type`, and `id`, `name` and `email` where they are known."""
    return _person({"type": actor_type}, actor_id, fields)


def contact(contact_id: object, **fields: object) -> Data:
    """Return the customer: `id`, `name`, `email` and `phone` where they are known."""
    return _person({}, contact_id, fields)


def _person(found: Data, person_id: object, fields: Data) -> Data:
    if known_id := identifier(person_id):
        found["id"] = known_id
    for name, value in fields.items():
        if type(value) is str and value:
            found[name] = value
    return found


def mapping(value: object) -> Mapping[str, Any]:
    """Return value if it is a JSON object, else an empty one: vendors change types at will."""
    return value if type(value) is dict else {}


def sequence(value: object) -> list[Any]:
    """Return value if it is a JSON array, else an empty one."""
    return value if type(value) is list else []
