"""The outbox's database: SQLite, one table. Plain functions on a connection; all of them block.

WAL mode with `synchronous=FULL`: a commit that returned survives a power cut.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from relay.errors import OutboxCorrupt, OutboxError
from relay.events.message import Message
from relay.outbox import parked, reserve, space
from relay.outbox.files import explained, is_corrupt, sync_directory

SCHEMA_VERSION = 1
FILE_NAME = "outbox.db"
PAGE_BYTES = 4096
MAX_READ_BYTES = 2 * 1024 * 1024
"""What one read returns at most, give or take a row. It holds up commits for some 5 ms, and is more
than 500 ordinary rows."""
READ_TEXT = partial(str, encoding="utf-8", errors="replace")
"""For `text_factory`: damaged text is read all the same. With an error in its place, nothing behind
it would go out. An event whose routing key is damaged goes to the unrouted ones."""
PROBE_BYTES = 64 * 1024
"""A delivery of ordinary size; an outbox without room for it is as good as full."""

_ROW_BYTES = 1024
"""What a row takes in memory beside its body, about."""
_ROWS_PER_CHECKPOINT = 500
_SPARE_PAGES = 8
_MAX_CACHED_BYTES = 16 * 1024 * 1024
"""Pages of one commit, which are freed with it. Beyond 2 MB SQLite would write them early, some of
them again later, and then read most of them again for their checksums: of 10 MB, a fifth more CPU.
https://www.sqlite.org/pragma.html#pragma_cache_spill"""
_MAX_CHECKED_BYTES = 128 * 1024 * 1024
"""Up to this size a database is checked as a whole at the start: a tenth of a second, if cached."""

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


# A batch is inserted with few statements: each one releases the interpreter lock and must win it
# back. They have few different lengths: each one is prepared once and cached.
_INSERTS = {
    count: f"INSERT INTO outbox ({_COLUMNS}) VALUES {','.join(['(?,?,?,?,?,?,?)'] * count)}"
    for count in (256, 64, 16, 4, 1)
}
_READ_AS = {
    "id": "TEXT",
    "routing_key": "TEXT",
    "properties": "BLOB",
    "body": "BLOB",
    "received_at": "REAL",
    "is_quarantined": "INTEGER",
}
"""A damaged row may hold values of other types."""
_SELECT = (
    f"SELECT seq, {', '.join(f'CAST({name} AS {_READ_AS[name]})' for name in Message._fields)} "
    "FROM outbox"
)


def connect(path: Path, max_bytes: int) -> sqlite3.Connection:
    """Open or create the database.

    Raises:
        OutboxCorrupt: the file is damaged, or no database.
        OutboxError: it can't be written, or has another schema version.
    """
    try:
        # Autocommit: transactions are begun by hand. The connection moves to the outbox's thread.
        db = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=space.BUSY_TIMEOUT_S
        )
    except sqlite3.Error as error:
        raise OutboxError(
            f"The outbox {path} can't be opened: {explained(path, error)}."
        ) from error
    try:
        _prepare(db, path, max_bytes)
    except (OSError, sqlite3.Error) as error:
        db.close()
        kind = OutboxCorrupt if is_corrupt(error) else OutboxError
        raise kind(f"The outbox {path} can't be opened: {explained(path, error)}.") from error
    except OutboxError:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path, max_bytes: int) -> None:
    """Set up the connection and, in a new file, the table."""
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    space.let_shrink(db)
    db.text_factory = READ_TEXT
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    # Debian's SQLite writes zeros over all that is deleted, which is each event once more.
    db.execute("PRAGMA secure_delete = FAST")
    db.execute(f"PRAGMA cache_spill = {_MAX_CACHED_BYTES // PAGE_BYTES}")
    db.execute(f"PRAGMA journal_size_limit = {space.MAX_LOG_BYTES}")
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
    _add_parked(db, path.parent)
    db.execute(f"PRAGMA max_page_count = {max(max_bytes // PAGE_BYTES, 16)}")
    reserve.keep(path.parent)
    sync_directory(path.parent)


def _add_parked(db: sqlite3.Connection, directory: Path) -> None:
    """Create the tables of parked rows in a file of an earlier version, also on a full disk."""
    try:
        db.executescript(parked.SCHEMA)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        reserve.give_up(directory)
        db.executescript(parked.SCHEMA)


def last_seq(db: sqlite3.Connection) -> int:
    """Return the number of the last row, 0 when there is none."""
    (last,) = db.execute("SELECT max(seq) FROM outbox").fetchone()
    return last or 0


