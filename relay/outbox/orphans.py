"""Left-over outboxes, of workers there were before: their events move into the outbox of one now.

An event is deleted there once it is durable here. A crash in between makes a duplicate of the same
id, never a loss. An outbox that can't be taken over is reported, left alone and tried again later.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import structlog

from relay.errors import NotDurable, OutboxError
from relay.outbox import database, layout
from relay.outbox import stats as outbox_stats
from relay.outbox.database import Pending
from relay.outbox.outbox import Outbox
from relay.outbox.stats import Stats

_BATCH = 250
"""Events moved with one commit: few enough that a delivery beside them hardly waits longer."""
_ROOM_AGAIN_S = 1.0
_LOOK_AGAIN_S = 300.0
_NO_BOUND_BYTES = 2**43  # nothing but deletes is written there; SQLite's own bound is 2**44

log = structlog.get_logger("relay.outbox")
T = TypeVar("T")


class OrphanDrain:
    """Empty left-over outboxes into one that is forwarded, then remove them.

    Args:
        root: the directory of all outboxes of this receiver.
        worker, count: which worker this is, of how many; each takes its part of what is left over.
        outbox: this worker's own, open.
    """

    def __init__(self, *, root: Path, worker: int, count: int, outbox: Outbox) -> None:
        self._root = root
        self._worker = worker
        self._count = count
        self._outbox = outbox

    async def run(self) -> None:
        """Take over what is left over, and look again from time to time, for ever."""
        while True:
            for directory in self._orphaned():
                try:
                    await self._take_over(directory)
                except (OutboxError, sqlite3.Error, OSError) as error:
                    reason = str(error)
                    log.error("outbox not taken over", directory=str(directory), reason=reason)  # noqa: TRY400  says it all
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def stats(self) -> Stats:
        """Return what is in this worker's own outbox and in what it has still to take over.

        Raises:
            OutboxError: the disk can't be read.
        """
        # In this order an event that moves meanwhile is seen twice rather than not at all.
        orphaned = [await asyncio.to_thread(_look, it) for it in self._orphaned()]
        own = await self._outbox.stats()
        return outbox_stats.total([own, *filter(None, orphaned)], own.max_bytes)

    def _orphaned(self) -> list[Path]:
        with contextlib.suppress(OSError):  # told by whatever else needs the directory
            return layout.orphaned(self._root, worker=self._worker, count=self._count)
        return []

    async def _take_over(self, directory: Path) -> None:
        moved, limit = 0, _BATCH
        async with _OrphanedOutbox(directory) as orphaned:
            log.info("taking outbox over", directory=str(directory))
            while rows := await orphaned.read(limit):
                await self._wait_for_room()
                moving = asyncio.ensure_future(self._move(rows, orphaned))
                try:
                    count = await asyncio.shield(moving)
                except asyncio.CancelledError:
                    await moving  # else an orderly end would make duplicates
                    raise
                moved += count
                limit = min(2 * limit, _BATCH) if count else max(limit // 2, 1)  # until it fits
            await orphaned.remove()
        log.info("outbox taken over", directory=str(directory), messages=moved)

    async def _wait_for_room(self) -> None:
        """Wait until half of the outbox is free: the other half is for new deliveries."""
        while True:
            stats = await self._outbox.stats()
            if stats.used_bytes <= stats.max_bytes // 2:
                return
            await asyncio.sleep(_ROOM_AGAIN_S)

    async def _move(self, rows: list[Pending], orphaned: "_OrphanedOutbox") -> int:
        """Move all of rows, or none while there is no room. Return how many."""
        try:
            await self._outbox.append([it.message for it in rows])
        except NotDurable:  # as any delivery now; the outbox itself tells why
            await asyncio.sleep(_ROOM_AGAIN_S)
            return 0
        await orphaned.delete(rows)
        return len(rows)


class _OrphanedOutbox:
    """A left-over outbox: locked, and read and written in a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def __aenter__(self) -> Self:
        self._lock = database.lock(self._directory)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="takeover")
        path = self._directory / database.FILE_NAME
        try:
            self._db = await self._run(lambda: database.connect(path, _NO_BOUND_BYTES))
        except BaseException:
            self._release()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._run(self._db.close)  # in its thread: whatever runs there comes first
        finally:
            self._release()

    def _release(self) -> None:
        self._thread.shutdown(wait=False)
        self._lock.close()

    async def read(self, limit: int) -> list[Pending]:
        """Return the oldest events, at most limit."""
        return await self._run(lambda: database.read(self._db, after=0, limit=limit))

    async def delete(self, rows: list[Pending]) -> None:
        """Remove events that are durable elsewhere."""
        await self._run(lambda: self._delete([it.seq for it in rows]))

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
        await self._run(self._remove)

    def _remove(self) -> None:
        self._db.close()
        for name in (database.FILE_NAME, database.RESERVE_NAME, database.LOCK_NAME):
            (self._directory / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._directory.rmdir()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _look(directory: Path) -> Stats | None:
    with contextlib.suppress(OutboxError):  # the takeover tells of it
        return outbox_stats.look(directory, 0)
    return None
