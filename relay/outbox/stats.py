"""How much is in an outbox and for how long: for probes, metrics and `relay outbox`."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from relay.errors import OutboxError
from relay.outbox import layout, parked, space
from relay.outbox.database import FILE_NAME, PAGE_BYTES, READ_TEXT
from relay.outbox.files import explained
from relay.outbox.parked import NONE_PARKED, ParkedSummary

_MAX_COUNTED = 1_000
"""While rows are counted, commits wait: a thousand take 0.3 ms, twenty thousand 19."""
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT ?)"
_FIRST = "SELECT seq, received_at FROM outbox ORDER BY seq LIMIT 1"
_FIRST_NOT_PARKED = """
SELECT seq, received_at FROM (SELECT seq, received_at FROM outbox ORDER BY seq LIMIT ?)
WHERE seq NOT IN (SELECT seq FROM parked) ORDER BY seq LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """How much is in an outbox now.

    Args:
        depth: events waiting; exact up to 1,000, beyond it too high by at most `max_in_flight` and
            what was delivered since the oldest ones were parked, if that is a thousand or more.
        used_bytes: of the database file, free pages not counted.
        disk_bytes: of the database file and its log.
        log_bytes: of its log alone.
        max_bytes: the bound on used_bytes.
        oldest_received_at: of those that are not parked, in seconds since 1970; None if there are
            none. If the first 1,000 of more events are parked, these count, too.
        parked: what is kept out of the way of the others; it is part of depth.
        blocked_checkpoints: how often another process kept the log from being emptied; 0 if that
            is not known.
    """

    depth: int
    used_bytes: int
    disk_bytes: int
    log_bytes: int
    max_bytes: int
    oldest_received_at: float | None
    parked: ParkedSummary = NONE_PARKED
    blocked_checkpoints: int = 0


def stats_of(db: sqlite3.Connection, path: Path, max_bytes: int) -> Stats:
    """Return how much is in the outbox whose database is at a path."""
    summary = parked.summary(db)
    depth, oldest = _waiting(db, has_parked=bool(summary.messages))
    disk = space.disk_use(path)
    return Stats(
        depth=depth,
        used_bytes=space.used_pages(db) * PAGE_BYTES,
        disk_bytes=disk.file + disk.log,
        log_bytes=disk.log,
        max_bytes=max_bytes,
        oldest_received_at=oldest,
        parked=summary,
    )


def _waiting(db: sqlite3.Connection, *, has_parked: bool) -> tuple[int, float | None]:
    """Return how many events wait, and when the oldest of those came that are not parked."""
    (count,) = db.execute(_COUNT, (_MAX_COUNTED + 1,)).fetchone()
    oldest = db.execute(_FIRST).fetchone()
    first = db.execute(_FIRST_NOT_PARKED, (_MAX_COUNTED,)).fetchone() if has_parked else oldest
    if count <= _MAX_COUNTED:
        return count, first[1] if first else None
    seq, received_at = first or oldest
    (last,) = db.execute("SELECT max(seq) FROM outbox").fetchone()
    # Parked ones stay behind, so the numbers between them are of events that went long ago.
    behind = _count_parked(db, seq) if has_parked else 0
    return behind + last - seq + 1, received_at


def _count_parked(db: sqlite3.Connection, before: int) -> int:
    (count,) = db.execute("SELECT count(*) FROM parked WHERE seq < ?", (before,)).fetchone()
    return int(count)


def total(parts: Sequence[Stats], max_bytes: int) -> Stats:
    """Return how much is in several outboxes that share one bound."""
    oldest = [part.oldest_received_at for part in parts if part.oldest_received_at is not None]
    return Stats(
        depth=sum(part.depth for part in parts),
        used_bytes=sum(part.used_bytes for part in parts),
        disk_bytes=sum(part.disk_bytes for part in parts),
        log_bytes=sum(part.log_bytes for part in parts),
        max_bytes=max_bytes,
        oldest_received_at=min(oldest, default=None),
        parked=_total_parked([part.parked for part in parts]),
        blocked_checkpoints=sum(part.blocked_checkpoints for part in parts),
    )


def _total_parked(parts: Sequence[ParkedSummary]) -> ParkedSummary:
    latest = max(parts, key=lambda part: part.latest_at or 0, default=NONE_PARKED)
    return latest._replace(messages=sum(part.messages for part in parts))


def look(directory: Path, max_bytes: int) -> Stats:
    """Return how much is in an outbox, from outside, while a relay may be using it.

    Raises:
        OutboxError: there is none, or it can't be read.
    """
    with _opened(directory) as db:
        return stats_of(db, directory / FILE_NAME, max_bytes)


def inspect(directory: Path, max_bytes: int) -> tuple[Stats, list[tuple[str, int]]]:
    """Look into an outbox from outside, while a relay may be using it.

    Returns:
        Its stats, and its routing keys with their numbers of messages, the largest first.

    Raises:
        OutboxError: there is none, or it can't be read.
    """
    with _opened(directory) as db:
        keys = db.execute(
            "SELECT routing_key, count(*) FROM outbox GROUP BY 1 ORDER BY 2 DESC LIMIT 100"
        ).fetchall()
        return stats_of(db, directory / FILE_NAME, max_bytes), keys


def inspect_all(
    root: Path, max_bytes: int, workers: int
) -> dict[int, tuple[Stats, list[tuple[str, int]]]]:
    """Inspect all outboxes of a receiver. The keys of the result are the numbers of workers.

    Args:
        root: its `outbox.directory`.
        max_bytes: the bound on all of them.
        workers: how many share the bound; orphaned outboxes are inspected, too.

    Raises:
        OutboxError: there is none, or one can't be read.
    """
    share_bytes = layout.share_bytes(max_bytes, workers)
    found = {}
    for number in layout.read_present(root):
        directory = layout.directory_of(root, number)
        try:
            found[number] = inspect(directory, share_bytes)
        except OutboxError:
            if (directory / FILE_NAME).exists():
                raise  # else it was orphaned, and drained meanwhile
    if not found:
        raise OutboxError(f"There is no outbox in {root}.")
    return found


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[sqlite3.Connection]:
    path = directory / FILE_NAME
    try:
        if not path.exists():
            raise OutboxError(f"There is no outbox in {directory}.")
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        db.text_factory = READ_TEXT
        try:
            db.execute("BEGIN")  # all that follows sees one moment, whatever a relay deletes
            yield db
        finally:
            db.close()
    except (OSError, sqlite3.Error) as error:
        raise OutboxError(f"The outbox {path} can't be read: {explained(path, error)}.") from error


def age_s(stats: Stats, now: float | None = None) -> float:
    """Return how long the oldest message has waited, 0 when there is none."""
    if stats.oldest_received_at is None:
        return 0.0
    return max(0.0, (time.time() if now is None else now) - stats.oldest_received_at)
