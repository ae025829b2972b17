"""Deliveries that wait for a commit. The event loop queues them, the outbox's thread takes them.

A commit holds up everyone behind it for as long as its bytes and rows take, some 30 ms for 10 MiB
or 10,000 rows. So what is taken for one is bounded, and large deliveries have commits of their own,
by turns with the others; several, where they hold many messages.
"""

import itertools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from relay.errors import NotDurable
from relay.events.message import Message
from relay.outbox import database
from relay.outbox.database import Pending
from relay.sink import PendingDelivery, complete_all

MAX_COMMIT_BYTES = 1024 * 1024
"""Of what is queued, for one commit; one message may be larger. It takes some 4 ms, and ordinary
traffic does not queue as much meanwhile."""
_MIN_LARGE_BYTES = 256 * 1024
"""Of a delivery. Smaller ones that come later need not wait behind it."""

T = TypeVar("T")


class Append(NamedTuple):
    """Messages to insert with one commit.

    Args:
        messages: of all its deliveries, or of a part of one.
        size_bytes: of these, in memory.
        deliveries: those that are not completed yet. The parts of a delivery share this list.
        queued_at: the event loop's time.
        is_last: whether no part follows.
    """

    messages: Sequence[Message]
    size_bytes: int
    deliveries: list[PendingDelivery]
    queued_at: float
    is_last: bool = True

    def complete(self, error: NotDurable | None) -> None:
        """Complete its deliveries, unless that is done, or parts follow and there is no error."""
        if error or self.is_last:
            complete_all(self.deliveries, error)
            self.deliveries.clear()

    def parts(self) -> list["Append"]:
        """Return what to insert with a commit each: at most MAX_COMMIT_BYTES, or one message."""
        if self.size_bytes <= MAX_COMMIT_BYTES or len(self.messages) == 1:
            return [self]
        parts: list[Append] = []
        messages: list[Message] = []
        size_bytes = 0
        for message in self.messages:
            message_bytes = database.size(message)
            if messages and size_bytes + message_bytes > MAX_COMMIT_BYTES:
                parts.append(self._replace(messages=messages, size_bytes=size_bytes, is_last=False))
                messages, size_bytes = [], 0
            messages.append(message)
            size_bytes += message_bytes
        return [*parts, self._replace(messages=messages, size_bytes=size_bytes)]


class CommitBatch(NamedTuple):
    """What is to be committed at once.

    Args:
        appends: in the order of the rows.
        rows: of all of them.
        size_bytes: of the rows, in memory.
    """

    appends: Sequence[Append]
    rows: Sequence[Pending]
    size_bytes: int

    def complete(self, error: NotDurable | None) -> None:
        """Complete all its deliveries that are stored with it, or not stored."""
        for append in self.appends:
            append.complete(error)


class WriteQueue:
    """What waits for a commit, and what is being committed. Rows are numbered when they are taken.

    Args:
        first_seq: the number of the next row.
    """

    def __init__(self, first_seq: int) -> None:
        self._seqs = itertools.count(first_seq)
        self._queued: deque[Append] = deque()
        self._large: deque[Append] = deque()
        self._committing: list[Append] = []
        self._is_large_next = False

    def __bool__(self) -> bool:
        return bool(self._queued or self._large)

    def add(self, append: Append) -> None:
        """Queue an append behind all others; a large delivery behind all that are large.

        Deliveries that arrived together are no large one, however many: they keep their order.
        """
        if append.size_bytes >= _MIN_LARGE_BYTES and len(append.deliveries) == 1:
            self._large += append.parts()
        else:
            self._queued.append(append)

    def numbered(self, messages: Sequence[Message]) -> list[Pending]:
        """Number messages in the order in which they are stored. Any thread may call it."""
        return list(map(Pending, itertools.islice(self._seqs, len(messages)), messages))

    def take(self) -> CommitBatch:
        """Return what is to be committed now, which is something if any is queued.

        Called by the thread.

        After a commit of large deliveries come those that are not, and the other way round, so
        that neither waits for more than one commit of the others.
        """
        takes_large = bool(self._large) and (self._is_large_next or not self._queued)
        queued = self._large if takes_large else self._queued
        self._is_large_next = not takes_large
        taken: list[Append] = []
        self._committing = taken
        size_bytes = 0
        for _ in range(len(queued)):
            if taken and size_bytes + queued[0].size_bytes > MAX_COMMIT_BYTES:
                break
            size_bytes += queued[0].size_bytes
            taken.append(queued[0])  # before it leaves the queue, so that `refuse` always finds it
            queued.popleft()
        messages = [message for append in taken for message in append.messages]
        return CommitBatch(taken, self.numbered(messages), size_bytes)

    def drop_rest(self, batch: CommitBatch) -> CommitBatch:
        """Drop what is queued of a delivery whose part was not stored. Called by the thread.

        Returns:
            The batch with that part, and with the bytes that were dropped added to its own.
        """
        size_bytes = batch.size_bytes
        for append in batch.appends[-1:]:
            while self._large and self._large[0].deliveries is append.deliveries:
                size_bytes += self._large.popleft().size_bytes
        return batch._replace(size_bytes=size_bytes)

    def oldest(self) -> float | None:
        """Return when the delivery was queued that has waited the longest; None if none waits."""
        return min((append.queued_at for append in self._all() if append.deliveries), default=None)

    def refuse(self, error: NotDurable, *, queued_until: float = math.inf) -> None:
        """Complete what waits since then or longer as not durable. It may be stored all the same.

        Args:
            error: why.
            queued_until: the event loop's time.
        """
        for append in self._all():
            if append.queued_at <= queued_until:
                append.complete(error)

    def _all(self) -> Iterator[Append]:
        yield from [*self._committing, *self._queued, *self._large]


def take_all(queued: deque[T]) -> list[T]:
    """Empty a queue, but for what is put into it meanwhile."""
    return [queued.popleft() for _ in range(len(queued))]
