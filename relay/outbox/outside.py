"""The events of an outbox as a command sees them, which is another process than the relay.

A relay may be using the outbox: it keeps the lock of the directory, but SQLite lets others read and
write in short transactions. It looks once a second whether a parked event is due, and skips what
was deleted. Plain functions; all of them raise OutboxError if the disk fails.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from relay.errors import OutboxError
from relay.outbox import layout, parked
from relay.outbox.database import FILE_NAME, READ_TEXT
from relay.outbox.files import explained

_BUSY_TIMEOUT_S = 10.0

T = TypeVar("T")


class StoredEvent(NamedTuple):
    """An event, or quarantined delivery, that waits in an outbox.

    Args:
        worker: the number of the worker whose outbox it is.
        id: its id, as the sender was told.
        routing_key: where it is to go.
        size: bytes of its body.
        received_at: seconds since 1970.
        parked_reason: the broker's words if it is parked.
        parked_at: since when, in seconds since 1970, if it is parked.
    """

    worker: int
    id: str
    routing_key: str
    size: int
    received_at: float
    parked_reason: str | None
    parked_at: float | None


_ALL = """
SELECT outbox.id, routing_key, length(body), received_at, reason, parked.since
FROM outbox LEFT JOIN parked USING (seq) LEFT JOIN parked_causes USING (cause)
ORDER BY seq LIMIT ?
"""
_PARKED = """
SELECT outbox.id, routing_key, length(body), received_at, reason, parked.since
FROM parked JOIN outbox USING (seq) LEFT JOIN parked_causes USING (cause)
ORDER BY seq LIMIT ?
"""
_ONE = """
SELECT outbox.id, routing_key, length(body), received_at, reason, parked.since, body
FROM outbox LEFT JOIN parked USING (seq) LEFT JOIN parked_causes USING (cause)
WHERE outbox.id = ?
"""


def find_all(root: Path, *, is_parked: bool, limit: int) -> list[StoredEvent]:
    """Return the oldest events in all outboxes of a receiver, or only those that are parked."""
    query = _PARKED if is_parked else _ALL
    found = _in_each(
        root,
        lambda worker, db: [StoredEvent(worker, *row) for row in db.execute(query, (limit,))],
    )
    return sorted(found, key=lambda event: event.received_at)[:limit]


def find(root: Path, event_id: str) -> tuple[StoredEvent, bytes]:
    """Return an event and its body.

    Raises:
        OutboxError: there is none with this id.
    """
    found = _in_each(
        root,
        lambda worker, db: [
            (StoredEvent(worker, *row), body) for *row, body in db.execute(_ONE, (event_id,))
        ],
    )
    if not found:
        raise OutboxError(f"There is no event {event_id} in the outbox.")
    return found[0]


def retry(root: Path, ids: Collection[str]) -> list[str]:
    """Let parked events be tried now, or all if there are no ids. Return their ids.

    Raises:
        OutboxError: one of ids is not parked; the others will be tried.
    """

    def let_be_due(_: int, db: sqlite3.Connection) -> list[str]:
        chosen = _parked_rows(db, ids)
        db.executemany(
            "UPDATE parked_causes SET attempts = 0, due = 0 WHERE cause = ?",
            [(cause,) for cause in {cause for _, cause, _ in chosen}],
        )
        return [event_id for *_, event_id in chosen]

    return _require_all(ids, _in_each(root, let_be_due))


def drop(root: Path, ids: Collection[str]) -> list[str]:
    """Delete parked events for good. Return their ids.

    Raises:
        OutboxError: one of ids is not parked; the others were deleted.
    """

    def delete(_: int, db: sqlite3.Connection) -> list[str]:
        chosen = _parked_rows(db, ids)
        seqs = [(seq,) for seq, *_ in chosen]
        db.executemany("DELETE FROM outbox WHERE seq = ?", seqs)
        db.executemany("DELETE FROM parked WHERE seq = ?", seqs)
        return [event_id for *_, event_id in chosen]

    return _require_all(ids, _in_each(root, delete))


def _parked_rows(db: sqlite3.Connection, ids: Collection[str]) -> list[tuple[int, str, str]]:
    """Return number, cause and event id of the parked rows with one of ids, or of all."""
    rows = db.execute("SELECT seq, cause, id FROM parked JOIN outbox USING (seq) ORDER BY seq")
    return [row for row in rows if not ids or row[-1] in ids]


def _require_all(ids: Collection[str], found: list[str]) -> list[str]:
    if missing := sorted(set(ids).difference(found)):
        raise OutboxError(f"No event {' and none '.join(missing)} is parked in the outbox.")
    return found


def _in_each(root: Path, work: Callable[[int, sqlite3.Connection], list[T]]) -> list[T]:
    """Do work in a transaction in each outbox of a receiver, orphaned ones too."""
    results: list[T] = []
    numbers = layout.read_present(root)
    if not numbers:
        raise OutboxError(f"There is no outbox in {root}.")
    for number in numbers:
        path = layout.directory_of(root, number) / FILE_NAME
        try:
            with _opened(path) as db, db:
                db.execute("BEGIN IMMEDIATE")
                db.execute("PRAGMA secure_delete = FAST")
                results += work(number, db)
        except (OSError, sqlite3.Error) as error:
            raise OutboxError(
                f"The outbox {path} can't be used: {explained(path, error)}."
            ) from error
    return results


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    db = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    db.text_factory = READ_TEXT
    with contextlib.closing(db):
        db.execute("PRAGMA wal_autocheckpoint = 0")  # that is the relay's, see `checkpoints`
        db.executescript(parked.SCHEMA)  # a relay of an earlier version has none
        yield db
