"""The `seen` store's marks in PostgreSQL: a server, for a service with several instances.

Needs psycopg, an extra of the package.
"""

from typing import Any

import psycopg

from consumers.kit.database.postgres import connection_parameters
from consumers.kit.seen.dialect import INDEX, TABLE

_STATEMENT_TIMEOUT_MS = 30_000
_DEFAULTS = {"connect_timeout": 10, "tcp_user_timeout": _STATEMENT_TIMEOUT_MS}
_TROUBLE = (
    *("08", "40", "53", "57P", "58"),  # connection, deadlock, resources, shutdown, disk
    *("25006", "55P03"),  # a server that only reads, a lock that others hold
)
"""How codes begin that speak of the server or of others who use it, not of a statement; see
https://www.postgresql.org/docs/current/errcodes-appendix.html."""
_LIMITED = f"SET LOCAL statement_timeout = {_STATEMENT_TIMEOUT_MS}"
_SCHEMA_LOCK = 0x5EE4  # any number: services of several versions start at the same time


class PostgresDialect:
    """PostgreSQL.

    Args:
        url: of the database.

    Raises:
        ValueError: it is none.
    """

    placeholder = "%s"
    begin = begin_reading = f"BEGIN; {_LIMITED}"
    is_server = True
    errors: tuple[type[Exception], ...] = (psycopg.Error, OSError)

    def __init__(self, url: str) -> None:
        self._parameters: dict[str, Any] = _DEFAULTS | connection_parameters(url)

    def connect(self) -> Any:
        """Connect."""
        return psycopg.connect(**self._parameters, autocommit=True)

    def prepare(self, db: Any, schema: str) -> None:
        """Create the tables, one instance at a time. A statement that hangs is ended."""
        with db.transaction():
            db.execute(_LIMITED)
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
            db.execute(TABLE)
            db.execute(INDEX)
            db.execute(schema)

    def is_moved(self) -> bool:
        """Return False: there is no file."""
        return False

    def replace_corrupt(self, _: Exception) -> bool:
        """Return False: a server's data is its operator's."""
        return False

    def make_durable(self, db: Any) -> None:
        """Do nothing: by default, the server syncs every commit."""

    def explained(self, error: Exception) -> str:
        """Return it as it is: the server knows best."""
        return str(error)

    def is_trouble(self, error: Exception) -> bool:
        """Look at PostgreSQL's code; an error of the connection has none.

        A statement that takes too long, or what is too long to be indexed, is not the server's.
        """
        if code := getattr(error, "sqlstate", None):
            return str(code).startswith(_TROUBLE)
        return isinstance(error, psycopg.OperationalError)
