"""What waits for a person, read from its queue in bounded steps and grouped.

Reading uses nothing up. Only one reader has a queue in hand at a time, since nobody else sees the
messages meanwhile.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import blake2b

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from consumers.kit.queues.headers import DeadLetter
from relay.cli.commands.dead import read_dead_letter
from relay.cli.quarantined_delivery import QuarantinedDelivery
from relay.console.triage.browse import browse
from relay.console.watching.queues import Connecting, QueueWatch
from relay.errors import RelayError

MAX_READ = 1000
MAX_SCANNED = 10_000
"""Messages that one look at a queue, or one action, goes through."""
_MAX_READ_BYTES = 64 * 1024 * 1024
_MAX_READ_S = 2.0
_MAX_SCAN_S = 30.0
_MAX_GROUPS = 200
_MAX_IDS = 50
_FRESH_S = 5.0
_VARYING = re.compile(r"\b[0-9a-f]{8,}\b|\d+")
"""What differs between messages with the same reason: ids, ports, durations."""

Waiting = QuarantinedDelivery | DeadLetter
"""What a message that waits says of itself."""
Messages = AsyncIterator[tuple[Waiting, AbstractIncomingMessage, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingQueue:
    """A queue of messages that wait for a person.

    Args:
        name: of the queue.
        service: whose dead letters it has; "" for the quarantine.
    """

    name: str
    service: str = ""

    async def messages(self, connection: AbstractConnection) -> Messages:
        """Yield what each message says about itself, the message, and how many there are."""
        async for total, message in browse(connection, self.name):
            waiting = read_dead_letter(message) if self.service else QuarantinedDelivery.of(message)
            yield waiting, message, total


@dataclass(slots=True, kw_only=True)
class Group:
    """Messages that wait for the same reason.

    Args:
        key: names the group in URLs.
        source: of a delivery; of dead letters the event's type.
        reason: of one of them.
        count: how many were read.
        first: when the first began to wait, seconds since 1970.
        last: when the last did.
        attempts: the most that were made for one; 0 if that does not apply.
        ids: of the first of them.
        size: of all bodies, in bytes.
    """

    key: str
    source: str
    reason: str
    count: int = 0
    first: float | None = None
    last: float | None = None
    attempts: int = 0
    ids: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, waiting: Waiting, size: int) -> None:
        """Count a message."""
        self.count += 1
        self.size += size
        at = began(waiting)
        if at is not None:
            self.first = at if self.first is None else min(at, self.first)
            self.last = at if self.last is None else max(at, self.last)
        if isinstance(waiting, DeadLetter):
            self.attempts = max(self.attempts, waiting.attempts)
        if len(self.ids) < _MAX_IDS:
            self.ids.append(waiting.id)


@dataclass(slots=True, kw_only=True)
class Reading:
    """What one look at a queue found.

    Args:
        queue: that was read.
        at: when, seconds since 1970.
        groups: by their keys; the largest first.
        read: how many messages were read.
        total: how many there are.
        problem: why it could not be read, or "" .
    """

    queue: WaitingQueue
    at: float
    groups: dict[str, Group] = field(default_factory=dict)
    read: int = 0
    total: int = 0
    problem: str = ""


def began(waiting: Waiting) -> float | None:
    """Return since when a message has waited."""
    return waiting.died_at if isinstance(waiting, DeadLetter) else waiting.received_at


def key_of(waiting: Waiting) -> str:
    """Return the key of the group that a message belongs to."""
    source = waiting.type if isinstance(waiting, DeadLetter) else waiting.source
    shape = _VARYING.sub("#", waiting.reason)
    return blake2b(f"{source}\0{shape}".encode(errors="replace"), digest_size=8).hexdigest()


class WaitingReader:
    """Reads queues, one reader at a time.

    Args:
        connecting: opens a connection.
        watch: is told which queue is in hand.
    """

    def __init__(self, connecting: Connecting, watch: QueueWatch) -> None:
        self._connecting = connecting
        self._watch = watch
        self._in_hand = asyncio.Lock()
        self._readings: dict[str, Reading] = {}

    def forget(self, name: str) -> None:
        """Read a queue anew the next time: something was done to it."""
        self._readings.pop(name, None)

    async def reading(self, queue: WaitingQueue) -> Reading:
        """Return what waits in a queue, as it was at most five seconds ago."""
        known = self._readings.get(queue.name)
        if known and 0 <= time.time() - known.at < _FRESH_S:  # less than 0: the clock was set back
            return known
        if self._in_hand.locked() and known:
            return known
        found = Reading(queue=queue, at=time.time())
        try:
            async with self.opened(queue) as connection:
                await _read(queue, connection, found)
        except (RelayError, TimeoutError) as error:
            found.problem = str(error) or "RabbitMQ did not answer in time."
        found.groups = dict(
            sorted(found.groups.items(), key=lambda item: item[1].count, reverse=True)
        )
        self._readings[queue.name] = found
        return found

    @contextlib.asynccontextmanager
    async def opened(self, queue: WaitingQueue) -> AsyncIterator[AbstractConnection]:
        """Take a queue in hand while the context is open.

        Raises:
            RelayError: somebody else has it for long, or RabbitMQ can't be reached.
        """
        try:
            async with asyncio.timeout(_MAX_READ_S * 2):
                await self._in_hand.acquire()
        except TimeoutError as error:
            raise RelayError("Another action has the queue in hand; try again soon.") from error
        try:
            self._watch.reading.add(queue.name)
            async with self._connecting() as connection:
                yield connection
        finally:
            self._watch.reading.discard(queue.name)
            self._in_hand.release()

    async def find(
        self, queue: WaitingQueue, wanted: str
    ) -> tuple[Waiting, AbstractIncomingMessage]:
        """Return the message with an id.

        Raises:
            RelayError: it is not among the first 10,000.
        """
        async with self.opened(queue) as connection, asyncio.timeout(_MAX_SCAN_S):
            scanned = 0
            async for waiting, message, _ in queue.messages(connection):
                if waiting.id == wanted:
                    return waiting, message
                scanned += 1
                if scanned == MAX_SCANNED:
                    break
        raise RelayError("This message does not wait any more, or behind 10,000 others.")


async def _read(queue: WaitingQueue, connection: AbstractConnection, found: Reading) -> None:
    until, size = time.monotonic() + _MAX_READ_S, 0
    async for waiting, message, total in queue.messages(connection):
        found.total = total
        found.read += 1
        size += len(message.body)
        key = key_of(waiting)
        group = found.groups.get(key)
        if group is None and len(found.groups) < _MAX_GROUPS:
            source = waiting.type if isinstance(waiting, DeadLetter) else waiting.source
            group = found.groups[key] = Group(key=key, source=source, reason=waiting.reason)
        if group:
            group.add(waiting, len(message.body))
        if found.read == MAX_READ or size > _MAX_READ_BYTES or time.monotonic() > until:
            break
