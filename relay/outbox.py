"""The outbox: events on this machine's disk until RabbitMQ has confirmed them.

SQLite in WAL mode with `synchronous=FULL`: a commit that returned survives a power cut. One worker
thread owns the connection; while it commits one batch, the next forms by itself, so the cost of an
fsync is shared without a timer. This module knows nothing of HTTP or RabbitMQ.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import structlog

from relay.envelope import Message
from relay.errors import OutboxError, OutboxFull, Unavailable

SCHEMA_VERSION = 1
FILE_NAME = "outbox.db"
LOCK_NAME = "outbox.lock"

_PAGE_BYTES = 4096
_MAX_QUEUED_BYTES = 64 * 1024 * 1024
"""Bodies waiting for a commit. At the slowest disk worth using that is some seconds of traffic."""
_MAX_FRESH_BYTES = 16 * 1024 * 1024
"""Committed rows kept in memory for the forwarder; beyond that it reads them from disk."""
_MAX_READ_BYTES = 16 * 1024 * 1024
_ROW_BYTES = 1024
"""What a row takes in memory beside its body, about."""
_LAZY_DELETE_S = 0.05
"""How long a confirmed row may wait for a commit to ride on. Losing it costs a duplicate."""
_DELETE_AGAIN_S = 1.0
_EXACT_COUNT_LIMIT = 20_000
_WAL_BYTES = 64 * 1024 * 1024

_COLUMNS = "seq, id, is_quarantined, routing_key, properties, body, received_at"
_SCHEMA = f"""
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY,        -- order of arrival
    id TEXT NOT NULL,               -- event id, 32 hex digits
    is_quarantined INTEGER NOT NULL,
    routing_key TEXT NOT NULL,
    properties BLOB NOT NULL,       -- AMQP basic properties, encoded
    body BLOB NOT NULL,
    received_at REAL NOT NULL       -- seconds since 1970
);
PRAGMA user_version = {SCHEMA_VERSION};
"""

log = structlog.get_logger("relay.outbox")
T = TypeVar("T")


class Pending(NamedTuple):
    """A message in the outbox that waits for its confirm."""

    seq: int
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What is in an outbox now.

    Args:
        depth: events waiting; exact up to 20,000, beyond that at most `max_in_flight` too high.
        used_bytes: of the database file, free pages not counted.
        max_bytes: the bound.
        oldest_received_at: seconds since 1970, or None when empty.
    """

    depth: int
    used_bytes: int
    max_bytes: int
    oldest_received_at: float | None


# A batch is inserted with few statements, since each gives up the interpreter lock and must win it
# back, and of few different lengths, since each is prepared once and kept.
_INSERTS = {
    count: f"INSERT INTO outbox ({_COLUMNS}) VALUES {','.join(['(?,?,?,?,?,?,?)'] * count)}"  # noqa: S608  all constants
    for count in (256, 64, 16, 4, 1)
}


class _Append(NamedTuple):
    rows: Sequence[Pending]
    size: int
    done: asyncio.Future[None]


