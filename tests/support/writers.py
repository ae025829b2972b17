"""Writers for the database of the `seen` store."""

import sqlite3

from consumers.kit import Database, Event
from tests.support.seen_stores import rows_of


def note(event: Event, db: Database) -> None:
    """Write an event into the service's own table."""
    db.execute("CREATE TABLE IF NOT EXISTS notes (id TEXT)")
    insert(event, db)


def insert(event: Event, db: Database) -> None:
    statement = "INSERT INTO notes VALUES (?)"
    if not isinstance(db, sqlite3.Connection):
        statement = statement.replace("?", "%s")
    db.execute(statement, (event.id,))


def notes(url: str) -> list[str]:
    return sorted([row[0] for row in rows_of(url, "SELECT id FROM notes")], key=int)