def _check_writable(db: sqlite3.Connection) -> None:
    """Write something, so that a read-only file is an error now and not at the first event.

    A full disk is no error: the outbox can still be delivered, which makes room.
    """
    try:
        with db:
            db.execute("BEGIN IMMEDIATE")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise


def _check_whole(db: sqlite3.Connection, path: Path) -> None:
    """Raise OutboxCorrupt if a page is damaged. A large database would take too long to check."""
    if path.stat().st_size <= _MAX_CHECKED_BYTES:
        (finding,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise OutboxCorrupt(f"The outbox {path} is corrupt: {' '.join(finding.split())}.")


def insert(db: sqlite3.Connection, rows: Sequence[Pending]) -> None:
    """Insert rows, within the caller's transaction."""
    start = 0
    for count, statement in _INSERTS.items():
        while len(rows) - start >= count:
            parameters: list[object] = []
            for seq, message in rows[start : start + count]:
                parameters.append(seq)
                parameters += message
            db.execute(statement, parameters)
            start += count


def delete(db: sqlite3.Connection, seqs: list[int]) -> None:
    """Delete rows by ranges. Confirms come nearly in order, so there are few."""
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


def delete_on_full_disk(db: sqlite3.Connection, directory: Path, seqs: list[int]) -> None:
    """Delete rows although nothing can be written: give up the reserve to make room.

    Raises:
        OSError, sqlite3.Error: even that was not enough; some rows may be deleted.
    """
    reserve.give_up(directory)
    for start in range(0, len(seqs), _ROWS_PER_CHECKPOINT):
        with db:
            db.execute("BEGIN IMMEDIATE")
            delete(db, seqs[start : start + _ROWS_PER_CHECKPOINT])
        space.shorten_log(db)
    reserve.keep(directory)


def size(message: Message) -> int:
    """Return about how many bytes a message takes in memory, as a row."""
    return len(message.body) + _ROW_BYTES


def read(
    db: sqlite3.Connection, *, after: int, limit: int, max_bytes: int = MAX_READ_BYTES
) -> list[Pending]:
    """Return at most limit rows that follow `after`, in order, and about max_bytes of them.

    Parked rows are left out.
    """
    where = f"seq > ? AND {parked.NOT_PARKED}"
    rows = db.execute(f"{_SELECT} WHERE {where} ORDER BY seq LIMIT ?", (after, limit))
    return _bounded(rows, max_bytes)


def read_parked(db: sqlite3.Connection, *, limit: int) -> list[Pending]:
    """Return the oldest parked rows, bounded like read."""
    where = f"NOT {parked.NOT_PARKED}"
    return _bounded(
        db.execute(f"{_SELECT} WHERE {where} ORDER BY seq LIMIT ?", (limit,)), MAX_READ_BYTES
    )


def fetch(
    db: sqlite3.Connection, seqs: Sequence[int], *, max_bytes: int = MAX_READ_BYTES
) -> list[Pending]:
    """Return the rows with these numbers that are still there, in order, bounded like read."""
    chosen = ",".join(map(str, seqs))
    return _bounded(db.execute(f"{_SELECT} WHERE seq IN ({chosen}) ORDER BY seq"), max_bytes)


def _bounded(rows: sqlite3.Cursor, max_bytes: int) -> list[Pending]:
    found, bytes_read = [], 0
    for row in rows:
        found.append(_pending(*row))
        bytes_read += size(found[-1].message)
        if bytes_read > max_bytes:
            break
    rows.close()
    return found


def probe(db: sqlite3.Connection) -> None:
    """Insert a row and delete it again. Raises sqlite3.Error if nothing can be written."""
    body = b" " * PROBE_BYTES
    message = Message(id="", routing_key="", properties=b"", body=body, received_at=0)
    with db:
        db.execute("BEGIN IMMEDIATE")
        insert(db, [Pending(0, message)])
        db.execute("DELETE FROM outbox WHERE seq = 0")


def _pending(seq: int, *columns: Any) -> Pending:
    return Pending(seq, Message._make(columns))


def fits(db: sqlite3.Connection, needed_bytes: int) -> bool:
    """Return whether max_bytes leaves room for so many bytes and a few pages beside them."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (max_pages,) = db.execute("PRAGMA max_page_count").fetchone()
    return bool((max_pages - pages + free - _SPARE_PAGES) * PAGE_BYTES > needed_bytes)
