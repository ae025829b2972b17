"""The normalized event: one occurrence at a vendor, in words that all vendors share. Pure values.

README.md beside this file says which `data` each type carries. Ids are strings, and what is unknown
is left out: never `null`, `""` or `{}`.

Values that are made per delivery are NamedTuples, here and elsewhere: they are frozen like the
dataclasses, and made in a third of the time. Construct them by keyword.
"""

from typing import Any, Literal, NamedTuple

Data = dict[str, Any]
Identity = tuple[str, ...] | Literal["element", "delivery"]

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
        "received",
        "team_message.created",
        "unrecognized",
        "variables.updated",
    }
)
"""The shared vocabulary. A vendor that needs another word adds it here first."""

MAX_EVENTS = 10_000
"""In one delivery. No vendor is known to send a hundred at once, but 5 MiB have room for 200,000,
and each becomes a message to encode, store, publish and confirm, of 30 times its size."""


class NormalizedEvent(NamedTuple):
    """One occurrence, as a vendor's `normalize` returns it.

    Args:
        type: one of TYPES.
        vendortype: the vendor's own word for it, as sent.
        data: the normalized fields, without `raw`.
        raw: the vendor's own element, byte for byte as sent, unless it is repaired.
        detail: last part of the routing key (a message kind, an unrecognized type), or "".
        time: the vendor's clock in RFC 3339 UTC, or None when it gives none to be trusted.
        identity: what tells this occurrence from all others of its source, so that a resend is
            known by it: words of the vendor, such as an id and a version; or "element", the
            element as sent; or "delivery" if nothing does, and each delivery is another one.
        is_repaired: whether `raw` has U+FFFD in the place of surrogates that had no other half.
    """

    type: str
    vendortype: str
    data: Data
    raw: bytes
    detail: str = ""
    time: str | None = None
    identity: Identity = "element"
    is_repaired: bool = False


class NotUnderstood(NamedTuple):
    """One of several elements of a delivery, which its vendor's code does not understand.

    Args:
        reason: why; see Malformed.
        raw: the element as sent, without a token. Alone, it must be a delivery, so that it can be
            processed again.
        error: the bug in the vendor's code that it runs into, if that is why.
    """

    reason: str
    raw: bytes
    error: Exception | None = None


class IgnoredEvent(NamedTuple):
    """An event that its source's settings leave out: it has an id, and is not published."""

    id: str
