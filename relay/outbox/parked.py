"""Parked rows of the outbox: RabbitMQ refuses them, so they are kept out of the way of the others.

Two tables beside the outbox's; a relay that does not know them delivers their rows like any other.
A parked row stays in the outbox. Rows with the same cause are tried by one of them, the oldest.
Plain functions on a connection; all of them block.
"""

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

SCHEMA = """
CREATE TABLE IF NOT EXISTS parked (
    seq INTEGER PRIMARY KEY,        -- of a row of the outbox
    cause TEXT NOT NULL,            -- of a row of parked_causes
    since REAL NOT NULL             -- seconds since 1970
);
CREATE INDEX IF NOT EXISTS parked_by_cause ON parked (cause, seq);
CREATE TABLE IF NOT EXISTS parked_causes (
    cause TEXT PRIMARY KEY,
    reason TEXT NOT NULL,           -- the broker's words
    since REAL NOT NULL,            -- when the latest was parked, seconds since 1970
    attempts INTEGER NOT NULL,      -- made alone
    due REAL NOT NULL               -- when the next is made, seconds since 1970
);
"""
MAX_DELAY_S = 600.0
NOT_PARKED = "NOT EXISTS (SELECT 1 FROM parked WHERE parked.seq = outbox.seq)"


class Parking(NamedTuple):
    """A row to park.

    Args:
        seq: of the row.
        cause: what it shares with others that are refused for the same.
        reason: the broker's words.
        since: seconds since 1970.
    """

    seq: int
    cause: str
    reason: str
    since: float


class DueCause(NamedTuple):
    """A cause to try again.

    Args:
        cause: its name.
        reason: the broker's words.
        attempts: made since the last start, connection or `relay outbox retry`.
        seq: of its oldest row.
    """

    cause: str
    reason: str
    attempts: int
    seq: int


class ParkedSummary(NamedTuple):
    """How many rows are parked, and why and when (in seconds since 1970) the latest was."""

    messages: int = 0
    latest_reason: str | None = None
    latest_at: float | None = None


NONE_PARKED = ParkedSummary()


def park(db: sqlite3.Connection, parkings: Sequence[Parking], due: float) -> None:
    """Park rows, within the caller's transaction. A cause that is new is due at the time given."""
    db.executemany(
        "INSERT OR REPLACE INTO parked (seq, cause, since) VALUES (?, ?, ?)",
        [(parking.seq, parking.cause, parking.since) for parking in parkings],
    )
    db.executemany(
        "INSERT INTO parked_causes VALUES (?1, ?2, ?3, 0, ?4) "
        "ON CONFLICT (cause) DO UPDATE SET reason = ?2, since = max(since, ?3)",
        [(parking.cause, parking.reason, parking.since, due) for parking in parkings],
    )


def parkings_of(db: sqlite3.Connection, seqs: Sequence[int]) -> list[Parking]:
    """Return why rows are parked, in order."""
    found = db.execute(
        "SELECT seq, cause, coalesce(reason, ''), parked.since"
        " FROM parked LEFT JOIN parked_causes USING (cause)"
        " WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq",
        (json.dumps(seqs),),
    )
    return [Parking(*row) for row in found]


def shared_causes(db: sqlite3.Connection, limit: int) -> dict[str, str]:
    """Return the causes that are not those of a single message, the latest ones, with reasons."""
    found = db.execute(
        "SELECT cause, reason FROM parked_causes WHERE cause NOT LIKE 'message %'"
        " ORDER BY since DESC LIMIT ?",
        (limit,),
    )
    return dict(found.fetchall())


def is_empty(db: sqlite3.Connection) -> bool:
    """Return whether nothing is parked."""
    return db.execute("SELECT 1 FROM parked_causes LIMIT 1").fetchone() is None


def next_due(db: sqlite3.Connection, now: float) -> DueCause | None:
    """Return a cause to try now, if there is one. Forget those of which nothing is left."""
    while True:
        found = db.execute(
            "SELECT cause, reason, attempts, (SELECT min(parked.seq) FROM parked JOIN outbox"
            " USING (seq) WHERE parked.cause = parked_causes.cause) FROM parked_causes"
            " WHERE due <= ?1 OR due > ?1 + ?2 ORDER BY due LIMIT 1",
            (now, MAX_DELAY_S),  # a due time further away is of a clock that was wrong
        ).fetchone()
        if found is None or found[-1] is not None:
            return DueCause(*found) if found else None
        forget(db, found[0])


def forget(db: sqlite3.Connection, cause: str) -> None:
    """Delete a cause, and what is left of it."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM parked WHERE cause = ?", (cause,))
        db.execute("DELETE FROM parked_causes WHERE cause = ?", (cause,))


def defer(db: sqlite3.Connection, cause: DueCause, due: float) -> None:
    """Note that a cause was tried and is to be tried again at a time."""
    db.execute(
        "UPDATE parked_causes SET attempts = attempts + 1, reason = ?, due = ? WHERE cause = ?",
        (cause.reason, due, cause.cause),
    )


def retry_all(db: sqlite3.Connection) -> None:
    """Make all causes due, as if none had been tried yet."""
    db.execute("UPDATE parked_causes SET attempts = 0, due = 0 WHERE due > 0 OR attempts > 0")


def release(db: sqlite3.Connection, cause: str, limit: int) -> list[int]:
    """Return the oldest rows of a cause, which are parked no longer; with the last, the cause."""
    found = db.execute(
        "SELECT seq FROM parked WHERE cause = ? ORDER BY seq LIMIT ?", (cause, limit)
    )
    seqs = [seq for (seq,) in found]
    if len(seqs) < limit:
        forget(db, cause)
    else:
        with db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM parked WHERE cause = ? AND seq <= ?", (cause, seqs[-1]))
    return seqs


def unpark(db: sqlite3.Connection, seq: int) -> None:
    """Note that a row is parked no longer."""
    db.execute("DELETE FROM parked WHERE seq = ?", (seq,))


def summary(db: sqlite3.Connection) -> ParkedSummary:
    """Return how many rows are parked, also for a file of a relay that parked nothing."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'parked_causes'").fetchone():
        return ParkedSummary()
    (count,) = db.execute("SELECT count(*) FROM parked").fetchone()
    if not count:
        return ParkedSummary()
    latest = "SELECT reason, since FROM parked_causes ORDER BY since DESC LIMIT 1"
    return ParkedSummary(count, *(db.execute(latest).fetchone() or ()))
