"""The archive in PostgreSQL, for a service with several instances.

A connection that fails is closed; the next batch opens another.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import psycopg
import structlog
from psycopg.errors import ProgramLimitExceeded, UndefinedTable
from psycopg.rows import args_row

from consumers.archive.record import (
    DELETED_AT_ONCE,
    SCHEMA_VERSION,
    Archived,
    ArchiveError,
    Erasure,
    Query,
    Record,
    check_version,
    records,
    search,
)
from consumers.kit import Event, Unavailable
from consumers.kit.database.postgres import connection_parameters

_DEFAULTS = {"connect_timeout": 10, "application_name": "relay archive"}
_DELETE_LIMIT_S = 60.0  # a batch takes milliseconds; the rest is for a table that others lock
_SCHEMA_LOCK = 0x72656C61795F6172  # any number that nobody else uses
_EVENT_ERRORS = (psycopg.DataError, psycopg.IntegrityError, ProgramLimitExceeded)
"""Errors that an event may be to blame for. All others are the server's or the connection's."""

# Not partitioned: the primary key of a partitioned table must contain the partition's key, so an id
# would be unique per partition only. The indexes answer every query from the rows it shows, however
# large the table. "C" compares bytes, which is fast, and no upgrade of a library changes the order.
_SCHEMA = """
CREATE SEQUENCE archive_seq;
CREATE TABLE archive (
    seq bigint NOT NULL,                -- order of arrival
    id text COLLATE "C" PRIMARY KEY,    -- event id
    type text COLLATE "C" NOT NULL,
    vendor text COLLATE "C",
    source text COLLATE "C" NOT NULL,
    conversation_id text COLLATE "C",
    contact_id text COLLATE "C",
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz,
    routing_key text COLLATE "C" NOT NULL,
    body bytea NOT NULL                 -- the CloudEvents document as it came
);
CREATE INDEX archive_by_time ON archive (occurred_at, seq);
CREATE INDEX archive_by_conversation ON archive (conversation_id, occurred_at, seq);
CREATE INDEX archive_by_type ON archive (type, occurred_at, seq);
CREATE INDEX archive_by_vendor ON archive (vendor, occurred_at, seq);
CREATE INDEX archive_by_vendor_and_type ON archive (vendor, type, occurred_at, seq);
CREATE TABLE archive_schema (version integer NOT NULL);
"""
_SET_VERSION = "INSERT INTO archive_schema VALUES (%s)"
_VERSION = "SELECT version FROM archive_schema"
_NUMBERS = "SELECT nextval('archive_seq') FROM generate_series(1, %s)"
_INSERT = (
    f"INSERT INTO archive ({', '.join(Record._fields)}, seq)"
    f" VALUES ({', '.join(['%b'] * len(Record._fields))}, %b) ON CONFLICT (id) DO NOTHING"
)
# Rows that others have locked are left for the next time, so that nobody waits in a circle.
_DELETE_OLD = """DELETE FROM archive WHERE id IN (
    SELECT id FROM archive WHERE occurred_at < %s AND coalesce(recorded_at, occurred_at) < %s
    ORDER BY occurred_at LIMIT %s FOR UPDATE SKIP LOCKED
)"""

log = structlog.get_logger("consumers.archive")


class PostgresArchive:
    """An `Archive` in the database at url.

    Args:
        url: of the database.
        delete_limit_s: how long `delete_old` may take.

    Raises:
        ValueError: that is no URL of a database.
    """

    def __init__(self, url: str, *, delete_limit_s: float = _DELETE_LIMIT_S) -> None:
        self._parameters: dict[str, Any] = _DEFAULTS | connection_parameters(url)
        self._delete_limit_s = delete_limit_s
        self._db: psycopg.AsyncConnection | None = None

    async def open(self) -> None:
        """Create the tables where they are missing; if the server is down, later.

        Raises:
            ArchiveError: the tables can't be created, or have another version.
        """
        try:
            async with self._connected():
                pass
        except psycopg.OperationalError as error:
            log.warning("archive unavailable", reason=_reason(error))
        except psycopg.Error as error:
            raise ArchiveError(f"The archive can't be opened: {_reason(error)}.") from error

    async def append(self, events: Sequence[Event]) -> int:
        """Store events that are new; return how many were, once they are on disk.

        Raises:
            Unavailable: the database can't be written now; nothing was stored.
        """
        rows = records(events, now=datetime.now(UTC))
        try:
            async with self._connected() as db, db.transaction():
                return await _insert(db, rows)
        except _EVENT_ERRORS:
            raise
        except psycopg.Error as error:
            raise Unavailable(f"The archive can't be written: {_reason(error)}.") from error
        except ArchiveError as error:  # replaced while we were running
            raise Unavailable(str(error)) from error

    def find(self, query: Query) -> Iterator[Archived]:
        """Yield events, the oldest first, over a connection of its own.

        Raises:
            ArchiveError: there is none in this database, or it can't be read.
        """
        with self._used("read") as db:
            yield from _found(db, query)

    async def delete_old(self, before: datetime) -> bool:
        """Delete up to 1,000 old events, over a connection of its own; see Archive.delete_old."""
        parameters = [before, before, DELETED_AT_ONCE]
        try:
            async with (
                asyncio.timeout(self._delete_limit_s),
                await psycopg.AsyncConnection.connect(**self._parameters) as db,
            ):
                deleted = await db.execute(_DELETE_OLD, parameters)
                return deleted.rowcount >= DELETED_AT_ONCE
        except TimeoutError as error:
            limit = f"{self._delete_limit_s:g} s"
            raise Unavailable(f"The archive did not delete within {limit}.") from error
        except psycopg.Error as error:
            raise Unavailable(f"The archive can't be written: {_reason(error)}.") from error

    def count(self, erasure: Erasure) -> int:
        """Return how many events an erasure means, over a connection of its own.

        Raises:
            ArchiveError: there is none in this database, or it can't be read.
        """
        where, values = erasure.condition("%s")
        with self._used("read") as db:
            row = db.execute(f"SELECT count(*) FROM archive WHERE {where}", values).fetchone()
        return int(row[0]) if row else 0

    def erase(self, erasure: Erasure) -> int:
        """Delete events; the server overwrites them when it vacuums.

        Raises:
            ArchiveError: there is none in this database, or it can't be written.
        """
        where, values = erasure.condition("%s")
        statement = (
            f"DELETE FROM archive WHERE id IN (SELECT id FROM archive WHERE {where} LIMIT %s)"
        )
        count = 0
        with self._used("erased from") as db:
            while deleted := db.execute(statement, [*values, DELETED_AT_ONCE]).rowcount:
                db.commit()
                count += deleted
        return count

    async def close(self) -> None:
        """Close the connection."""
        db, self._db = self._db, None
        if db:
            await db.close()

    @contextlib.contextmanager
    def _used(self, what: str) -> Iterator[psycopg.Connection]:
        try:
            with psycopg.connect(**self._parameters) as db:
                yield db
        except UndefinedTable as error:
            raise ArchiveError("There is no archive in this database.") from error
        except psycopg.Error as error:
            raise ArchiveError(f"The archive can't be {what}: {_reason(error)}.") from error

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[psycopg.AsyncConnection]:
        try:
            if self._db is None:
                self._db = await psycopg.AsyncConnection.connect(
                    **self._parameters, autocommit=True
                )
                await _prepare(self._db)
            yield self._db
        except BaseException:  # also when cancelled: it may be in the middle of something
            await self.close()
            raise


async def _prepare(db: psycopg.AsyncConnection) -> None:
    """Create the tables where they are missing, one instance of the service at a time."""
    async with db.transaction():
        await db.execute("SELECT pg_advisory_xact_lock(%s)", [_SCHEMA_LOCK])
        if await _one(db, "SELECT to_regclass('archive_schema')") is None:
            await db.execute(_SCHEMA)
            await db.execute(_SET_VERSION, [SCHEMA_VERSION])
        check_version(await _one(db, _VERSION), "in this database")


async def _one(db: psycopg.AsyncConnection, sql: str) -> Any:
    row = await (await db.execute(sql)).fetchone()
    return row[0] if row else None


async def _insert(db: psycopg.AsyncConnection, rows: Sequence[Record]) -> int:
    """Insert rows in the order of their ids, numbered in the order of their arrival.

    Two instances that insert the same ids wait for each other; in different orders, that would be
    a deadlock.
    """
    numbers = await (await db.execute(_NUMBERS, [len(rows)])).fetchall()
    values = [(*row, number) for row, (number,) in zip(rows, numbers, strict=True)]
    values.sort(key=itemgetter(0))
    cursor = db.cursor()
    await cursor.executemany(_INSERT, values)
    return cursor.rowcount


def _found(db: psycopg.Connection, query: Query) -> Iterator[Archived]:
    db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ  # one snapshot for all that follows
    db.read_only = True
    (version,) = db.execute(_VERSION).fetchone() or (0,)
    check_version(version, "in this database")
    # In another time zone, the first day of year 1 has no datetime.
    db.execute("SET LOCAL TIME ZONE 'UTC'")
    wanted = search(query, mark="%s")
    parameters = [*wanted.conditions, *wanted.start, query.limit - 1]
    first = db.execute(wanted.first, parameters).fetchone() or wanted.start
    cursor = db.cursor(row_factory=args_row(Archived))
    yield from cursor.stream(wanted.events, [*wanted.conditions, *first, query.limit], binary=True)


def _reason(error: psycopg.Error) -> str:
    """Return the first line of what is wrong; more follows, such as a guess at the cause."""
    first, _, _ = str(error).partition("\n")
    return first.rstrip(".") or type(error).__name__
