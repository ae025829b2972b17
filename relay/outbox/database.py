"""The outbox's database: SQLite, one table. Plain functions, called in the outbox's worker thread.

WAL mode with `synchronous=FULL`: a commit that returned survives a power cut.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from relay.errors import OutboxCorrupt, OutboxError
from relay.events.message import Message
from relay.outbox.files import sync_directory

SCHEMA_VERSION = 1
FILE_NAME = "outbox.db"
LOCK_NAME = "outbox.lock"
RESERVE_NAME = "outbox.reserve"
PAGE_BYTES = 4096
ROW_BYTES = 1024
"""What a row takes in memory beside its body, about."""

_RESERVE_BYTES = 8 * 1024 * 1024
"""Two automatic checkpoints' worth of write-ahead log: enough to delete with on a full disk."""
_LOG_BYTES = 4 * 1024 * 1024  # what the log grows to before its automatic checkpoint
_ROWS_PER_CHECKPOINT = 500
_MAX_READ_BYTES = 16 * 1024 * 1024
_SPARE_PAGES = 8
PROBE_BYTES = 64 * 1024
"""MemoryBudget for a delivery of ordinary size; with less, the outbox is as good as full."""
_WAL_BYTES = 64 * 1024 * 1024
_CHECKED_BYTES = 128 * 1024 * 1024
"""Up to here a database is read as a whole at the start: a tenth of a second, if it is cached."""
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_COLUMNS = ", ".join(("seq", *Message._fields))
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


class Pending(NamedTuple):
    """A message in the outbox that waits for its confirm."""

    seq: int
    message: Message


# A batch is inserted with few statements, since each gives up the interpreter lock and must win it
# back, and of few different lengths, since each is prepared once and kept.
_INSERTS = {
    count: f"INSERT INTO outbox ({_COLUMNS}) VALUES {','.join(['(?,?,?,?,?,?,?)'] * count)}"  # noqa: S608  all constants
    for count in (256, 64, 16, 4, 1)
}


def lock(directory: Path) -> IO[str]:
    """Create the directory and take the lock that keeps a second process out.

    Raises:
        OutboxError: the directory can't be used, or another process has the lock.
    """
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
    with contextlib.suppress(OSError):  # the number only helps a person; the disk may be full
        os.truncate(lock.fileno(), 0)
        os.write(lock.fileno(), str(os.getpid()).encode())
    return lock


def connect(path: Path, max_bytes: int) -> sqlite3.Connection:
    """Open or create the database.

    Raises:
        OutboxCorrupt: it is damaged, or no database.
        OutboxError: it can't be written, or is of another version.
    """
    try:
        # Autocommit: transactions are begun by hand. The connection moves to the worker thread.
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise OutboxError(f"The outbox {path} can't be opened: {error}.") from error
    try:
        _prepare(db, path, max_bytes)
    except (OSError, sqlite3.Error) as error:
        db.close()
        kind = OutboxCorrupt if _is_corrupt(error) else OutboxError
        raise kind(f"The outbox {path} can't be opened: {error}.") from error
    except OutboxError:
        db.close()
        raise
    return db


