"""Names on the broker: routing keys, exchanges, queues, and what is declared. Pure.

Consumers bind to these names: they never change.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

MAX_ROUTING_KEY_BYTES = 255
"""A short string's length is one octet (AMQP 0-9-1, 4.2.5.3)."""

_MAX_WORD_CHARACTERS = 100
_SUFFIXES = (".unrouted", ".quarantine", ".history", ".retry")
_NOT_IN_WORD = re.compile(r"[^a-z0-9_]")

# RabbitMQ 4 drops a message of a quorum queue after 20 deliveries by default, and each look at the
# quarantine is a delivery that is returned. 3.x has no word for "unlimited".
UNLIMITED_DELIVERIES = 2**31 - 1

# A stream drops whole segments only, so a segment of the default 500 MB would defeat a small bound.
_MIN_SEGMENT_BYTES, _MAX_SEGMENT_BYTES = 1_000_000, 500_000_000

_MAX_FEED_MESSAGES, _MAX_FEED_BYTES = 10_000, 64 * 1024 * 1024


def word(text: str) -> str:
    """Return text as one word of a routing key: `[a-z0-9_]`, 1 to 100 characters."""
    return _NOT_IN_WORD.sub("_", text[:_MAX_WORD_CHARACTERS].lower())[:_MAX_WORD_CHARACTERS] or "_"


@lru_cache(maxsize=4096)
def routing_key(vendor: str, event_type: str, detail: str = "") -> str:
    """Return `<vendor>.<type>[.<detail>]`. A dot separates words in type, but not in detail."""
    words = [word(vendor), *map(word, event_type.split("."))]
    if detail:
        words.append(word(detail))
    return ".".join(words)[:MAX_ROUTING_KEY_BYTES].rstrip(".")


def unrouted_exchange(exchange: str) -> str:
    """Return the alternate exchange: events that match no binding. Its queue has the same name."""
    return f"{exchange}.unrouted"


def quarantine_exchange(exchange: str) -> str:
    """Return the exchange of deliveries nobody understood. Its queue has the same name."""
    return f"{exchange}.quarantine"


def history_exchange(exchange: str) -> str:
    """Return the exchange in front of the events'. It also feeds the stream of the same name."""
    return f"{exchange}.history"


def check_source_exchange(exchange: str) -> None:
    """Raise ValueError if the events of a source can't have an exchange of this name."""
    if exchange.startswith("amq."):
        raise ValueError("names that begin with amq. are RabbitMQ's own")
    if exchange.endswith(_SUFFIXES):
        raise ValueError(f"names that end with {', '.join(_SUFFIXES)} are those of other exchanges")


def feed_queue(token: str) -> "Queue":
    """Return the queue of a console's feed, to be declared exclusive.

    It can hold nothing back: it drops its oldest message where another queue would refuse.

    Args:
        token: unique, since the queue of a lost connection may still be there.
    """
    bounds = {"x-max-length": _MAX_FEED_MESSAGES, "x-max-length-bytes": _MAX_FEED_BYTES}
    return Queue(name=f"console.feed.{token}", arguments=bounds | {"x-overflow": "drop-head"})


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
    """The bounds of the stream that keeps past events; its oldest segments are dropped first."""

    max_age_s: int
    max_bytes: int


def topology(
    exchange: str,
    *,
    unrouted_max_length: int,
    quarantine_max_length: int,
    history: History | None = None,
    others: Sequence[str] = (),
) -> Topology:
    """Return what the relay publishes to.

    A full queue refuses messages (`reject-publish`): the relay gets a nack, counts it and keeps the
    event in its outbox. The broker's default, `drop-head`, would lose the oldest silently.

    The history has an exchange of its own in front of the events': bound beside the consumers, it
    would be a route for every event, and no event would be unrouted any more.

    Args:
        exchange: name of the events' exchange; the others are named after it.
        unrouted_max_length: messages the unrouted queue holds.
        quarantine_max_length: messages the quarantine queue holds.
        history: bounds of the history, or None for no history.
        others: names of exchanges that some sources have for themselves. Their unrouted events and
            their history are where those of all others are.
    """
    unrouted, quarantine = unrouted_exchange(exchange), quarantine_exchange(exchange)
    exchanges = [
        Exchange(name=unrouted, kind="fanout"),
        Exchange(name=quarantine, kind="topic"),
        *[
            Exchange(name=name, kind="topic", arguments={"alternate-exchange": unrouted})
            for name in (exchange, *others)
        ],
    ]
    queues = [_queue(unrouted, unrouted_max_length), _queue(quarantine, quarantine_max_length)]
    bindings = [
        Binding(exchange=unrouted, pattern="", to=unrouted),
        Binding(exchange=quarantine, pattern="#", to=quarantine),
    ]
    if history:
        stream = history_exchange(exchange)
        queues.append(_stream(stream, history))
        for events in (exchange, *others):
            name = history_exchange(events)
            exchanges.append(Exchange(name=name, kind="topic"))
            bindings += [
                Binding(exchange=name, pattern="#", to=stream),
                Binding(exchange=name, pattern="#", to=events, is_to_exchange=True),
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
    segment_bytes = min(_MAX_SEGMENT_BYTES, max(_MIN_SEGMENT_BYTES, history.max_bytes // 10))
    arguments = {
        "x-queue-type": "stream",
        "x-max-age": f"{history.max_age_s}s",
        "x-max-length-bytes": history.max_bytes,
        "x-stream-max-segment-size-bytes": segment_bytes,
    }
    return Queue(name=name, arguments=arguments)
