"""Names on the broker: routing keys, exchanges, queues, and what is declared. Pure.

The names are a contract with consumers; see "Subscribe" in README.md.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

MAX_ROUTING_KEY_BYTES = 255
"""A short string's length is one octet (AMQP 0-9-1, 4.2.5.3)."""

_MAX_WORD = 100
_NOT_IN_WORD = re.compile(r"[^a-z0-9_]")

# RabbitMQ 4 drops a quorum queue's message after 20 deliveries unless told otherwise, and a
# person who looks at the quarantine delivers and returns. 3.x has no word for "unlimited".
UNLIMITED_DELIVERIES = 2**31 - 1

# A stream loses whole segments only, so one of the default 500 MB would make a small bound moot.
_SMALLEST_SEGMENT, _LARGEST_SEGMENT = 1_000_000, 500_000_000


def word(text: str) -> str:
    """Return text as one word of a routing key: `[a-z0-9_]`, 1 to 100 characters."""
    return _NOT_IN_WORD.sub("_", text[:_MAX_WORD].lower())[:_MAX_WORD] or "_"


@lru_cache(maxsize=4096)
def routing_key(vendor: str, event_type: str, detail: str = "") -> str:
    """Return `<vendor>.<type>[.<detail>]`, where `.` in type separates words and in detail not."""
    words = [word(vendor), *map(word, event_type.split("."))]
    if detail:
        words.append(word(detail))
    return ".".join(words)[:MAX_ROUTING_KEY_BYTES].rstrip(".")


def unrouted_exchange(exchange: str) -> str:
    """Return the alternate exchange, which gets what no binding wanted. Its queue has that name."""
    return f"{exchange}.unrouted"


def quarantine_exchange(exchange: str) -> str:
    """Return the exchange of raw deliveries nobody understood. Its queue has that name."""
    return f"{exchange}.quarantine"


def history_exchange(exchange: str) -> str:
    """Return the exchange in front of the events' that also feeds the stream of that name."""
    return f"{exchange}.history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A durable exchange."""

    name: str
    kind: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A durable queue; its type is among the arguments."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What an exchange passes on, and whether to a queue or to another exchange."""

    exchange: str
    pattern: str
    to: str
    is_to_exchange: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """What is needed on the broker, in the order of declaration."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The bounds of the stream that keeps past events: the older of its segments go first."""

    max_age_s: int
    max_bytes: int


def topology(
    exchange: str,
    *,
    unrouted_max_length: int,
    quarantine_max_length: int,
    history: History | None = None,
) -> Topology:
    """Return what the relay publishes to.

    A full queue refuses (`reject-publish`), so the relay gets a nack, counts it and keeps the
    event in its outbox; `drop-head`, the broker's default, would lose the oldest without a word.

    The history has an exchange of its own in front of the events': bound beside the consumers,
    it would be a route for every event, and none would be unrouted any more.

    Args:
        exchange: name of the events' exchange; the others are named after it.
        unrouted_max_length: messages the unrouted queue holds.
        quarantine_max_length: messages the quarantine queue holds.
        history: bounds of the history, or None when there is none.
    """
    unrouted, quarantine = unrouted_exchange(exchange), quarantine_exchange(exchange)
    exchanges = [
        Exchange(name=unrouted, kind="fanout"),
        Exchange(name=quarantine, kind="topic"),
        Exchange(name=exchange, kind="topic", arguments={"alternate-exchange": unrouted}),
    ]
    queues = [_queue(unrouted, unrouted_max_length), _queue(quarantine, quarantine_max_length)]
    bindings = [
        Binding(exchange=unrouted, pattern="", to=unrouted),
        Binding(exchange=quarantine, pattern="#", to=quarantine),
    ]
    if history:
        name = history_exchange(exchange)
        exchanges.append(Exchange(name=name, kind="topic"))
        queues.append(_stream(name, history))
        bindings += [
            Binding(exchange=name, pattern="#", to=name),
            Binding(exchange=name, pattern="#", to=exchange, is_to_exchange=True),
        ]
    return Topology(exchanges=tuple(exchanges), queues=tuple(queues), bindings=tuple(bindings))


def _queue(name: str, max_length: int) -> Queue:
    arguments = {
        "x-queue-type": "quorum",
        "x-max-length": max_length,
        "x-overflow": "reject-publish",
        "x-delivery-limit": UNLIMITED_DELIVERIES,
    }
    return Queue(name=name, arguments=arguments)


def _stream(name: str, history: History) -> Queue:
    segment_bytes = min(_LARGEST_SEGMENT, max(_SMALLEST_SEGMENT, history.max_bytes // 10))
    arguments = {
        "x-queue-type": "stream",
        "x-max-age": f"{history.max_age_s}s",
        "x-max-length-bytes": history.max_bytes,
        "x-stream-max-segment-size-bytes": segment_bytes,
    }
    return Queue(name=name, arguments=arguments)
