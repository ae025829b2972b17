"""Parked rows as the event loop sees them: see `parked`. The outbox's thread does the work."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from relay.outbox import database, parked
from relay.outbox.database import Pending
from relay.outbox.parked import DueCause, Parking
from relay.outbox.write_queue import take_all


class ParkedTable:
    """What is parked in an outbox. Every method raises OutboxError if the disk fails.

    Args:
        do: does work with the database, in the thread that owns it.
    """

    def __init__(self, do: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]) -> None:
        self._do = do
        self.added = asyncio.Event()
        """Set whenever rows were parked."""
        self._released: deque[int] = deque()

    async def park(self, parkings: Sequence[Parking], *, due: float) -> None:
        """Park rows: they are read no more. Causes that are new are to be tried when due."""
        await self.store([], parkings, due=due)

    async def store(
        self, rows: Sequence[Pending], parkings: Sequence[Parking], *, due: float
    ) -> None:
        """Insert rows that are parked from the start."""

        def store(db: sqlite3.Connection) -> None:
            with db:
                db.execute("BEGIN IMMEDIATE")
                database.insert(db, rows)
                parked.park(db, parkings, due)

        await self._do(store)
        self.added.set()

    async def shared_causes(self, limit: int) -> dict[str, str]:
        """Return the latest causes that several messages may have, each with its reason."""
        causes: dict[str, str] = await self._do(partial(parked.shared_causes, limit=limit))
        return causes

    async def is_empty(self) -> bool:
        """Return whether nothing is parked."""
        return bool(await self._do(parked.is_empty))

    async def next_due(self, now: float) -> DueCause | None:
        """Return a cause to try now, if there is one."""
        due: DueCause | None = await self._do(partial(parked.next_due, now=now))
        return due

    async def defer(self, cause: DueCause, *, due: float) -> None:
        """Note that a cause was tried, and is to be tried again when due."""
        await self._do(partial(parked.defer, cause=cause, due=due))

    async def retry_all(self) -> None:
        """Let all causes be tried now."""
        await self._do(parked.retry_all)

    async def release(self, cause: str, limit: int) -> bool:
        """Let the oldest rows of a cause be parked no longer; `take_released` returns them.

        Return whether there may be more of them.
        """

        def release(db: sqlite3.Connection) -> bool:
            seqs = parked.release(db, cause, limit)
            self._released += seqs  # also where nobody waits for it any more
            return len(seqs) == limit

        return bool(await self._do(release))

    def take_released(self) -> list[int]:
        """Return the rows that are parked no longer, each once."""
        return take_all(self._released)

    async def unpark(self, seq: int) -> None:
        """Note that a row is parked no longer."""
        await self._do(partial(parked.unpark, seq=seq))
