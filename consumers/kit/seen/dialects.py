"""SQLite and PostgreSQL where they differ for the `seen` store: connecting, and what errors mean.

Both understand the same SQL but for the placeholder.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any, Protocol

from consumers.kit.database import url as database_url

_BUSY_TIMEOUT_S = 10
_STATEMENT_TIMEOUT_MS = 30_000
_SERVER_DEFAULTS = {"connect_timeout": 10, "tcp_user_timeout": _STATEMENT_TIMEOUT_MS}
_SWITCH_PAUSE_S = 0.02
_SERVER_TROUBLE = (
    *("08", "40", "53", "57P", "58"),  # connection, deadlock, resources, shutdown, disk
    *("25006", "55P03"),  # a server that only reads, a lock that others hold
)
"""How codes begin that speak of the server or of others who use it, not of a statement; see
https://www.postgresql.org/docs/current/errcodes-appendix.html."""
_TABLE = """CREATE TABLE IF NOT EXISTS seen (
    service TEXT NOT NULL,
    event_id TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (service, event_id)
)"""
_INDEX = "CREATE INDEX IF NOT EXISTS seen_by_age ON seen (service, seen_at)"
_SCHEMA_LOCK = 0x5EE4  # any number: services of several versions start at the same time
# What SQLite says of the disk or of other users of the file, not of a statement.
_SQLITE_TROUBLE = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT),
    *(sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL),
}


class Dialect(Protocol):
    """What the two databases do differently."""

    placeholder: str
    begin: str
    is_server: bool  # which may be down now and up later; a file is there or is not
    errors: tuple[type[Exception], ...]

    def connect(self) -> Any:
        """Return a connection in autocommit mode."""

    def prepare(self, db: Any, schema: str) -> None:
        """Make the table where it is missing, and execute the statements of schema at once."""

    def make_durable(self, db: Any) -> None:
        """Let what is committed from now on survive a power cut."""

    def is_trouble(self, error: Exception) -> bool:
        """Tell whether an error is the database's trouble rather than a statement's."""


class Sqlite:
    """A file, which several services on one machine may share."""

    placeholder = "?"
    begin = "BEGIN IMMEDIATE"
    is_server = False
    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)

    def __init__(self, path: Path) -> None:
        self._path = path

    def connect(self) -> sqlite3.Connection:
        """Open the file, and make it and its directory where they are missing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(
            self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )

    def prepare(self, db: sqlite3.Connection, schema: str) -> None:
        """Make the table; a power cut may then take back the last marks, but lose no event."""
        _switch_to_wal(db)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(_TABLE)
        db.execute(_INDEX)
        if schema:
            db.executescript(f"BEGIN IMMEDIATE;\n{schema}\n;COMMIT")

    def make_durable(self, db: sqlite3.Connection) -> None:
        """Sync every commit: a message is acknowledged, and so gone, once its event is written."""
        db.execute("PRAGMA synchronous = FULL")

    def is_trouble(self, error: Exception) -> bool:
        """Look at SQLite's code, whose low byte is the primary one."""
        code = getattr(error, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in _SQLITE_TROUBLE


class PostgreSQL:
    """A server, for a service of which several instances run."""

    placeholder = "%s"
    begin = "BEGIN"
    is_server = True

    def __init__(self, url: str) -> None:
        import psycopg  # noqa: PLC0415  an extra of the package

        from consumers.kit.database.postgres import address_of  # noqa: PLC0415  it needs psycopg

        self._psycopg = psycopg
        self._address: dict[str, Any] = _SERVER_DEFAULTS | address_of(url)
        self.errors: tuple[type[Exception], ...] = (psycopg.Error, OSError)

    def connect(self) -> Any:
        """Connect."""
        return self._psycopg.connect(**self._address, autocommit=True)

    def prepare(self, db: Any, schema: str) -> None:
        """Make the tables, one instance at a time. What hangs is ended, or all would wait."""
        db.execute(f"SET statement_timeout = {_STATEMENT_TIMEOUT_MS}")
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
            db.execute(_TABLE)
            db.execute(_INDEX)
            db.execute(schema)

    def make_durable(self, db: Any) -> None:
        """Leave it to the server, which syncs every commit unless it is told otherwise."""

    def is_trouble(self, error: Exception) -> bool:
        """Look at PostgreSQL's code; an error of the connection has none.

        A statement that takes too long, or what is too long to be indexed, is not the server's.
        """
        if code := getattr(error, "sqlstate", None):
            return str(code).startswith(_SERVER_TROUBLE)
        return isinstance(error, self._psycopg.OperationalError)


def dialect_of(url: str) -> Dialect:
    """Return the dialect of a URL: `sqlite:PATH` or `postgresql://...`.

    Raises:
        ValueError: it is neither, or psycopg is needed and not installed.
    """
    match database_url.parse(url):
        case Path() as path:
            return Sqlite(path)
        case server:
            try:
                return PostgreSQL(server)
            except ImportError as error:
                raise ValueError(database_url.NEEDS_PSYCOPG) from error


def _switch_to_wal(db: sqlite3.Connection) -> None:
    """Try until it works: of several that do it at once, SQLite lets nobody wait for the others."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(_SWITCH_PAUSE_S)
        else:
            return