def _is_corrupt(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def _prepare(db: sqlite3.Connection, path: Path, max_bytes: int) -> None:
    """Set up the connection and, in a new file, the table."""
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    # Debian's SQLite writes zeros over all that is deleted, which is each event once more.
    db.execute("PRAGMA secure_delete = FAST")
    db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    db.execute(f"PRAGMA max_page_count = {max(max_bytes // PAGE_BYTES, 16)}")
    _check_whole(db, path)
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    elif version != SCHEMA_VERSION:
        raise OutboxError(
            f"The outbox {path} has schema version {version}, this relay knows "
            f"{SCHEMA_VERSION}; run the relay that wrote it until it is empty."
        )
    _check_writable(db)
    last_seq(db)
    keep_reserve(path.parent)
    sync_directory(path.parent)


def last_seq(db: sqlite3.Connection) -> int:
    """Return the number of the last row, 0 when there is none."""
    (last,) = db.execute("SELECT max(seq) FROM outbox").fetchone()
    return last or 0


def _check_writable(db: sqlite3.Connection) -> None:
    """Write at once, so that a read-only file shows now and not at the first event.

    A full disk is let through: what is in the outbox can be delivered, and that makes room.
    """
    try:
        with db:
            db.execute("BEGIN IMMEDIATE")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise


def _check_whole(db: sqlite3.Connection, path: Path) -> None:
    """Raise OutboxCorrupt if a page is damaged, as far as the start has time to look."""
    if path.stat().st_size <= _CHECKED_BYTES:
        (finding,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise OutboxCorrupt(f"The outbox {path} is corrupt: {' '.join(finding.split())}.")


def insert(db: sqlite3.Connection, rows: Sequence[Pending]) -> None:
    """Insert rows, within the caller's transaction."""
    start = 0
    for count, statement in _INSERTS.items():
        while len(rows) - start >= count:
            parameters: list[object] = []
            for seq, it in rows[start : start + count]:
                parameters.append(seq)
                parameters += it
            db.execute(statement, parameters)
            start += count


def delete(db: sqlite3.Connection, seqs: list[int]) -> None:
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


def keep_reserve(directory: Path) -> None:
    """Set aside disk space for delete_on_full_disk, if enough is left for the log beside it."""
    path = directory / RESERVE_NAME
    try:
        disk = os.statvfs(directory)
        if path.exists() or disk.f_bavail * disk.f_frsize < _RESERVE_BYTES + _LOG_BYTES:
            return
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)
    except OSError:
        path.unlink(missing_ok=True)


def delete_on_full_disk(db: sqlite3.Connection, directory: Path, seqs: list[int]) -> None:
    """Delete rows although nothing can be written, by giving up the reserve for it.

    Even a delete writes to the log first. Without this, an outbox that filled its own disk
    could deliver everything and would stay full.

    Raises:
        OSError, sqlite3.Error: even that was not enough; some rows may be deleted.
    """
    (directory / RESERVE_NAME).unlink(missing_ok=True)
    for start in range(0, len(seqs), _ROWS_PER_CHECKPOINT):
        with db:
            db.execute("BEGIN IMMEDIATE")
            delete(db, seqs[start : start + _ROWS_PER_CHECKPOINT])
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    keep_reserve(directory)


def size(row: Pending) -> int:
    """Return what a row takes in memory, about, in bytes."""
    return len(row.message.body) + ROW_BYTES


def read(db: sqlite3.Connection, *, after: int, limit: int) -> list[Pending]:
    """Return at most limit rows that follow `after`, and not much more than 16 MiB of them."""
    return _bounded(
        db.execute(
            f"SELECT {_COLUMNS} FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608  constants
            (after, limit),
        )
    )


def fetch(db: sqlite3.Connection, seqs: Sequence[int]) -> list[Pending]:
    """Return the rows of these numbers that are there, in order, bounded like read."""
    chosen = ",".join(map(str, seqs))
    return _bounded(
        db.execute(f"SELECT {_COLUMNS} FROM outbox WHERE seq IN ({chosen}) ORDER BY seq")  # noqa: S608  numbers
    )


def _bounded(rows: sqlite3.Cursor) -> list[Pending]:
    found, bytes_read = [], 0
    for row in rows:
        found.append(_pending(*row))
        bytes_read += size(found[-1])
        if bytes_read > _MAX_READ_BYTES:
            break
    rows.close()
    return found


def probe(db: sqlite3.Connection) -> None:
    """Write a row and take it back, to see whether writing works."""
    body = b" " * PROBE_BYTES
    message = Message(id="", routing_key="", properties=b"", body=body, received_at=0)
    with db:
        db.execute("BEGIN IMMEDIATE")
        insert(db, [Pending(0, message)])
        db.execute("DELETE FROM outbox WHERE seq = 0")


def _pending(seq: int, *columns: Any) -> Pending:
    return Pending(seq, Message._make(columns))


def fits(db: sqlite3.Connection, needed_bytes: int) -> bool:
    """Tell whether the bound leaves room for so much, with what a few rows take beside it."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (most,) = db.execute("PRAGMA max_page_count").fetchone()
    return bool((most - pages + free - _SPARE_PAGES) * PAGE_BYTES > needed_bytes)
