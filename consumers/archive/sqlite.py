"""The archive in SQLite: a file with one writer and any number of readers.

WAL mode with `synchronous=FULL`: what was appended survives a power cut. A thread owns the
connection that writes.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from consumers.archive.record import (
    DELETED_AT_ONCE,
    SCHEMA_VERSION,
    Archived,
    ArchiveError,
    Erasure,
    Query,
    Record,
    Search,
    check_version,
    records,
    search,
)
from consumers.kit import Event, Unavailable
from relay.outbox.files import explained
from relay.process.owned_thread import OwnedThread

_CACHE_KIB = 65_536
"""Ids are in no order, so each batch touches pages all over their index."""
_PAGES_PER_CHECKPOINT = 8000
"""32 MiB of log: a page that many batches touch is written to its place once for all of them."""
_ERASED_PER_SCAN = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# The table has a rowid, so that events are appended at its end: ordered by id, each would go to
# another page. The indexes answer every query from the rows it shows, however large the table.
_SCHEMA = (
    """
    CREATE TABLE archive (
        seq INTEGER PRIMARY KEY,        -- order of arrival
        id TEXT NOT NULL UNIQUE,        -- event id
        type TEXT NOT NULL,
        vendor TEXT,
        source TEXT NOT NULL,
        conversation_id TEXT,
        contact_id TEXT,
        occurred_at INTEGER NOT NULL,   -- microseconds since 1970
        recorded_at INTEGER,            -- likewise
        routing_key TEXT NOT NULL,
        body BLOB NOT NULL              -- the CloudEvents document as it came
    )
    """,
    "CREATE INDEX archive_by_time ON archive (occurred_at)",
    "CREATE INDEX archive_by_conversation ON archive (conversation_id, occurred_at)",
    "CREATE INDEX archive_by_type ON archive (type, occurred_at)",
    "CREATE INDEX archive_by_vendor ON archive (vendor, occurred_at)",
    "CREATE INDEX archive_by_vendor_and_type ON archive (vendor, type, occurred_at)",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_INSERT = (
    f"INSERT INTO archive ({', '.join(Record._fields)})"
    f" VALUES ({', '.join('?' * len(Record._fields))}) ON CONFLICT (id) DO NOTHING"
)


_DELETE_OLD = """DELETE FROM archive WHERE seq IN (
    SELECT seq FROM archive INDEXED BY archive_by_time
    WHERE occurred_at < ? AND coalesce(recorded_at, occurred_at) < ?
    ORDER BY occurred_at LIMIT ?
)"""


class SqliteArchive:
    """An `Archive` in a file.

    Args:
        path: of the file.
        busy_timeout_s: how long to wait for another process that writes.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 10) -> None:
        self._path = path.absolute()
        self._busy_timeout_s = busy_timeout_s
        self._thread = OwnedThread("archive")

    async def open(self) -> None:
        """Create the file where it is missing, and open it.

        Raises:
            ArchiveError: it can't be written, has another version, or is no archive.
        """
        self._db = await self._thread.do(self._connect)

    async def append(self, events: Sequence[Event]) -> int:
        """Store events that are new; return how many were, once they are on disk.

        Raises:
            Unavailable: the file can't be written now; nothing was stored.
        """
        rows = [_row(record) for record in records(events, now=datetime.now(UTC))]
        return await self._thread.do(lambda: self._write(rows))

    def find(self, query: Query) -> Iterator[Archived]:
        """Yield events, the oldest first, over a connection of its own.

        Raises:
            ArchiveError: there is no such file, or it can't be read.
        """
        with self._opened("ro", "read") as db:
            yield from _found(db, query)

    async def delete_old(self, before: datetime) -> bool:
        """Delete up to 1,000 old events; see Archive.delete_old."""
        moment = _stored(before)
        parameters = (moment, moment, DELETED_AT_ONCE)
        return await self._thread.do(lambda: self._delete(parameters) >= DELETED_AT_ONCE)

    def count(self, erasure: Erasure) -> int:
        """Return how many events an erasure means, over a connection of its own.

        Raises:
            ArchiveError: there is no such file, or it can't be read.
        """
        where, values = erasure.condition("?")
        with self._opened("ro", "read") as db:
            (count,) = db.execute(f"SELECT count(*) FROM archive WHERE {where}", values).fetchone()
        return int(count)

    def erase(self, erasure: Erasure) -> int:
        """Overwrite events in the file and in its log, over a connection of its own.

        Raises:
            ArchiveError: there is no such file, it can't be written, or its log is in use.
        """
        where, values = erasure.condition("?")
        select = f"SELECT seq FROM archive WHERE {where} LIMIT {_ERASED_PER_SCAN}"
        count = 0
        with self._opened("rw", "erased from") as db:
            db.execute("COMMIT")
            db.execute("PRAGMA secure_delete = ON")
            while found := db.execute(select, values).fetchall():
                for start in range(0, len(found), DELETED_AT_ONCE):
                    batch = found[start : start + DELETED_AT_ONCE]
                    db.execute("BEGIN IMMEDIATE")
                    count += db.executemany("DELETE FROM archive WHERE seq = ?", batch).rowcount
                    db.execute("COMMIT")
            is_busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if is_busy:
                raise ArchiveError(
                    f"{count:,} events are erased, but the log of the archive {self._path} still "
                    "has them, since somebody reads it; run this again."
                )
        return count

    async def close(self) -> None:
        """Finish what is being written, and close the file; if that hangs, give up on it."""
        await self._thread.close(self._db.close)

    @contextmanager
    def _opened(self, mode: str, what: str) -> Iterator[sqlite3.Connection]:
        """Yield a connection of one's own, within a transaction: one snapshot for all reads."""
        try:
            if not self._path.exists():
                raise ArchiveError(f"There is no archive at {self._path}.")
            location = f"{self._path.as_uri()}?mode={mode}"
            with closing(
                sqlite3.connect(
                    location, timeout=self._busy_timeout_s, uri=True, isolation_level=None
                )
            ) as db:
                db.execute("BEGIN")
                self._check(db)
                yield db
        except (OSError, sqlite3.Error) as error:
            reason = explained(self._path, error)
            raise ArchiveError(f"The archive {self._path} can't be {what}: {reason}.") from error

    def _connect(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            db = sqlite3.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
        except (OSError, sqlite3.Error) as error:
            reason = explained(self._path, error)
            raise ArchiveError(f"The archive {self._path} can't be opened: {reason}.") from error
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = ON")  # what is deleted is gone from the file, too
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_PER_CHECKPOINT}")
        with db:
            db.execute("BEGIN IMMEDIATE")  # of several that start at once, one creates it
            if not _version(db):
                for statement in _SCHEMA:
                    db.execute(statement)
        self._check(db)

    def _check(self, db: sqlite3.Connection) -> None:
        check_version(_version(db), str(self._path))
        db.execute("SELECT max(seq) FROM archive")  # another program's file has no such table

    def _write(self, rows: Sequence[tuple[object, ...]]) -> int:
        with self._writing() as db:
            return db.executemany(_INSERT, rows).rowcount

    def _delete(self, parameters: tuple[object, ...]) -> int:
        with self._writing() as db:
            return db.execute(_DELETE_OLD, parameters).rowcount

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
        except (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # an event's fault, or a bug: waiting would not help
        except sqlite3.Error as error:
            raise Unavailable(f"The archive {self._path} can't be written: {error}.") from error


def _version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _row(record: Record) -> tuple[object, ...]:
    return tuple([_stored(value) for value in record])


def _stored(value: object) -> object:
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value


def _found(db: sqlite3.Connection, query: Query) -> Iterator[Archived]:
    wanted = _search(query)
    conditions = [_stored(value) for value in wanted.conditions]
    start = [_stored(value) for value in wanted.start]
    first = db.execute(wanted.first, [*conditions, *start, query.limit - 1]).fetchone() or start
    yield from map(Archived._make, db.execute(wanted.events, [*conditions, *first, query.limit]))


def _search(query: Query) -> Search:
    """Write a query that names its index: SQLite has no statistics to choose one by."""
    return search(query, mark="?", table=f"archive INDEXED BY {_index(query)}")


def _index(query: Query) -> str:
    if query.conversation is not None:
        return "archive_by_conversation"
    if query.vendor is not None:
        return "archive_by_vendor" if query.type is None else "archive_by_vendor_and_type"
    return "archive_by_time" if query.type is None else "archive_by_type"
