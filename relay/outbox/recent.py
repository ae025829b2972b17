"""The latest committed rows, in memory: a forwarder that keeps up reads nothing from disk."""

from collections import deque
from collections.abc import Sequence

from relay.outbox import database
from relay.outbox.database import Pending


class RecentRows:
    """A gapless run of rows, at most max_bytes of them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rows: deque[Pending] = deque()
        self._bytes = 0

    def add(self, rows: Sequence[Pending], size_bytes: int) -> None:
        """Add the rows that were committed after all others. Past the bound, drop everything."""
        if self._bytes + size_bytes > self._max_bytes:
            self._rows.clear()  # the forwarder lags; it will read all of these from disk
            self._bytes = 0
            return
        self._rows.extend(rows)
        self._bytes += size_bytes

    def take(self, *, after: int, limit: int, max_bytes: int) -> list[Pending]:
        """Remove and return rows that follow `after`, if the next one is here.

        They are at most limit, and about max_bytes.
        """
        rows = self._rows
        while rows and rows[0].seq <= after:
            self._bytes -= database.size(rows.popleft().message)
        if not rows or rows[0].seq != after + 1:
            return []
        taken: list[Pending] = []
        bytes_taken = 0
        while rows and len(taken) < limit and bytes_taken < max_bytes:
            taken.append(rows.popleft())
            bytes_taken += database.size(taken[-1].message)
        self._bytes -= bytes_taken
        return taken
