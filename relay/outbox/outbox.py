"""The outbox: events on this machine's disk until RabbitMQ has confirmed them.

    state of a row   where it is                         what moves it on
    queued           in memory; its sender waits         commit, in the thread: with fsync
    committed        on disk; its sender has its answer  confirm, by the forwarder
    confirmed        on disk; delivered                  the next commit, at most 50 ms later
    deleted

The event loop queues and is notified; the thread owns the database (`store`):

    event loop   append_all ─▶ queue ─┐               ┌▶ _written: each delivery is completed,
                 confirm ────▶ queue ─┤               │  the forwarder is woken
    thread                            └▶ commit ──────┴▶ commit what was queued meanwhile, ...
    event loop   pending: what is recent from memory, the rest through the thread

While the thread commits one batch, the next one forms by itself, so that the cost of an fsync is
shared without a timer. A crash loses what is queued, for which nobody was answered, and what is
confirmed and not deleted, which costs a duplicate. This module knows nothing of HTTP or RabbitMQ.

A disk may hang instead of failing. After `write_timeout_s` all that is queued is completed as not
durable, and so is what is appended until the disk answers again. It may be stored all the same.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import structlog

from relay.errors import NotDurable, OutboxError, OutboxFull
from relay.events.message import Message
from relay.outbox import database
from relay.outbox.database import Pending
from relay.outbox.directory import OutboxDirectory
from relay.outbox.limits import DEFAULT_LIMITS, OutboxLimits
from relay.outbox.parked import Parking
from relay.outbox.parked_table import ParkedTable
from relay.outbox.recent import RecentRows
from relay.outbox.stats import Stats
from relay.outbox.store import CommitResult, OutboxStore
from relay.outbox.write_queue import Append, CommitBatch, WriteQueue, take_all
from relay.process.owned_thread import OwnedThread
from relay.sink import PendingDelivery, Sink, complete_all

_DELETE_WITHIN_S = 0.05
"""How long a confirmed row may wait for a commit to ride on. A crash costs a duplicate."""
_DELETE_AGAIN_S = 1.0
_TOO_SLOW = "The disk does not keep up with the deliveries; try again later."
_HANGS = "The disk does not answer; try again later."
_CLOSES = "The relay is shutting down; try again later."

log = structlog.get_logger("relay.outbox")
T = TypeVar("T")


class Outbox(Sink):
    """Append, read in order, and remove what was confirmed.

    All methods belong to the event loop. `open` before use, `close` after.

    Args:
        directory: where the database lies; created if missing.
        max_bytes: bound on the database's used pages.
        committed: set whenever something was committed.
        sets_corrupt_aside: see OutboxDirectory.
        limits: see OutboxLimits.
    """

    def __init__(
        self,
        *,
        directory: Path,
        max_bytes: int,
        committed: asyncio.Event,
        sets_corrupt_aside: bool = True,
        limits: OutboxLimits = DEFAULT_LIMITS,
    ) -> None:
        self._committed = committed
        self._write_timeout_s = limits.write_timeout_s
        self._max_queued_bytes = limits.queued_bytes
        self._keep_up_every_s = limits.keep_up_every_s
        self._max_read_bytes = limits.read_bytes
        self._store = OutboxStore(
            OutboxDirectory(
                directory,
                max_bytes=max_bytes,
                sets_corrupt_aside=sets_corrupt_aside,
                check_every_s=limits.check_file_every_s,
            ),
            max_bytes=max_bytes,
            limits=limits,
        )
        self.parked = ParkedTable(lambda work: self._read(lambda: work(self._store.db)))
        # The event loop appends to these two, the thread takes from them.
        self._queue = WriteQueue(first_seq=1)
        self._confirmed: deque[int] = deque()
        self._queued_bytes = 0
        self._recent = RecentRows(limits.recent_bytes)
        self._delete_timer: asyncio.TimerHandle | None = None
        self._hang_timer: asyncio.TimerHandle | None = None
        self._is_writing, self._writing_since = False, 0.0
        self._is_hanging = self._is_failing = self._is_closed = False

    # Opening and closing.

    async def open(self) -> None:
        """Create or open the database and take its lock.

        Raises:
            OutboxError: the directory can't be used, another process has it, or the database has
                another schema version; or it is damaged and is not to be set aside.
        """
        self._loop = asyncio.get_running_loop()
        self._last_committed = self._store.open()
        self._queue = WriteQueue(self._last_committed + 1)
        self._thread = OwnedThread("outbox")
        self._thread.repeat(self._keep_up, after_s=self._keep_up_every_s)

    async def close(self) -> None:
        """Commit what is queued, then release the database and its lock.

        A disk that hangs is left alone after `write_timeout_s`; the lock goes with the process.
        """
        self._is_closed = True
        try:
            async with asyncio.timeout(self._write_timeout_s):
                await self._finish_writing()
        except TimeoutError:
            self._note_hanging()
        for timer in (self._delete_timer, self._hang_timer):
            if timer:
                timer.cancel()
        await self._thread.close(
            self._store.close, limit_s=0.1 if self._is_hanging else self._write_timeout_s
        )

    async def _finish_writing(self) -> None:
        while self._is_writing or self._queue:
            await self._thread.do(_nothing)
        self._write()  # what was confirmed; if that fails it costs duplicates
        await self._thread.do(_nothing)

    # Writing.

    def append_all(self, deliveries: Sequence[PendingDelivery]) -> None:
        """Queue deliveries for the next commit, in this order and after all that was appended.

        A large one may be overtaken by others that are appended before it is on disk.

        Each is completed once its messages are on disk, or with NotDurable if they are not all:
        too much waits for the disk (OutboxFull), it can't be written, or the outbox is closed.
        Of a large one some may be stored all the same, and of any once a disk that hung answers.
        """
        if self._is_closed or self._is_hanging:
            complete_all(deliveries, NotDurable(_HANGS if self._is_hanging else _CLOSES))
            return
        messages = [message for delivery in deliveries for message in delivery.messages]
        size_bytes = sum(map(database.size, messages))
        if self._queued_bytes and self._queued_bytes + size_bytes > self._max_queued_bytes:
            complete_all(deliveries, OutboxFull(_TOO_SLOW))
            return
        self._queued_bytes += size_bytes
        self._queue.add(Append(messages, size_bytes, list(deliveries), self._loop.time()))
        if not self._is_writing:
            self._write()

    def confirm(self, seqs: Iterable[int]) -> None:
        """Delete messages that RabbitMQ confirmed, with the next commit."""
        self._confirmed += seqs
        self._delete_within(_DELETE_WITHIN_S)

    def _delete_within(self, delay_s: float) -> None:
        if self._delete_timer is None:
            self._delete_timer = self._loop.call_later(delay_s, self._write)

    def _write(self) -> None:
        """Let the thread write what is queued. If it is writing, it goes on by itself."""
        if self._delete_timer:
            self._delete_timer.cancel()
            self._delete_timer = None
        if self._is_writing or not (self._queue or self._confirmed):
            return
        self._is_writing = True
        self._watch_write()
        self._thread.do_later(self._write_batch)

    def _watch_write(self) -> None:
        """Note that a write begins now, and see to it that nobody waits for it too long."""
        self._writing_since = self._loop.time()
        if self._hang_timer is None:
            self._hang_timer = self._loop.call_at(self._hangs_at(), self._check_hanging)

    def _hangs_at(self) -> float:
        """Return when the time is over of the write under way, or of who has waited longest."""
        since, oldest = self._writing_since, self._queue.oldest()
        return (since if oldest is None else min(since, oldest)) + self._write_timeout_s

    def _check_hanging(self) -> None:
        self._hang_timer = None
        if not self._is_writing:
            return
        if (late := self._loop.time() - self._write_timeout_s) < self._writing_since:
            self._queue.refuse(NotDurable(_TOO_SLOW), queued_until=late)
            self._hang_timer = self._loop.call_at(self._hangs_at(), self._check_hanging)
        else:
            self._note_hanging()

    def _note_hanging(self) -> None:
        """Let nobody wait for the disk any longer; it has not answered for `write_timeout_s`."""
        self._is_hanging, error = True, NotDurable(_HANGS)
        self._note_health(error)
        self._queue.refuse(error)

    def _write_batch(self) -> None:
        """Commit what is queued, or a part of it, then the rest. Runs in the thread.

        It does not wait for the event loop, which may be busy with a whole batch of requests.
        """
        batch, confirmed = self._queue.take(), take_all(self._confirmed)
        result = self._store.commit(batch.rows, batch.size_bytes, confirmed)
        batch = self._queue.drop_rest(batch) if result.error else batch
        self._loop.call_soon_threadsafe(self._written, batch, result)
        self._store.finish_checkpoint()
        if self._queue:
            self._thread.do_later(self._write_batch)  # behind whoever waits to read
        else:
            self._loop.call_soon_threadsafe(self._stop_writing)

    def _written(self, batch: CommitBatch, result: CommitResult) -> None:
        """Act on what became of a batch. Runs in the event loop, like everything below."""
        self._is_hanging = False
        self._watch_write()
        if result.undeleted:
            self._confirmed += result.undeleted
            self._delete_within(_DELETE_AGAIN_S)
        if batch.rows:
            self._complete(batch, result.error)

    def _stop_writing(self) -> None:
        """Note that the thread is idle. Begin again if something was queued after its last look."""
        self._is_writing = False
        if self._queue:
            self._write()
        elif self._confirmed:
            self._delete_within(_DELETE_WITHIN_S)

    def _complete(self, batch: CommitBatch, error: NotDurable | None) -> None:
        self._queued_bytes -= batch.size_bytes
        self._note_health(error)
        if not error:
            self._last_committed = batch.rows[-1].seq
            self._recent.add(batch.rows, batch.size_bytes)
            self._committed.set()
        batch.complete(error)

    def _note_health(self, error: NotDurable | None) -> None:
        if error and not self._is_failing:
            log.error("outbox failing", reason=str(error))
        if self._is_failing and not error:
            log.info("outbox recovered")
        self._is_failing = error is not None

    def _keep_up(self) -> float:
        """Give back disk space. Return when to do so again. Runs in the thread."""
        return self._store.keep_up(is_idle=not (self._queue or self._confirmed))

    # Reading.

    @property
    def last_seq(self) -> int:
        """The number of the last message that was committed, 0 when there never was one."""
        return self._last_committed

    async def pending(self, *, after: int, limit: int) -> list[Pending]:
        """Return the messages that follow `after`, in order of arrival.

        They are at most limit, and of about `limits.read_bytes`. An empty list means that there
        are none now.

        Raises:
            OutboxError: the disk can't be read.
        """
        recent = self._recent.take(after=after, limit=limit, max_bytes=self._max_read_bytes)
        if recent:
            return recent
        if after >= self._last_committed:
            return []
        return await self._read(lambda: self._store.read(after=after, limit=limit))

    async def fetch(self, seqs: Sequence[int]) -> list[Pending]:
        """Return the messages with these numbers that are still there, in order of arrival.

        Raises:
            OutboxError: the disk can't be read.
        """
        return await self._read(lambda: self._store.fetch(seqs))

    async def stats(self) -> Stats:
        """Return how much is in the outbox now.

        Raises:
            OutboxError: the disk can't be read.
        """
        return await self._read(self._store.stats)

    async def append_parked(self, parked: Sequence[tuple[Message, Parking]]) -> None:
        """Store messages that stay parked, with numbers of their own.

        Raises:
            OutboxError: the disk failed. If it hangs, they may be stored all the same.
        """
        rows = self._queue.numbered([message for message, _ in parked])
        parkings = [
            parking._replace(seq=row.seq) for row, (_, parking) in zip(rows, parked, strict=True)
        ]
        await self.parked.store(rows, parkings, due=0)

    async def _read(self, work: Callable[[], T]) -> T:
        try:
            return await self._do(work)
        except (sqlite3.Error, TimeoutError) as error:
            reason = str(error) or "the disk does not answer"
            raise OutboxError(f"The outbox can't be read: {reason}.") from error

    async def _do(self, work: Callable[[], T]) -> T:
        """Do work in the thread; raise TimeoutError if the disk hangs."""
        if self._is_hanging:
            raise TimeoutError
        async with asyncio.timeout(self._write_timeout_s):
            return await self._thread.do(work)

    async def check_writable(self) -> None:
        """Raise NotDurable unless a delivery made now would be stored.

        Costs nothing while appends succeed; after one failed, something is written.
        """
        if self._queued_bytes > self._max_queued_bytes:
            raise OutboxFull(_TOO_SLOW)
        if self._is_failing:
            try:
                await self._do(self._store.check_writable)
            except TimeoutError:
                raise NotDurable(_HANGS) from None


def _nothing() -> None:
    """Do nothing, behind the work that waits."""
