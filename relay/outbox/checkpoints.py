"""Checkpoints: what is in the database's log is written into its file, while commits go on.

By itself SQLite does so within the commit that makes the log long enough: whoever waits for it, or
behind it, waits for 4 MiB more and for two more fsyncs. A thread of its own does it here. SQLite
begins the log anew only once all of it is in the file, which beside steady commits never happens:
what was committed meanwhile is left. So where the log has become long, the thread writes what was
added meanwhile, and the outbox's thread the little that is left after that, between two commits.

SQLite before 3.51.3 may damage the file if a commit begins the log anew in the moment in which
another connection begins a checkpoint. That can only be while all of the log is in the file: the
thread never begins one then, and nobody but it and the outbox's thread does one.
https://www.sqlite.org/wal.html#ckpt, https://www.sqlite.org/wal.html#walresetbug
"""

import contextlib
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import structlog

from relay.errors import OutboxError
from relay.outbox import space
from relay.outbox.database import PAGE_BYTES
from relay.process.safe_traceback import safe_traceback

_CHECKPOINT_PAGES = 1024
"""4 MiB, as SQLite's own: more in the log saves little."""
_LONG_LOG_PAGES = 2 * _CHECKPOINT_PAGES
_MAX_UNWRITTEN_PAGES = 4 * _CHECKPOINT_PAGES
"""16 MiB, as the log is to have. Commits wait for a checkpoint that they outrun by so much: if the
disk is full by then, the reserve has to hold what is not in the file yet."""
_PAGES_PER_COMMIT = 4
"""Beside those that new rows fill: the table's inner pages, and what rows are deleted from."""

log = structlog.get_logger("relay.outbox")


class Checkpoints:
    """The checkpoints of one database. All methods belong to the outbox's thread.

    Args:
        path: of the database, which exists.
        db: the connection that writes to it; it leaves checkpoints to this from now on.

    Raises:
        OutboxError: there is no thread or connection to be had.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        try:
            self._db = self._thread.submit(_connect, path).result()  # so the thread is there
            db.execute("PRAGMA wal_autocheckpoint = 0")
        except (RuntimeError, sqlite3.Error) as error:
            self._thread.shutdown(wait=False)
            raise OutboxError(f"The outbox {path} can't be opened: {error}.") from error
        self.is_closed = False
        self._pages = 0  # that were committed since the last checkpoint began, about
        self._pages_before = 0  # that it had to write
        self._running: Future[int] | None = None
        self._was_running = False  # when the last commit had ended
        self._is_second = False
        self._is_failing = False

    @property
    def is_running(self) -> bool:
        """Whether a checkpoint is under way; another one on another connection would fail."""
        return self._running is not None and not self._running.done()

    @property
    def _is_log_long(self) -> bool:
        """Whether it was when the last checkpoint began, which has ended."""
        return self._running is not None and self._running.result() >= _LONG_LOG_PAGES

    def note_commit(self, size_bytes: int) -> None:
        """Begin a checkpoint if enough was committed since the last one began.

        Args:
            size_bytes: of the rows that were inserted.
        """
        self._pages += size_bytes // PAGE_BYTES + _PAGES_PER_COMMIT
        # A checkpoint that ended during this commit may have left nothing to write, see above.
        was_running, self._was_running = self._was_running, self.is_running
        if not (was_running or self._was_running) and self._is_due():
            self._is_second = self._is_log_long
            self._pages_before, self._pages = self._pages, 0
            self._running = self._thread.submit(self._checkpoint)
            self._was_running = True

    def _is_due(self) -> bool:
        """Return whether to begin one, while none is under way."""
        return not self._is_second and (self._pages >= _CHECKPOINT_PAGES or self._is_log_long)

    def _checkpoint(self) -> int:
        """Write back what is in the log. Return how many pages it had, 0 if that failed."""
        try:
            pages = _write_back(self._db)
        except Exception as failure:  # noqa: BLE001  commits and the outbox's upkeep go on
            self._note_failure(failure)
            return 0
        if self._is_failing:
            self._is_failing = False
            log.info("outbox checkpoints recovered")
        return pages

    def _note_failure(self, failure: Exception) -> None:
        if self._is_failing:
            return
        self._is_failing = True
        is_disk = isinstance(failure, sqlite3.Error)
        why = {"reason": str(failure)} if is_disk else safe_traceback(failure)
        log.error("outbox checkpoints failing", **why)

    def finish(self, db: sqlite3.Connection) -> None:
        """Write back the rest of a long log, so that it begins anew; wait for one that lags.

        Args:
            db: the connection that writes to the database.
        """
        if self.is_running and self._lags():
            self.wait()
        if self._is_second and not self.is_running:
            self._is_second, self._running = False, None
            with contextlib.suppress(sqlite3.Error):  # the next checkpoint will log it
                _write_back(db)

    def _lags(self) -> bool:
        """Return whether too much is not in the file yet. What is counted is rather too much."""
        return (
            self._pages_before + self._pages > _MAX_UNWRITTEN_PAGES
            and space.disk_use(self._path).log > _MAX_UNWRITTEN_PAGES * PAGE_BYTES
        )

    def wait(self) -> None:
        """Wait until no checkpoint is under way."""
        if self._running:
            self._running.result()

    def close(self) -> None:
        """Wait for the checkpoint that is under way, and end."""
        self._thread.shutdown()
        self._db.close()
        self.is_closed = True


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = FULL")
    return db


def _write_back(db: sqlite3.Connection) -> int:
    """Do a checkpoint that waits for nobody. Return how many pages the log had when it began."""
    (_, log_pages, _) = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(log_pages)
