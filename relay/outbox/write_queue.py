"""Deliveries that wait for a commit. The event loop queues them, the outbox's thread takes them."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from relay.errors import NotDurable
from relay.outbox.database import Pending
from relay.sink import PendingDelivery, complete_all

T = TypeVar("T")


class Append(NamedTuple):
    """Rows to insert with one commit.

    Args:
        rows: of all its deliveries.
        size_bytes: of the rows, in memory.
        deliveries: those that are not completed yet.
        queued_at: the event loop's time.
    """

    rows: Sequence[Pending]
    size_bytes: int
    deliveries: list[PendingDelivery]
    queued_at: float

    def complete(self, error: NotDurable | None) -> None:
        """Complete its deliveries, unless that is done."""
        complete_all(self.deliveries, error)
        self.deliveries.clear()


class WriteQueue:
    """What waits for a commit, in order, and what is being committed."""

    def __init__(self) -> None:
        self._queued: deque[Append] = deque()
        self._committing: list[Append] = []

    def __bool__(self) -> bool:
        return bool(self._queued)

    def add(self, append: Append) -> None:
        """Queue rows behind all others."""
        self._queued.append(append)

    def take(self) -> list[Append]:
        """Return what is queued now, which is to be committed. Called by the thread."""
        self._committing = taken = []
        for _ in range(len(self._queued)):
            taken.append(self._queued[0])  # it is always in one of the two, for `refuse`
            self._queued.popleft()
        return taken

    def oldest(self) -> float | None:
        """Return since when the delivery that has waited the longest does so."""
        return next((append.queued_at for append in self._all() if append.deliveries), None)

    def refuse(self, error: NotDurable) -> None:
        """Complete all that waits as not durable. It may be stored all the same."""
        for append in self._all():
            append.complete(error)

    def _all(self) -> Iterator[Append]:
        yield from [*self._committing, *self._queued]


def take_all(queued: deque[T]) -> list[T]:
    """Empty a queue, but for what is put into it meanwhile."""
    return [queued.popleft() for _ in range(len(queued))]
