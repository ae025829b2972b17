"""The table of the `seen` store, in SQLite or PostgreSQL. Blocking: it runs in the store's thread.

A connection that fails is opened anew by the next job; until then all that is asked is Unavailable.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from consumers.kit.consumer import Writer
from consumers.kit.errors import Unavailable
from consumers.kit.event import Event
from consumers.kit.seen.dialects import Dialect, dialect_of
from relay.settings_file import resolve_secrets

_PRUNED_AT_ONCE = 1000


class SeenDatabase:
    """The marks of all services in one database.

    Args:
        dialect: of the database.
        schema: statements that make a writer's tables where they are missing.
    """

    def __init__(self, dialect: Dialect, *, schema: str = "") -> None:
        self.is_server = dialect.is_server
        self._dialect = dialect
        self._schema = schema
        self._db: Any = None
        self._is_closed = False
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
        # In one order, or two instances that mark the same keys wait for each other.
        rows = [(service, key, int(now)) for key in sorted(keys)]
        with self._usable() as db, self._transaction(db):
            db.cursor().executemany(self._insert, rows)

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
        with self._usable(is_trouble=self._dialect.is_trouble) as db:
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
        """Forget up to 1,000 marks from before a moment; tell whether there may be more.

        Raises:
            Unavailable: the database is.
        """
        if self._is_closed:
            return False  # that can wait for the next start
        mark = self._dialect.placeholder
        old = f"SELECT event_id FROM seen WHERE service = {mark} AND seen_at < {mark} LIMIT {mark}"  # noqa: S608  placeholders only
        statement = f"DELETE FROM seen WHERE service = {mark} AND event_id IN ({old})"  # noqa: S608  placeholders only
        parameters = (service, service, int(before), _PRUNED_AT_ONCE)
        with self._usable() as db:
            return bool(db.execute(statement, parameters).rowcount >= _PRUNED_AT_ONCE)

    def close(self) -> None:
        """Close the connection for good; whoever comes too late finds the store Unavailable."""
        self._is_closed = True
        self._discard()

    @contextlib.contextmanager
    def _usable(self, is_trouble: Callable[[Exception], bool] | None = None) -> Iterator[Any]:
        """Yield the connection; after an error close it, so that the next use opens another.

        Of the store's own statements none is to blame, so that any error is the database's.
        """
        db = self._connected()
        try:
            yield db
        except Exception as error:
            self._discard()
            if is_trouble(error) if is_trouble else isinstance(error, self._dialect.errors):
                raise _unavailable(error) from error
            raise

    def _connected(self) -> Any:
        if self._is_closed:
            raise Unavailable("The seen store is closed.")
        if self._db is None:
            try:
                self._db = self._dialect.connect()
                self._dialect.prepare(self._db, self._schema)
            except self._dialect.errors as error:
                self._discard()
                raise _unavailable(error) from error
        return self._db

    def _discard(self) -> None:
        db, self._db = self._db, None
        with contextlib.suppress(Exception):  # it may be broken
            if db is not None:
                db.close()

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


def at(url: str, *, schema: str = "") -> SeenDatabase:
    """Return the database of a URL: `sqlite:PATH`, `postgresql://...`, `env:NAME` or `file:PATH`.

    Args:
        url: where it is.
        schema: as of SeenDatabase.

    Raises:
        ValueError: it is none of these, or psycopg is needed and not installed.
    """
    (resolved,) = resolve_secrets([url])
    return SeenDatabase(dialect_of(resolved), schema=schema)