class Outbox:
    """Append, read in order, and remove what was confirmed.

    All methods belong to the event loop's thread. `open` before use, `close` after.

    Args:
        directory: where the database lies; created if missing.
        max_bytes: bound on the database's used pages.
        grown: set whenever something was committed.
    """

    def __init__(self, *, directory: Path, max_bytes: int, grown: asyncio.Event) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._appends: list[_Append] = []
        self._confirmed: list[int] = []
        self._queued_bytes = 0
        self._is_writing = False
        self._lazy_delete: asyncio.TimerHandle | None = None
        self._fresh: deque[Pending] = deque()
        self._fresh_bytes = 0
        self._next_seq = 1
        self._is_failing = False
        self._grown = grown

    # Opening and closing.

    async def open(self) -> None:
        """Create or open the database and take its lock.

        Raises:
            OutboxError: the directory can't be used, another process has it, or the database is
                of another version or no database.
        """
        self._loop = asyncio.get_running_loop()
        self._lock = _lock(self._directory)
        try:
            self._db = _connect(self._directory / FILE_NAME, self._max_bytes)
        except BaseException:
            self._lock.close()
            raise
        (last,) = self._db.execute("SELECT max(seq) FROM outbox").fetchone()
        self._last_committed = last or 0
        self._next_seq = self._last_committed + 1
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Commit what is queued, then release the database and its lock."""
        while self._is_writing or self._appends or self._confirmed:
            self._write()
            await self._run(lambda: None)
        if self._lazy_delete:
            self._lazy_delete.cancel()
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._lock.close()

    # Writing.

    def append(self, messages: Sequence[Message]) -> asyncio.Future[None]:
        """Queue messages for the next commit, in this order and after all that was appended.

        Returns:
            A future that is done once they are on disk. Its exception is Unavailable if they
            could not be written; then none of them was stored.

        Raises:
            OutboxFull: too much waits for the disk already; nothing was stored.
        """
        size = sum([len(message.body) for message in messages]) + _ROW_BYTES * len(messages)
        if self._queued_bytes and self._queued_bytes + size > _MAX_QUEUED_BYTES:
            raise OutboxFull("The disk does not keep up with the deliveries; try again later.")
        rows = [Pending(seq, message) for seq, message in enumerate(messages, self._next_seq)]
        self._next_seq += len(rows)
        self._queued_bytes += size
        done: asyncio.Future[None] = self._loop.create_future()
        self._appends.append(_Append(rows, size, done))
        if not self._is_writing:
            self._write()
        return done

    def confirm(self, seqs: Iterable[int]) -> None:
        """Remove messages that RabbitMQ confirmed; soon, with a commit that happens anyway."""
        self._confirmed += seqs
        self._delete_within(_LAZY_DELETE_S)

    def _delete_within(self, delay_s: float) -> None:
        if self._lazy_delete is None:
            self._lazy_delete = self._loop.call_later(delay_s, self._write)

    def _write(self) -> None:
        """Hand what is queued to the worker, unless it is busy: then _written comes back here."""
        if self._lazy_delete:
            self._lazy_delete.cancel()
            self._lazy_delete = None
        if self._is_writing or not (self._appends or self._confirmed):
            return
        self._is_writing = True
        appends, self._appends = self._appends, []
        confirmed, self._confirmed = self._confirmed, []
        self._jobs.put(lambda: self._write_batch(appends, confirmed))

    # Reading.

    @property
    def last_seq(self) -> int:
        """The number of the last message that was committed, 0 when there never was one."""
        return self._last_committed

    async def pending(self, *, after: int, limit: int) -> list[Pending]:
        """Return the messages that follow `after`, in order of arrival, at most limit.

        Fresh ones come from memory. An empty list means that there are none now.
        """
        fresh = self._fresh
        while fresh and fresh[0].seq <= after:
            self._fresh_bytes -= _size(fresh.popleft())
        if fresh and fresh[0].seq == after + 1:
            count = min(limit, len(fresh))
            taken = [fresh.popleft() for _ in range(count)]
            self._fresh_bytes -= sum(map(_size, taken))
            return taken
        if after >= self._last_committed:
            return []
        return await self._run(lambda: self._read("seq > ?", after, limit))

    async def fetch(self, seqs: Sequence[int]) -> list[Pending]:
        """Return the messages with these numbers that are still there, in order of arrival."""
        chosen = ",".join(map(str, seqs))
        return await self._run(lambda: self._read(f"seq IN ({chosen}) AND ?", 1, len(seqs)))

    async def stats(self) -> Stats:
        """Return what is in the outbox now."""
        return await self._run(lambda: _stats(self._db, self._max_bytes))

    async def check_writable(self) -> None:
        """Raise Unavailable unless a delivery made now would be stored.

        Costs nothing while appends succeed; after one failed, a real write is tried.
        """
        if self._queued_bytes > _MAX_QUEUED_BYTES:
            raise OutboxFull("The disk does not keep up with the deliveries; try again later.")
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
                self._loop.call_soon_threadsafe(_fail, [done], error)
            else:
                self._loop.call_soon_threadsafe(_succeed, done, result)

        self._jobs.put(job)
        return await done

    def _write_batch(self, appends: list[_Append], confirmed: list[int]) -> None:
        rows = [row for append in appends for row in append.rows]
        error: Exception | None = None
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                _insert(self._db, rows)
                _delete(self._db, confirmed)
        except sqlite3.Error as failure:
            error = self._explain(failure)
            confirmed = self._try_delete(confirmed)
        else:
            confirmed = []
        self._loop.call_soon_threadsafe(self._written, appends, confirmed, error)

    def _try_delete(self, confirmed: list[int]) -> list[int]:
        """Make room although there was none for the new rows. Return what is still to delete."""
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                _delete(self._db, confirmed)
        except sqlite3.Error:
            return confirmed
        return []

    def _explain(self, failure: sqlite3.Error) -> Unavailable:
        if failure.sqlite_errorcode == sqlite3.SQLITE_FULL and _is_at_bound(self._db):
            return OutboxFull(f"The outbox has reached {self._max_bytes} bytes; try again later.")
        return Unavailable(f"The outbox can't be written ({failure}); try again later.")

    def _probe(self) -> None:
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                probe = Message(
                    id="", routing_key="", properties=b"", body=b" " * _PAGE_BYTES, received_at=0
                )
                _insert(self._db, [Pending(0, probe)])
                self._db.execute("DELETE FROM outbox WHERE seq = 0")
        except sqlite3.Error as failure:
            raise self._explain(failure) from failure

    def _read(self, condition: str, value: int, limit: int) -> list[Pending]:
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM outbox WHERE {condition} ORDER BY seq LIMIT ?",  # noqa: S608
            (value, limit),
        )
        found, size = [], 0
        for row in rows:
            found.append(_pending(*row))
            size += _size(found[-1])
            if size > _MAX_READ_BYTES:
                break
        rows.close()
        return found

    def _written(
        self, appends: list[_Append], undeleted: list[int], error: Exception | None
    ) -> None:
        """Tell everyone what became of a batch. Runs in the event loop."""
        self._is_writing = False
        self._confirmed += undeleted
        if self._appends:
            self._write()
        elif self._confirmed:
            self._delete_within(_DELETE_AGAIN_S if undeleted else _LAZY_DELETE_S)
        if appends:
            self._appended(appends, error)

    def _appended(self, appends: list[_Append], error: Exception | None) -> None:
        self._queued_bytes -= sum([append.size for append in appends])
        self._note_health(error)
        if error:
            _fail([append.done for append in appends], error)
            return
        for append in appends:
            self._last_committed = append.rows[-1].seq
            self._keep_fresh(append)
            if not append.done.done():
                append.done.set_result(None)
        self._grown.set()

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


def _succeed(done: asyncio.Future[T], result: T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(futures: Iterable[asyncio.Future[Any]], error: BaseException) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)


def _lock(directory: Path) -> IO[str]:
    """Create the directory and take the lock that keeps a second process out."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (directory / LOCK_NAME).open("a+")
    except OSError as error:
        raise OutboxError(
            f"The outbox directory {directory} can't be used: {error.strerror}."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise OutboxError(
            f"The outbox {directory} is in use by another relay (process {owner}); "
            "give each relay its own outbox.directory."
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _connect(path: Path, max_bytes: int) -> sqlite3.Connection:
    try:
        # Autocommit: transactions are begun by hand. The connection moves to the worker thread.
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        db.execute(f"PRAGMA max_page_count = {max(max_bytes // _PAGE_BYTES, 16)}")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        elif version != SCHEMA_VERSION:
            raise OutboxError(
                f"The outbox {path} has schema version {version}, this relay knows "
                f"{SCHEMA_VERSION}; run the relay that wrote it until it is empty."
            )
        # A write at once, so that a read-only directory shows now and not at the first event.
        db.execute("BEGIN IMMEDIATE")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
    except sqlite3.Error as error:
        raise OutboxError(f"The outbox {path} can't be opened: {error}.") from error
    _sync_directory(path.parent)
    return db


def _sync_directory(directory: Path) -> None:
    """Make the new file's name durable, too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _insert(db: sqlite3.Connection, rows: Sequence[Pending]) -> None:
    start = 0
    for count, statement in _INSERTS.items():
        while len(rows) - start >= count:
            parameters: list[object] = []
            for seq, it in rows[start : start + count]:
                parameters += (
                    seq,
                    it.id,
                    it.is_quarantined,
                    it.routing_key,
                    it.properties,
                    it.body,
                    it.received_at,
                )
            db.execute(statement, parameters)
            start += count


def _delete(db: sqlite3.Connection, seqs: list[int]) -> None:
    """Delete by ranges: confirms come nearly in order, so there are few."""
    if not seqs:
        return
    seqs.sort()
    first = last = seqs[0]
    for seq in [*seqs[1:], -1]:
        if seq == last + 1:
            last = seq
            continue
        db.execute("DELETE FROM outbox WHERE seq BETWEEN ? AND ?", (first, last))
        first = last = seq


def _size(row: Pending) -> int:
    return len(row.message.body) + _ROW_BYTES


def _pending(  # noqa: PLR0913, PLR0917  one per column
    seq: int,
    event_id: str,
    is_quarantined: int,
    routing_key: str,
    properties: bytes,
    body: bytes,
    received_at: float,
) -> Pending:
    message = Message(
        id=event_id,
        routing_key=routing_key,
        properties=properties,
        body=body,
        received_at=received_at,
        is_quarantined=bool(is_quarantined),
    )
    return Pending(seq, message)


def _is_at_bound(db: sqlite3.Connection) -> bool:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (most,) = db.execute("PRAGMA max_page_count").fetchone()
    return bool(pages >= most)


def _stats(db: sqlite3.Connection, max_bytes: int) -> Stats:
    first, last = db.execute("SELECT min(seq), max(seq) FROM outbox").fetchone()
    depth, oldest = 0, None
    if first is not None:
        depth = last - first + 1
        if depth <= _EXACT_COUNT_LIMIT:
            (depth,) = db.execute("SELECT count(*) FROM outbox").fetchone()
        (oldest,) = db.execute("SELECT received_at FROM outbox WHERE seq = ?", (first,)).fetchone()
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    return Stats(
        depth=depth,
        used_bytes=(pages - free) * _PAGE_BYTES,
        max_bytes=max_bytes,
        oldest_received_at=oldest,
    )


def inspect(directory: Path, max_bytes: int) -> tuple[Stats, list[tuple[str, int]]]:
    """Look into an outbox from outside, while a relay may be using it.

    Returns:
        Its stats, and the routing keys in it with their number of messages, most first.

    Raises:
        OutboxError: there is none, or it can't be read.
    """
    path = directory / FILE_NAME
    if not path.exists():
        raise OutboxError(f"There is no outbox in {directory}.")
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            keys = db.execute(
                "SELECT routing_key, count(*) FROM outbox GROUP BY 1 ORDER BY 2 DESC LIMIT 100"
            ).fetchall()
            return _stats(db, max_bytes), keys
        finally:
            db.close()
    except sqlite3.Error as error:
        raise OutboxError(f"The outbox {path} can't be read: {error}.") from error


def age_s(stats: Stats, now: float | None = None) -> float:
    """Return how long the oldest message has waited, 0 when there is none."""
    if stats.oldest_received_at is None:
        return 0.0
    return max(0.0, (time.time() if now is None else now) - stats.oldest_received_at)
