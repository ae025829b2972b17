"""The normalized event: one occurrence at a vendor, in words all vendors share. Pure values.

What is made for each delivery, here and in request, delivery and envelope, is a NamedTuple: frozen
like the other values, and made in a third of a frozen dataclass's time. Make it by keyword.

Which `data` each type carries is the table of "The event" in README.md. Ids are strings and
left out when unknown; no `null`, no `""`, no `{}` stands for "unknown".
"""

from typing import Any, NamedTuple

Data = dict[str, Any]

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


class NormalizedEvent(NamedTuple):
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
