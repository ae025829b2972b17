"""What the `seen` store's databases do differently, and the table they have in common."""

from typing import Any, Protocol

TABLE = """CREATE TABLE IF NOT EXISTS seen (
    service TEXT NOT NULL,
    event_id TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (service, event_id)
)"""
INDEX = "CREATE INDEX IF NOT EXISTS seen_by_age ON seen (service, seen_at)"


class Dialect(Protocol):
    """A kind of database. All of them understand the same SQL but for the placeholder."""

    placeholder: str
    begin: str
    begin_reading: str
    is_server: bool  # a server may be down now and up later; a file is there or is not
    errors: tuple[type[Exception], ...]

    def connect(self) -> Any:
        """Return a connection in autocommit mode."""

    def prepare(self, db: Any, schema: str) -> None:
        """Create the table where it is missing, and execute the statements of schema at once."""

    def is_moved(self) -> bool:
        """Return whether the connection's file is no longer where it was opened."""

    def replace_corrupt(self, error: Exception) -> bool:
        """Set a damaged file aside; return whether the next connection opens another file.

        Args:
            error: what a call failed with. The connection is closed.
        """

    def make_durable(self, db: Any) -> None:
        """Let what is committed from now on survive a power cut."""

    def explained(self, error: Exception) -> str:
        """Return what an error says, and what to do where that is known."""

    def is_trouble(self, error: Exception) -> bool:
        """Return whether an error is the database's trouble rather than a statement's."""
