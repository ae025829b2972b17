"""The outbox: events on this machine's disk until RabbitMQ has confirmed them.

One worker thread owns the database. While it commits one batch, the next forms by itself, so the
cost of an fsync is shared without a timer. This module knows nothing of HTTP or RabbitMQ.
"""

import asyncio
import contextlib
import itertools
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import structlog

from relay.errors import NotDurable, OutboxError, OutboxFull
from relay.outbox import database
from relay.outbox.database import Pending
from relay.outbox.directory import OutboxDirectory
from relay.outbox.stats import Stats, stats_of
from relay.sink import PendingDelivery, Sink

_MAX_QUEUED_BYTES = 64 * 1024 * 1024
"""Bodies waiting for a commit. At the slowest disk worth using that is some seconds of traffic."""
_MAX_FRESH_BYTES = 16 * 1024 * 1024
"""Committed rows kept in memory for the forwarder; beyond that it reads them from disk."""
_LAZY_DELETE_S = 0.05
"""How long a confirmed row may wait for a commit to ride on. Losing it costs a duplicate."""
_DELETE_AGAIN_S = 1.0
_TOO_SLOW = "The disk does not keep up with the deliveries; try again later."

log = structlog.get_logger("relay.outbox")
T = TypeVar("T")


class _Append(NamedTuple):
    rows: Sequence[Pending]
    size: int
    deliveries: Sequence[PendingDelivery]


