"""The table of the `seen` store, in SQLite or PostgreSQL. Blocking: it runs in the store's thread.

Both understand the same SQL but for the placeholder. A connection that fails is opened anew by
the next job; until then all that is asked is Unavailable.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from consumers.kit.consumer import Writer
from consumers.kit.errors import Unavailable
from consumers.kit.event import Event
from relay.settings import resolve_secrets

_BUSY_TIMEOUT_S = 10
_CONNECT_TIMEOUT_S = 10
_PRUNED_AT_ONCE = 1000
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
    errors: tuple[type[Exception], ...]

    def connect(self) -> Any:
        """Return a connection in autocommit mode."""

    def prepare(self, db: Any) -> None:
        """Make the table where it is missing."""

    def make_durable(self, db: Any) -> None:
        """Let what is committed from now on survive a power cut."""

    def is_trouble(self, error: Exception) -> bool:
        """Tell whether an error is the database's trouble rather than a statement's."""


class Sqlite:
    """A file, which several services on one machine may share."""

    placeholder = "?"
    begin = "BEGIN IMMEDIATE"
    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)

    def __init__(self, path: Path) -> None:
        self._path = path

    def connect(self) -> sqlite3.Connection:
        """Open the file, and make it and its directory where they are missing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(
            self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )

    def prepare(self, db: sqlite3.Connection) -> None:
        """Make the table; a power cut may then take back the last marks, but lose no event."""
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(_TABLE)
        db.execute(_INDEX)

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

    def __init__(self, url: str) -> None:
        import psycopg  # noqa: PLC0415  an extra of the package

        self._psycopg = psycopg
        self._url = url
        self.errors: tuple[type[Exception], ...] = (psycopg.Error, OSError)

    def connect(self) -> Any:
        """Connect."""
        return self._psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)

    def prepare(self, db: Any) -> None:
        """Make the table, one instance at a time."""
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
            db.execute(_TABLE)
            db.execute(_INDEX)

    def make_durable(self, db: Any) -> None:
        """Leave it to the server, which syncs every commit unless it is told otherwise."""

    def is_trouble(self, error: Exception) -> bool:
        """Tell errors of the connection, the server's state and its resources.

        An index row that is too long is an OperationalError, too, and will never be shorter.
        """
        trouble, limit = self._psycopg.OperationalError, self._psycopg.errors.ProgramLimitExceeded
        return isinstance(error, trouble) and not isinstance(error, limit)


class SeenDatabase:
    """The marks of all services in one database."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._db: Any = None
        mark = dialect.placeholder
        self._insert = f"INSERT INTO seen VALUES ({mark}, {mark}, {mark}) ON CONFLICT DO NOTHING"  # noqa: S608  placeholders only

    def open(self) -> None:
        """Connect, to find out early.

        Raises:
            Unavailable: that is not possible now.
        """
        with self._usable():
            pass

    def are_new(self, service: str, keys: Sequence[str]) -> list[bool]:
        """Tell of each key whether it has no mark.

        Raises:
            Unavailable: the database is.
        """
        mark = self._dialect.placeholder
        listed = ", ".join([mark] * len(keys))
        query = f"SELECT event_id FROM seen WHERE service = {mark} AND event_id IN ({listed})"  # noqa: S608  placeholders only
        with self._usable() as db:
            seen = {row[0] for row in db.execute(query, (service, *keys)).fetchall()}
        return [key not in seen for key in keys]

    def mark(self, service: str, keys: Sequence[str], *, now: float) -> None:
        """Mark keys as seen.

        Raises:
            Unavailable: the database is; none was marked.
        """
        with self._usable() as db, self._transaction(db):
            db.cursor().executemany(self._insert, [(service, key, int(now)) for key in keys])

    def write(
        self,
        service: str,
        events: Sequence[tuple[str, Event]],
        writer: Writer,
        *,
        now: float,
    ) -> list[Exception | bool]:
        """Mark keys and let writer write their events, all in one transaction.

        Returns:
            For each event whether it was new, or what writer raised; then nothing of it was kept.

        Raises:
            Unavailable: the database is, or writer says so; nothing was written.
            Exception: the database refused the whole, for a constraint that is checked at the end,
                or a transaction that writer itself ended; nothing was written, unless by writer.
        """
        with self._usable() as db:
            self._dialect.make_durable(db)
            with self._transaction(db):
                return [
                    self._write_one(db, (service, key, int(now)), event, writer)
                    for key, event in events
                ]

    def _write_one(
        self, db: Any, mark: tuple[str, str, int], event: Event, writer: Writer
    ) -> Exception | bool:
        db.execute("SAVEPOINT event")
        result: Exception | bool = db.execute(self._insert, mark).rowcount > 0
        try:
            if result:
                writer(event, db)
        except Exception as error:
            if isinstance(error, Unavailable) or self._dialect.is_trouble(error):
                raise
            db.execute("ROLLBACK TO SAVEPOINT event")
            result = error
        db.execute("RELEASE SAVEPOINT event")
        return result

    def prune(self, service: str, before: float) -> bool:
        """Forget up to 1,000 marks from before a moment; tell whether there may be more."""
        mark = self._dialect.placeholder
        old = f"SELECT event_id FROM seen WHERE service = {mark} AND seen_at < {mark} LIMIT {mark}"  # noqa: S608  placeholders only
        statement = f"DELETE FROM seen WHERE service = {mark} AND event_id IN ({old})"  # noqa: S608
        parameters = (service, service, int(before), _PRUNED_AT_ONCE)
        with contextlib.suppress(Unavailable), self._usable() as db:
            return bool(db.execute(statement, parameters).rowcount >= _PRUNED_AT_ONCE)
        return False

    def close(self) -> None:
        """Close the connection."""
        db, self._db = self._db, None
        if db is not None:
            db.close()

    @contextlib.contextmanager
    def _usable(self) -> Iterator[Any]:
        """Yield the connection; after an error close it, so that the next use opens another."""
        db = self._connected()
        try:
            yield db
        except Exception as error:
            self._discard()
            if self._dialect.is_trouble(error):
                raise _unavailable(error) from error
            raise

    def _connected(self) -> Any:
        if self._db is None:
            try:
                self._db = self._dialect.connect()
                self._dialect.prepare(self._db)
            except self._dialect.errors as error:
                self._discard()
                raise _unavailable(error) from error
        return self._db

    def _discard(self) -> None:
        with contextlib.suppress(Exception):  # it may be broken
            self.close()

    @contextlib.contextmanager
    def _transaction(self, db: Any) -> Iterator[None]:
        db.execute(self._dialect.begin)
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(Exception):  # the first error tells more
                db.execute("ROLLBACK")
            raise


def _unavailable(error: Exception) -> Unavailable:
    text = " ".join(str(error).split()).rstrip(".")  # psycopg's has several lines
    return Unavailable(f"The seen store can't be used: {text}.")


def at(url: str) -> SeenDatabase:
    """Return the database of a URL: `sqlite:PATH`, `postgresql://...`, `env:NAME` or `file:PATH`.

    Raises:
        ValueError: it is none of these, or psycopg is needed and not installed.
    """
    (url,) = resolve_secrets([url])
    return SeenDatabase(_dialect(url))


def _dialect(url: str) -> Dialect:
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        return Sqlite(Path(rest))
    if scheme in {"postgresql", "postgres"}:
        try:
            return PostgreSQL(url)
        except ImportError as error:
            raise ValueError("PostgreSQL needs psycopg: pip install 'relay[postgres]'") from error
    raise ValueError("give sqlite:PATH or postgresql://user:password@host/database")
