"""The table of the `seen` store. Its calls block, so they run in the store's thread.

A connection that fails is replaced by the next call; the call that finds it raises Unavailable.
So is a corrupt file, after it was set aside: without its marks, some events may be handled twice.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from consumers.kit.consumer import Writer
from consumers.kit.database.url import NEEDS_PSYCOPG, parse_database_url
from consumers.kit.errors import Unavailable
from consumers.kit.event import Event
from consumers.kit.seen.dialect import Dialect
from consumers.kit.seen.sqlite import SqliteDialect
from relay.settings_file import resolve_secrets

_FIND = "SELECT event_id FROM seen WHERE service = ? AND event_id IN (KEYS)"
_INSERT = "INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_PRUNE = """DELETE FROM seen WHERE service = ? AND event_id IN (
    SELECT event_id FROM seen WHERE service = ? AND seen_at < ? LIMIT ?
)"""
_PRUNED_AT_ONCE = 1000


class SeenDatabase:
    """The marks of all services in one database.

    Args:
        dialect: of the database.
        schema: statements that create a writer's tables where they are missing.
    """

    def __init__(self, dialect: Dialect, *, schema: str = "") -> None:
        self.is_server = dialect.is_server
        self._dialect = dialect
        self._schema = schema
        self._db: Any = None
        self._is_closed = False

    @classmethod
    def at(cls, url: str, *, schema: str = "") -> Self:
        """Return the database of a URL: `sqlite:PATH`, `postgresql://...`, `env:NAME`, `file:PATH`.

        Raises:
            ValueError: it is none of these, or psycopg is needed and not installed.
        """
        (resolved,) = resolve_secrets([url])
        return cls(_dialect_of(resolved), schema=schema)

    def open(self) -> None:
        """Connect, to find problems early.

        Raises:
            Unavailable: that is not possible now.
        """
        with self._usable():
            pass

    def are_new(self, service: str, keys: Sequence[str]) -> list[bool]:
        """Return for each key whether it has no mark.

        Raises:
            Unavailable: the database is.
        """
        query = self._sql(_FIND.replace("KEYS", ", ".join("?" * len(keys))))
        with self._usable() as db, self._transaction(db, self._dialect.begin_reading):
            seen = {row[0] for row in db.execute(query, (service, *keys)).fetchall()}
        return [key not in seen for key in keys]

    def mark(self, service: str, keys: Sequence[str], *, now: float) -> None:
        """Mark keys as seen.

        Raises:
            Unavailable: the database is; none was marked.
        """
        # Sorted, or two instances that mark the same keys could wait for each other.
        rows = [(service, key, int(now)) for key in sorted(keys)]
        with self._usable() as db, self._transaction(db, self._dialect.begin):
            db.cursor().executemany(self._sql(_INSERT), rows)

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
            Exception: the database refused the whole, because of a constraint that is checked at
                the end, or because writer itself ended the transaction. Nothing was written but
                what writer committed itself.
        """
        with self._usable(is_trouble=self._dialect.is_trouble) as db:
            self._dialect.make_durable(db)
            with self._transaction(db, self._dialect.begin):
                return [
                    self._write_one(db, (service, key, int(now)), event, writer)
                    for key, event in events
                ]

    def _write_one(
        self, db: Any, mark: tuple[str, str, int], event: Event, writer: Writer
    ) -> Exception | bool:
        db.execute("SAVEPOINT event")
        result: Exception | bool = db.execute(self._sql(_INSERT), mark).rowcount > 0
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
        """Delete up to 1,000 marks that are older; return whether there may be more.

        Raises:
            Unavailable: the database is.
        """
        if self._is_closed:
            return False  # the next start will do it
        parameters = (service, service, int(before), _PRUNED_AT_ONCE)
        with self._usable() as db, self._transaction(db, self._dialect.begin):
            return bool(db.execute(self._sql(_PRUNE), parameters).rowcount >= _PRUNED_AT_ONCE)

    def close(self) -> None:
        """Close the connection for good; later calls raise Unavailable."""
        self._is_closed = True
        self._discard()

    def _sql(self, statement: str) -> str:
        return statement.replace("?", self._dialect.placeholder)

    @contextlib.contextmanager
    def _usable(self, is_trouble: Callable[[Exception], bool] | None = None) -> Iterator[Any]:
        """Yield the connection; after an error close it, so that the next call opens another.

        Args:
            is_trouble: which errors make the database Unavailable; without it all of them do,
                since the store's own statements are correct.
        """
        db = self._connected()
        try:
            yield db
        except Exception as error:
            self._discard()
            if self._dialect.replace_corrupt(error):
                raise self._unavailable(error) from error
            if is_trouble(error) if is_trouble else isinstance(error, self._dialect.errors):
                raise self._unavailable(error) from error
            raise

    def _connected(self) -> Any:
        if self._is_closed:
            raise Unavailable("The seen store is closed.")
        if self._db is not None and self._dialect.is_moved():
            self._discard()
        if self._db is None:
            try:
                self._connect()
            except self._dialect.errors as error:
                raise self._unavailable(error) from error
        return self._db

    def _connect(self) -> None:
        """Connect; if the file is corrupt, to a new one."""
        try:
            self._prepare()
        except self._dialect.errors as error:
            if not self._dialect.replace_corrupt(error):
                raise
            self._prepare()

    def _prepare(self) -> None:
        try:
            self._db = self._dialect.connect()
            self._dialect.prepare(self._db, self._schema)
        except self._dialect.errors:
            self._discard()
            raise

    def _unavailable(self, error: Exception) -> Unavailable:
        text = " ".join(self._dialect.explained(error).split()).rstrip(".")  # psycopg's has lines
        return Unavailable(f"The seen store can't be used: {text}.")

    def _discard(self) -> None:
        db, self._db = self._db, None
        with contextlib.suppress(Exception):  # it may be broken
            if db is not None:
                db.close()

    @contextlib.contextmanager
    def _transaction(self, db: Any, begin: str) -> Iterator[None]:
        db.execute(begin)
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(Exception):  # the first error tells more
                db.execute("ROLLBACK")
            raise


def _dialect_of(url: str) -> Dialect:
    match parse_database_url(url):
        case Path() as path:
            return SqliteDialect(path)
        case server:
            try:
                from consumers.kit.seen.postgres import PostgresDialect  # noqa: PLC0415  an extra
            except ImportError as error:
                raise ValueError(NEEDS_PSYCOPG) from error
            return PostgresDialect(server)
