"""Checkpoints: what is in the database's log is written into its file, while commits go on.

By itself SQLite does so within the commit that makes the log long enough: whoever waits for it, or
behind it, waits for 4 MiB more and for two more fsyncs. A thread of its own does it here. SQLite
begins the log anew only once all of it is in the file, which beside steady commits never happens:
what was committed meanwhile is left. Where the log has become long, the outbox's thread writes this
rest, between two commits.
https://www.sqlite.org/wal.html#ckpt, https://www.sqlite.org/pragma.html#pragma_wal_checkpoint
"""

import contextlib
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from relay.outbox.database import PAGE_BYTES

_CHECKPOINT_PAGES = 1024
"""4 MiB, as SQLite's own: more in the log saves little."""
_LONG_LOG_PAGES = 2 * _CHECKPOINT_PAGES
_OWN_CHECKPOINT_PAGES = 8 * _CHECKPOINT_PAGES
"""32 MiB. A commit that makes the log as long does checkpoint, should this thread not keep up. The
largest deliveries are half of it."""
_PAGES_PER_COMMIT = 4
"""Beside those that new rows fill: the table's inner pages, and what rows are deleted from."""


class Checkpoints:
    """The checkpoints of one database. All methods belong to the outbox's thread.

    Args:
        path: of the database, which exists.
        db: the connection that writes to it; it leaves checkpoints to this from now on.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._db = self._thread.submit(_connect, path).result()  # so the thread is there
        db.execute(f"PRAGMA wal_autocheckpoint = {_OWN_CHECKPOINT_PAGES}")
        self._pages = 0  # that were committed since the last checkpoint began, about
        self._running: Future[None] | None = None
        self._has_rest = False

    @property
    def is_running(self) -> bool:
        """Whether a checkpoint is under way; another one on another connection would fail."""
        return self._running is not None and not self._running.done()

    def note_commit(self, size_bytes: int) -> None:
        """Begin a checkpoint if enough was committed since the last one began.

        Args:
            size_bytes: of the rows that were inserted.
        """
        self._pages += size_bytes // PAGE_BYTES + _PAGES_PER_COMMIT
        if self._pages >= _CHECKPOINT_PAGES and not (self.is_running or self._has_rest):
            self._pages = 0
            self._running = self._thread.submit(self._checkpoint)

    def _checkpoint(self) -> None:
        """Write back what is in the log now, and if that is much, what was added meanwhile."""
        with contextlib.suppress(sqlite3.Error):  # a commit that fails, too, is what matters
            log_pages = _write_back(self._db)
            if log_pages >= _LONG_LOG_PAGES:
                self._has_rest = _write_back(self._db) != log_pages

    def finish(self, db: sqlite3.Connection) -> None:
        """Write back the rest of a long log, so that it begins anew.

        Args:
            db: the connection that writes to the database.
        """
        if self._has_rest and not self.is_running:
            self._has_rest = False
            with contextlib.suppress(sqlite3.Error):
                _write_back(db)

    def wait(self) -> None:
        """Wait until no checkpoint is under way."""
        if self._running:
            self._running.result()

    def close(self) -> None:
        """Wait for the checkpoint that is under way, and end."""
        self._thread.shutdown()
        self._db.close()


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = FULL")
    return db


def _write_back(db: sqlite3.Connection) -> int:
    """Do a checkpoint that waits for nobody. Return how many pages the log had when it began."""
    (_, log_pages, _) = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(log_pages)
