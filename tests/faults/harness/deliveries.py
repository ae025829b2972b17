"""What is sent: every delivery follows from the seed and its number alone. Pure.

Each event carries a mark that no relay takes away, so that it can be told apart wherever it turns
up, also in a quarantined body, in an outbox, or where it has no business to be.
"""

import random
import re
from dataclasses import dataclass

from relay import vendors
from tests.faults.harness.journal import Kind, Poison

BODY_LIMIT_BYTES = 32 * 1024
_HUGE_BYTES = BODY_LIMIT_BYTES + 1
_MARK = re.compile(rb"fault-(\d+)-(\d+)-")
# Of a thousand deliveries. Most are what they should be; the others must not get lost among them.
_ODD, _FORGED, _HUGE, _POISONED, _BATCHES = 20, 10, 5, 10, 100
_MAX_EVENTS = 4
_MAX_BATCH_EVENTS = 60
"""Of a delivery in which a vendor sends what it has gathered. All must be kept, or none."""
_TWICE_OF_THOUSAND = 30
_POISONED_FROM = _ODD + _FORGED + _HUGE
_BATCHES_FROM = _POISONED_FROM + _POISONED
_LARGE_BYTES = 15_000  # it is in the event twice: as it was sent, and normalized
MAX_INNOCENT_BYTES = 10_000
"""Of a message that is not poisoned by its size, at most."""
_FORBIDDEN_KINDS = 40
"""More than the routing keys of which a channel of RabbitMQ remembers that they are permitted."""
_LONG_WORD_BYTES = 190
INNOCENT_KEYS = r"\.text$"
"""Matches the routing keys of all events that are not poisoned by theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A delivery before it is sent."""

    number: int
    conversation: str
    kind: Kind
    times: int  # how often it is sent: vendors repeat themselves
    request: bytes


def _template() -> tuple[bytes, bytes, bytes]:
    """Return the documented message, cut where the text and the conversation go."""
    body = vendors.samples("swiftsell")[1].read_bytes()
    element = body[body.index(b"[") + 1 : body.rindex(b"]")].strip()
    before, rest = element.split(b"Hiiiii", 1)
    between, after = rest.split(b"42bb83f00d8240e5bb41290a12eb44401693552452", 1)
    return before, between, after


_BEFORE, _BETWEEN, _AFTER = _template()


def mark(number: int, index: int) -> bytes:
    return b"fault-%d-%d-" % (number, index)


def mark_in(body: bytes) -> tuple[int, int] | None:
    """Return number and index of the event in body, None if it is none of ours."""
    found = _MARK.search(body)
    return (int(found[1]), int(found[2])) if found else None


def _element(number: int, index: int, conversation: str, poison: Poison) -> bytes:
    text = mark(number, index)
    if poison == "large":
        text += b"x" * _LARGE_BYTES
    element = _BEFORE + text + _BETWEEN + conversation.encode() + _AFTER
    if poison in {"forbidden", "unnamed"}:
        word = b"x" * _LONG_WORD_BYTES if poison == "unnamed" else b"forbidden"
        return element.replace(b'"text"', b'"%b_%d"' % (word, number % _FORBIDDEN_KINDS))
    return element


def body_of_one(number: int, conversation: str) -> bytes:
    """Return a delivery of one event, as it should be."""
    return b'{"events": [' + _element(number, 0, conversation, "") + b"]}"


def plan(
    seed: int, number: int, *, sender: int, conversations: int, secret: str, poison: Poison = ""
) -> Planned:
    """Return the delivery of that number, by a sender that has so many conversations."""
    lot = random.Random(seed * 1_000_003 + number)  # noqa: S311  reproducible, not secret
    draw = lot.randrange(1000)
    conversation = f"{sender}-{lot.randrange(conversations)}"
    kind: Kind = "good"
    if poison and _POISONED_FROM <= draw < _POISONED_FROM + _POISONED:
        kind = "poisoned"
    is_batch = _BATCHES_FROM <= draw < _BATCHES_FROM + _BATCHES
    elements = [
        _element(number, index, conversation, poison if kind == "poisoned" and not index else "")
        for index in range(lot.randint(1, _MAX_BATCH_EVENTS if is_batch else _MAX_EVENTS))
    ]
    body = b'{"events": [' + b",".join(elements) + b"]}"
    if draw < _ODD:
        kind, body = "odd", b"{broken " + mark(number, 0)
    elif draw < _ODD + _FORGED:
        kind = "forged"
    elif draw < _ODD + _FORGED + _HUGE:
        kind, body = "huge", body.ljust(_HUGE_BYTES)
    return Planned(
        number=number,
        conversation=conversation,
        kind=kind,
        times=2 if lot.randrange(1000) < _TWICE_OF_THOUSAND else 1,
        request=_request(body, "forged" if kind == "forged" else secret),
    )


def _request(body: bytes, secret: str) -> bytes:
    head = (
        "POST /in/swiftsell HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n"
        f"Authorization: {secret}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
