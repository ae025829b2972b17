"""What a database takes on disk, and how it gives back what it does not need. All of it blocks.

SQLite reuses the pages of deleted rows, but does not shrink the file by itself. Where the file has
`auto_vacuum = INCREMENTAL`, free pages can be cut off it a few at a time. A file of an earlier
version has not. Rebuilding one costs as much as what is left in it: that waits until it is little.
https://www.sqlite.org/pragma.html#pragma_auto_vacuum, https://www.sqlite.org/wal.html
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import NamedTuple

from relay.outbox.files import log_of

MAX_LOG_BYTES = 16 * 1024 * 1024
"""The log usually has a quarter to half of this, see `checkpoints`; large batches need more."""
BUSY_TIMEOUT_S = 5.0
"""How long a write waits for a command such as `relay outbox drop`."""

_INCREMENTAL = 2  # what `PRAGMA auto_vacuum` returns
_LOG_WAIT_S = 0.05
"""How long a reader may keep the log from being shortened, while commits wait."""


class DiskUse(NamedTuple):
    """What a database takes on disk, in bytes; zeros if it is gone.

    Args:
        file: of the database.
        log: of its write-ahead log.
    """

    file: int
    log: int


def disk_use(path: Path) -> DiskUse:
    """Return what the database at a path takes on disk."""
    return DiskUse(_bytes_of(path), _bytes_of(log_of(path)))


def _bytes_of(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def free_pages(db: sqlite3.Connection) -> int:
    """Return how many pages of the file hold nothing."""
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    return int(free)


def used_pages(db: sqlite3.Connection) -> int:
    """Return how many pages of the file hold something."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    return int(pages) - free_pages(db)


def let_shrink(db: sqlite3.Connection) -> None:
    """Let `cut` work in a new file. In another one, this would write and yet change nothing."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    if not pages:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")


def can_shrink(db: sqlite3.Connection) -> bool:
    """Return whether `cut` works; else the file has to be rebuilt once."""
    (mode,) = db.execute("PRAGMA auto_vacuum").fetchone()
    return bool(mode == _INCREMENTAL)


def cut(db: sqlite3.Connection, pages: int) -> None:
    """Cut free pages off the file; it is shorter once the log is written back."""
    # Of a pragma without columns, `execute` does but the first step, which is one page.
    db.executescript(f"PRAGMA incremental_vacuum({pages})")


def rebuild(db: sqlite3.Connection) -> None:
    """Write what is left anew, without free pages, so that `cut` works from now on."""
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("VACUUM")


def shorten_log(db: sqlite3.Connection) -> bool:
    """Write the log back into the file and empty it. Return whether that was possible.

    It is not while another process reads an older state; that is waited for only for a moment.
    """
    db.execute(f"PRAGMA busy_timeout = {_LOG_WAIT_S * 1000:.0f}")
    try:
        (is_busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}")
    return not is_busy
