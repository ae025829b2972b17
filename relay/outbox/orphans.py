"""Orphaned outboxes: when the number of workers shrinks, a remaining worker drains the others'.

An event is deleted there once it is durable here. A crash in between makes a duplicate with the
same id, never a loss. An outbox that can't be drained is logged, left alone and tried again later.
So is one whose disk hangs: each has threads of its own, for which nobody waits longer than a limit.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from functools import partial
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
_LAST_MOVE_S = 3.0
"""For what is under way at shutdown. A disk that hangs is left alone then."""
_CLOSE_S = 1.0
_LOOK_S = 2.0
"""How long a probe waits for what is in an orphaned outbox."""

log = structlog.get_logger("relay.outbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainTimes:
    """How long a drain waits, in seconds.

    Args:
        search_every_s: before it looks again for what is orphaned.
        wait_for_room_s: before it tries again when the outbox has no room.
        step_limit_s: for a step in an orphaned outbox, at most.
    """

    search_every_s: float = 300.0
    wait_for_room_s: float = 1.0
    step_limit_s: float = 10.0


_TIMES = DrainTimes()


class OrphanDrain:
    """Move the events of orphaned outboxes into one that is forwarded, then remove the files.

    Args:
        root: the directory of all outboxes of this receiver.
        worker, count: which worker this is, of how many; each drains its share.
        outbox: this worker's own, open.
        times: how long it waits for what.
    """

    def __init__(
        self,
        *,
        root: Path,
        worker: int,
        count: int,
        outbox: Outbox,
        times: DrainTimes = _TIMES,
    ) -> None:
        self._root = root
        self._worker = worker
        self._count = count
        self._outbox = outbox
        self._times = times
        self._search_thread = OwnedThread("orphan-search")
        self._look_threads: dict[Path, OwnedThread] = {}
        self._drain_threads: dict[Path, OwnedThread] = {}  # those that were left to themselves

    async def run(self) -> None:
        """Drain what is orphaned, and look again from time to time, forever."""
        while True:
            for directory in await self._orphaned():
                try:
                    await self._drain(directory)
                except (OutboxError, sqlite3.Error, OSError) as error:
                    reason = str(error) or "its disk does not answer"
                    log.error(  # noqa: TRY400  the sentence says it all
                        "orphaned outbox not drained", directory=str(directory), reason=reason
                    )
            await asyncio.sleep(self._times.search_every_s)

    async def stats(self) -> Stats:
        """Return how much is in this worker's own outbox and in those it has still to drain.

        One whose disk hangs is left out.

        Raises:
            OutboxError: the disk can't be read.
        """
        # In this order an event that moves meanwhile is counted twice rather than not at all.
        orphaned = await asyncio.gather(*map(self._look, await self._orphaned()))
        own = await self._outbox.stats()
        return outbox_stats.total([own, *filter(None, orphaned)], own.max_bytes)

    async def _orphaned(self) -> list[Path]:
        def search() -> list[Path]:
            return layout.orphaned(self._root, worker=self._worker, count=self._count)

        if self._search_thread.is_blocked:
            return []
        with contextlib.suppress(OSError):  # whatever else needs the directory reports it
            found = await self._search_thread.do_within(_LOOK_S, search)
            for drained in {*self._look_threads}.difference(found):
                del self._look_threads[drained]  # a thread that nobody refers to ends
            return found
        return []

    async def _look(self, directory: Path) -> Stats | None:
        thread = self._look_threads.setdefault(directory, OwnedThread("orphan-look"))
        if thread.is_blocked:
            return None
        with contextlib.suppress(OutboxError, TimeoutError):  # the drain logs it
            return await thread.do_within(_LOOK_S, lambda: outbox_stats.look(directory, 0))
        return None

    async def _drain(self, directory: Path) -> None:
        if directory in self._drain_threads:
            if self._drain_threads[directory].is_blocked:
                raise TimeoutError
            del self._drain_threads[directory]
        moved, limit = 0, _BATCH
        async with self._opened(directory) as orphaned:
            if orphaned is None:
                return
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

    @contextlib.asynccontextmanager
    async def _opened(self, directory: Path) -> AsyncIterator["_OrphanedOutbox | None"]:
        """Open an orphaned outbox, and keep it locked while the context is open.

        None if it is not there.
        """
        thread, resources = OwnedThread("orphaned-outbox"), contextlib.ExitStack()
        path = directory / database.FILE_NAME

        def connect() -> sqlite3.Connection | None:
            if not path.exists():
                return None
            resources.enter_context(lock(directory))
            db = database.connect(path, _UNBOUNDED_BYTES)
            return resources.enter_context(contextlib.closing(db))

        try:
            limit_s = self._times.step_limit_s
            db = await thread.do_within(limit_s, connect)
            yield _OrphanedOutbox(directory, db, thread, limit_s) if db else None
        finally:
            if thread.is_blocked:
                self._drain_threads[directory] = thread
            await thread.end(resources.close, limit_s=_CLOSE_S)

    async def _wait_for_room(self) -> None:
        """Wait until half of the outbox is free: the other half is for new deliveries."""
        while True:
            stats = await self._outbox.stats()
            if stats.used_bytes <= stats.max_bytes // 2:
                return
            await asyncio.sleep(self._times.wait_for_room_s)

    async def _move(self, rows: list[Pending], orphaned: "_OrphanedOutbox") -> int:
        """Move all of rows, or none while there is no room. Return how many."""
        try:
            await self._outbox.append([row.message for row in rows])
        except NotDurable:  # as any delivery now; the outbox itself logs why
            await asyncio.sleep(self._times.wait_for_room_s)
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


class _OrphanedOutbox:
    """An orphaned outbox that is open."""

    def __init__(
        self, directory: Path, db: sqlite3.Connection, thread: OwnedThread, limit_s: float
    ) -> None:
        self._directory = directory
        self._db = db
        self._do = partial(thread.do_within, limit_s)

    async def read(self, limit: int) -> list[Pending]:
        """Return the oldest events that are not parked, at most limit."""
        return await self._do(lambda: database.read(self._db, after=0, limit=limit))

    async def read_parked(self, limit: int) -> list[tuple[Pending, Parking]]:
        """Return the oldest events that are parked, at most limit."""
        return await self._do(lambda: self._read_parked(limit))

    def _read_parked(self, limit: int) -> list[tuple[Pending, Parking]]:
        rows = database.read_parked(self._db, limit=limit)
        parkings = parked.parkings_of(self._db, [row.seq for row in rows])
        return list(zip(rows, parkings, strict=True))

    async def delete(self, rows: list[Pending]) -> None:
        """Delete events that are durable elsewhere."""
        await self._do(lambda: self._delete([row.seq for row in rows]))

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
        await self._do(self._remove)

    def _remove(self) -> None:
        self._db.close()
        for name in (database.FILE_NAME, RESERVE_NAME, LOCK_NAME):
            (self._directory / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._directory.rmdir()