class Outbox(Sink):
    """Append, read in order, and remove what was confirmed.

    All methods belong to the event loop's thread. `open` before use, `close` after.

    Args:
        directory: where the database lies; created if missing.
        max_bytes: bound on the database's used pages.
        committed: set whenever something was committed.
        sets_corrupt_aside: see OutboxDirectory.
    """

    def __init__(
        self,
        *,
        directory: Path,
        max_bytes: int,
        committed: asyncio.Event,
        sets_corrupt_aside: bool = True,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._place = OutboxDirectory(directory, max_bytes, sets_corrupt_aside=sets_corrupt_aside)
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # The event loop puts into these two, the worker takes out.
        self._appends: deque[_Append] = deque()
        self._confirmed: deque[int] = deque()
        self._queued_bytes = 0
        self._is_writing = False
        self._lazy_delete: asyncio.TimerHandle | None = None
        self._fresh: deque[Pending] = deque()
        self._fresh_bytes = 0
        self._next_seq = 1
        self._is_failing = False
        self._is_closed = False
        self._grown = committed

    # Opening and closing.

    async def open(self) -> None:
        """Create or open the database and take its lock.

        Raises:
            OutboxError: the directory can't be used, another process has it, or the database is
                of another version; or it is damaged and is not to be set aside.
        """
        self._loop = asyncio.get_running_loop()
        self._db = self._place.open()
        self._last_committed = database.last_seq(self._db)
        self._next_seq = self._last_committed + 1
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Commit what is queued, then release the database and its lock."""
        self._is_closed = True
        while self._is_writing or self._appends:
            await self._run(lambda: None)
        self._write()  # what was confirmed; if that fails it costs duplicates
        await self._run(lambda: None)
        if self._lazy_delete:
            self._lazy_delete.cancel()
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._place.unlock()

    # Writing.

    def append_all(self, deliveries: Sequence[PendingDelivery]) -> None:
        """Queue deliveries for the next commit, in this order and after all that was appended.

        Each is settled once its messages are on disk, or with NotDurable if nothing was stored:
        too much waits for the disk (OutboxFull), it can't be written, or the outbox is closed.
        """
        if self._is_closed:
            _settle(deliveries, NotDurable("The relay is shutting down; try again later."))
            return
        messages = [message for it in deliveries for message in it.messages]
        rows = list(map(Pending, itertools.count(self._next_seq), messages))
        size = sum(map(database.size, rows))
        if self._queued_bytes and self._queued_bytes + size > _MAX_QUEUED_BYTES:
            _settle(deliveries, OutboxFull(_TOO_SLOW))
            return
        self._next_seq += len(rows)
        self._queued_bytes += size
        self._appends.append(_Append(rows, size, deliveries))
        if not self._is_writing:
            self._write()

    def confirm(self, seqs: Iterable[int]) -> None:
        """Remove messages that RabbitMQ confirmed; soon, with a commit that happens anyway."""
        self._confirmed += seqs
        self._delete_within(_LAZY_DELETE_S)

    def _delete_within(self, delay_s: float) -> None:
        if self._lazy_delete is None:
            self._lazy_delete = self._loop.call_later(delay_s, self._write)

    def _write(self) -> None:
        """Let the worker write what is queued, unless it is at it: then it goes on by itself."""
        if self._lazy_delete:
            self._lazy_delete.cancel()
            self._lazy_delete = None
        if self._is_writing or not (self._appends or self._confirmed):
            return
        self._is_writing = True
        self._jobs.put(self._write_batch)

    # Reading.

    @property
    def last_seq(self) -> int:
        """The number of the last message that was committed, 0 when there never was one."""
        return self._last_committed

    async def pending(self, *, after: int, limit: int) -> list[Pending]:
        """Return the messages that follow `after`, in order of arrival, at most limit.

        Fresh ones come from memory. An empty list means that there are none now.

        Raises:
            OutboxError: the disk can't be read.
        """
        fresh = self._fresh
        while fresh and fresh[0].seq <= after:
            self._fresh_bytes -= database.size(fresh.popleft())
        if fresh and fresh[0].seq == after + 1:
            count = min(limit, len(fresh))
            taken = [fresh.popleft() for _ in range(count)]
            self._fresh_bytes -= sum(map(database.size, taken))
            return taken
        if after >= self._last_committed:
            return []
        return await self._read(lambda: database.read(self._db, after=after, limit=limit))

    async def fetch(self, seqs: Sequence[int]) -> list[Pending]:
        """Return the messages with these numbers that are still there, in order of arrival.

        Raises:
            OutboxError: the disk can't be read.
        """
        return await self._read(lambda: database.fetch(self._db, seqs))

    async def stats(self) -> Stats:
        """Return what is in the outbox now.

        Raises:
            OutboxError: the disk can't be read.
        """
        return await self._read(lambda: stats_of(self._db, self._max_bytes))

    async def _read(self, work: Callable[[], T]) -> T:
        try:
            return await self._run(work)
        except sqlite3.Error as error:
            raise OutboxError(f"The outbox can't be read: {error}.") from error

    async def check_writable(self) -> None:
        """Raise NotDurable unless a delivery made now would be stored.

        Costs nothing while appends succeed; after one failed, a real write is tried.
        """
        if self._queued_bytes > _MAX_QUEUED_BYTES:
            raise OutboxFull(_TOO_SLOW)
        if self._is_failing:
            await self._run(self._probe)

    # The worker thread: everything below runs there, unless it says otherwise.

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        self._db.close()

    async def _run(self, work: Callable[[], T]) -> T:
        """Do work in the worker thread and return its result. Called in the event loop."""
        done: asyncio.Future[T] = self._loop.create_future()

        def job() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  handed to whoever awaits
                self._loop.call_soon_threadsafe(_fail, done, error)
            else:
                self._loop.call_soon_threadsafe(_succeed, done, result)

        self._jobs.put(job)
        return await done

    def _write_batch(self) -> None:
        """Commit what is queued, and go on with what was queued meanwhile.

        The event loop is told, not asked: it may be busy with a whole batch of requests.
        """
        appends, confirmed = _take_all(self._appends), _take_all(self._confirmed)
        undeleted: list[int] = []
        error: Exception | None = None
        try:
            self._db = self._place.ensure_current(self._db)
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                database.insert(self._db, [row for append in appends for row in append.rows])
                database.delete(self._db, confirmed)
        except Exception as failure:  # noqa: BLE001  whatever it is, whoever waits must hear of it
            error = self._explain(failure, sum([append.size for append in appends]))
            undeleted = self._try_delete(confirmed)
        self._loop.call_soon_threadsafe(self._written, appends, undeleted, error)
        if self._appends:
            self._jobs.put(self._write_batch)  # behind whoever waits to read
        else:
            self._loop.call_soon_threadsafe(self._rest)

    def _try_delete(self, confirmed: list[int]) -> list[int]:
        """Make room although there was none for the new rows. Return what is still to delete."""
        try:
            if confirmed:
                database.delete_on_full_disk(self._db, self._directory, confirmed)
        except (OSError, sqlite3.Error):
            return confirmed
        return []

    def _explain(self, failure: Exception, needed_bytes: int) -> NotDurable:
        """Say why a write failed: SQLite calls our bound and the disk's end by one name."""
        is_full = getattr(failure, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        with contextlib.suppress(sqlite3.Error):  # a disk that can't be read is not ours to bound
            if is_full and not database.fits(self._db, needed_bytes):
                return OutboxFull(
                    f"The outbox has reached {self._max_bytes} bytes; try again later."
                )
        return NotDurable(f"The outbox can't be written ({failure}); try again later.")

    def _probe(self) -> None:
        try:
            self._db = self._place.ensure_current(self._db)
            database.probe(self._db)
        except (OSError, OutboxError, sqlite3.Error) as failure:
            raise self._explain(failure, database.PROBE_BYTES) from failure

    def _written(
        self, appends: list[_Append], undeleted: list[int], error: Exception | None
    ) -> None:
        """Tell everyone what became of a batch. Runs in the event loop, like all that follows."""
        if undeleted:
            self._confirmed += undeleted
            self._delete_within(_DELETE_AGAIN_S)
        if appends:
            self._appended(appends, error)

    def _rest(self) -> None:
        """Begin anew if something was queued after the worker last looked."""
        self._is_writing = False
        if self._appends:
            self._write()
        elif self._confirmed:
            self._delete_within(_LAZY_DELETE_S)

    def _appended(self, appends: list[_Append], error: Exception | None) -> None:
        self._queued_bytes -= sum([append.size for append in appends])
        self._note_health(error)
        if not error:
            self._last_committed = appends[-1].rows[-1].seq
            for append in appends:
                self._keep_fresh(append)
            self._grown.set()
        for append in appends:
            _settle(append.deliveries, error)

    def _keep_fresh(self, append: _Append) -> None:
        if self._fresh_bytes + append.size > _MAX_FRESH_BYTES:
            self._fresh.clear()  # the forwarder lags; it will read all of these from disk
            self._fresh_bytes = 0
            return
        self._fresh.extend(append.rows)
        self._fresh_bytes += append.size

    def _note_health(self, error: Exception | None) -> None:
        if error and not self._is_failing:
            log.error("outbox failing", reason=str(error))
        if self._is_failing and not error:
            log.info("outbox recovered")
        self._is_failing = error is not None


def _take_all(queued: deque[T]) -> list[T]:
    """Empty a queue, but for what is put into it meanwhile."""
    return [queued.popleft() for _ in range(len(queued))]


def _settle(deliveries: Iterable[PendingDelivery], error: Exception | None) -> None:
    for delivery in deliveries:
        delivery.complete(error)


def _succeed(done: asyncio.Future[T], result: T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
