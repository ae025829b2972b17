"""Orphaned outboxes: when the number of workers shrinks, a remaining worker drains the others'.

An event is deleted there once it is durable here. A crash in between makes a duplicate with the
same id, never a loss. An outbox that can't be drained is logged, left alone and tried again later.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import structlog

from relay.errors import NotDurable, OutboxError
from relay.outbox import database, layout, parked
from relay.outbox import stats as outbox_stats
from relay.outbox.database import Pending
from relay.outbox.lock import LOCK_NAME, lock
from relay.outbox.outbox import Outbox
from relay.outbox.parked import Parking
from relay.outbox.reserve import RESERVE_NAME
from relay.outbox.stats import Stats
from relay.process.owned_thread import OwnedThread

_BATCH = 250
"""Events moved with one commit: so few that a delivery beside them hardly waits longer."""
_UNBOUNDED_BYTES = 2**43  # only deletes are written there; SQLite's own bound is 2**44

_LAST_MOVE_S = 10.0
"""For what is under way at shutdown. A disk that hangs is left alone then."""

log = structlog.get_logger("relay.outbox")


class OrphanDrain:
    """Move the events of orphaned outboxes into one that is forwarded, then remove the files.

    Args:
        root: the directory of all outboxes of this receiver.
        worker, count: which worker this is, of how many; each drains its share.
        outbox: this worker's own, open.
        wait_for_room_s: how long to wait before trying again when the outbox has no room.
    """

    def __init__(
        self,
        *,
        root: Path,
        worker: int,
        count: int,
        outbox: Outbox,
        wait_for_room_s: float = 1,
    ) -> None:
        self._root = root
        self._worker = worker
        self._count = count
        self._outbox = outbox
        self._wait_for_room_s = wait_for_room_s

    async def run(self, *, search_every_s: float = 300) -> None:
        """Drain what is orphaned, and look again from time to time, forever."""
        while True:
            for directory in self._orphaned():
                try:
                    await self._drain(directory)
                except (OutboxError, sqlite3.Error, OSError) as error:
                    reason = str(error)
                    log.error(  # noqa: TRY400  the sentence says it all
                        "orphaned outbox not drained", directory=str(directory), reason=reason
                    )
            await asyncio.sleep(search_every_s)

    async def stats(self) -> Stats:
        """Return how much is in this worker's own outbox and in those it has still to drain.

        Raises:
            OutboxError: the disk can't be read.
        """
        # In this order an event that moves meanwhile is counted twice rather than not at all.
        orphaned = [
            await asyncio.to_thread(_stats_or_none, directory) for directory in self._orphaned()
        ]
        own = await self._outbox.stats()
        return outbox_stats.total([own, *filter(None, orphaned)], own.max_bytes)

    def _orphaned(self) -> list[Path]:
        with contextlib.suppress(OSError):  # whatever else needs the directory reports it
            return layout.orphaned(self._root, worker=self._worker, count=self._count)
        return []

    async def _drain(self, directory: Path) -> None:
        moved, limit = 0, _BATCH
        async with _opened(directory) as orphaned:
            log.info("draining orphaned outbox", directory=str(directory))
            while rows := await orphaned.read(limit):
                await self._wait_for_room()
                count = await _to_the_end(self._move(rows, orphaned))
                moved += count
                limit = min(2 * limit, _BATCH) if count else max(limit // 2, 1)  # until it fits
            while parked := await orphaned.read_parked(limit):
                await self._wait_for_room()
                moved += await _to_the_end(self._move_parked(parked, orphaned))
            await orphaned.remove()
        log.info("orphaned outbox drained", directory=str(directory), messages=moved)

    async def _wait_for_room(self) -> None:
        """Wait until half of the outbox is free: the other half is for new deliveries."""
        while True:
            stats = await self._outbox.stats()
            if stats.used_bytes <= stats.max_bytes // 2:
                return
            await asyncio.sleep(self._wait_for_room_s)

    async def _move(self, rows: list[Pending], orphaned: "_OrphanedOutbox") -> int:
        """Move all of rows, or none while there is no room. Return how many."""
        try:
            await self._outbox.append([row.message for row in rows])
        except NotDurable:  # as any delivery now; the outbox itself logs why
            await asyncio.sleep(self._wait_for_room_s)
            return 0
        await orphaned.delete(rows)
        return len(rows)

    async def _move_parked(
        self, parked: list[tuple[Pending, Parking]], orphaned: "_OrphanedOutbox"
    ) -> int:
        """Move rows that stay parked. Return how many."""
        await self._outbox.append_parked([(row.message, parking) for row, parking in parked])
        await orphaned.delete([row for row, _ in parked])
        return len(parked)


async def _to_the_end(moving: Coroutine[Any, Any, int]) -> int:
    """Move rows, even if this task is cancelled: else an orderly end would make duplicates."""
    task = asyncio.ensure_future(moving)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_LAST_MOVE_S)
        raise


@contextlib.asynccontextmanager
async def _opened(directory: Path) -> AsyncIterator["_OrphanedOutbox"]:
    """Open an orphaned outbox, and keep it locked while the context is open."""
    path = directory / database.FILE_NAME
    with lock(directory):
        thread, databases = OwnedThread("orphaned-outbox"), contextlib.ExitStack()

        def connect() -> sqlite3.Connection:
            db = database.connect(path, _UNBOUNDED_BYTES)
            return databases.enter_context(contextlib.closing(db))

        try:
            yield _OrphanedOutbox(directory, await thread.do(connect), thread)
        finally:
            await thread.close(databases.close, limit_s=_LAST_MOVE_S)


class _OrphanedOutbox:
    """An orphaned outbox that is open."""

    def __init__(self, directory: Path, db: sqlite3.Connection, thread: OwnedThread) -> None:
        self._directory = directory
        self._db = db
        self._thread = thread

    async def read(self, limit: int) -> list[Pending]:
        """Return the oldest events that are not parked, at most limit."""
        return await self._thread.do(lambda: database.read(self._db, after=0, limit=limit))

    async def read_parked(self, limit: int) -> list[tuple[Pending, Parking]]:
        """Return the oldest events that are parked, at most limit."""
        return await self._thread.do(lambda: self._read_parked(limit))

    def _read_parked(self, limit: int) -> list[tuple[Pending, Parking]]:
        rows = database.read_parked(self._db, limit=limit)
        parkings = parked.parkings_of(self._db, [row.seq for row in rows])
        return list(zip(rows, parkings, strict=True))

    async def delete(self, rows: list[Pending]) -> None:
        """Delete events that are durable elsewhere."""
        await self._thread.do(lambda: self._delete([row.seq for row in rows]))

    def _delete(self, seqs: list[int]) -> None:
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                database.delete(self._db, seqs)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            database.delete_on_full_disk(self._db, self._directory, seqs)

    async def remove(self) -> None:
        """Remove the files, and the directory if nothing else is in it."""
        await self._thread.do(self._remove)

    def _remove(self) -> None:
        self._db.close()
        for name in (database.FILE_NAME, RESERVE_NAME, LOCK_NAME):
            (self._directory / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._directory.rmdir()


def _stats_or_none(directory: Path) -> Stats | None:
    with contextlib.suppress(OutboxError):  # the drain logs it
        return outbox_stats.look(directory, 0)
    return None
