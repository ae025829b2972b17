"""The thread's side of the outbox: commits, reads, and what a failing disk means.

Everything here blocks. Whoever opens the outbox uses it first, then the outbox's thread alone.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from relay.errors import NotDurable, OutboxError, OutboxFull
from relay.outbox import database
from relay.outbox.checkpoints import Checkpoints
from relay.outbox.database import Pending
from relay.outbox.directory import OutboxDirectory
from relay.outbox.limits import OutboxLimits
from relay.outbox.stats import Stats, stats_of
from relay.outbox.upkeep import Upkeep

_FULL_LOGS = 4
"""Nothing more is stored once the log is so many times too large, and larger than max_bytes."""
_CHECKPOINT_S = 0.05
"""What a checkpoint takes, about; meanwhile the log can't be emptied by force."""


class CommitResult(NamedTuple):
    """What became of a commit.

    Args:
        error: why no row was stored; None if all were.
        undeleted: numbers of confirmed rows that are still to be deleted.
    """

    error: NotDurable | None
    undeleted: list[int]


class OutboxStore:
    """An open database in a locked directory. `open` before use, `close` after.

    Args:
        directory: where the database is.
        max_bytes: bound on the database's used pages.
        limits: see OutboxLimits.
    """

    def __init__(self, directory: OutboxDirectory, *, max_bytes: int, limits: OutboxLimits) -> None:
        self._directory = directory
        self._path = directory.path / database.FILE_NAME
        self._max_bytes = max_bytes
        self._max_read_bytes = limits.read_bytes
        self._upkeep = Upkeep(
            self._path,
            max_log_bytes=limits.log_bytes,
            full_log_bytes=max(max_bytes, _FULL_LOGS * limits.log_bytes),
            every_s=limits.keep_up_every_s,
        )
        self.db: sqlite3.Connection
        self._checkpoints: Checkpoints

    def open(self) -> int:
        """Lock the directory, open or create the database, and return its last row's number.

        Raises:
            OutboxError: see Outbox.open.
        """
        self.db = self._directory.open()
        try:
            self._checkpoints = Checkpoints(self._path, self.db)
        except OutboxError:
            self.db.close()
            self._directory.unlock()
            raise
        return database.last_seq(self.db)

    def _ensure_current(self) -> None:
        """Begin a new database if its file was removed. Raises OSError, OutboxError."""
        if self._directory.is_gone(self.db):
            # First: while any connection is open, SQLite trusts what it knows of a removed log.
            self._checkpoints.close()
            self.db = self._directory.recreate(self.db)
        if self._checkpoints.is_closed:  # also if that failed the last time
            self._checkpoints = Checkpoints(self._path, self.db)

    def close(self) -> None:
        """Close the database, then release the lock."""
        try:
            self._checkpoints.close()
            self.db.close()
        finally:
            self._directory.unlock()

    def commit(
        self, rows: Sequence[Pending], size_bytes: int, confirmed: list[int]
    ) -> CommitResult:
        """Insert rows and delete confirmed ones, in one transaction. It is on disk on return.

        Args:
            rows: to insert.
            size_bytes: of these, as database.size counts.
            confirmed: numbers of rows to delete.
        """
        if rows and self._upkeep.is_log_full:
            return CommitResult(self._log_full(), self.commit([], 0, confirmed).undeleted)
        try:
            self._ensure_current()
            with self.db:
                self.db.execute("BEGIN IMMEDIATE")
                database.insert(self.db, rows)
                database.delete(self.db, confirmed)
        except Exception as failure:  # noqa: BLE001  whatever it is, the senders must be answered
            error = self._explain(failure, size_bytes)
            return CommitResult(error, self._delete_alone(confirmed))
        self._checkpoints.note_commit(size_bytes)
        return CommitResult(None, [])

    def _delete_alone(self, confirmed: list[int]) -> list[int]:
        """Delete although there was no room for new rows. Return what is still to be deleted."""
        try:
            if confirmed:
                self._checkpoints.wait()
                database.delete_on_full_disk(self.db, self._directory.path, confirmed)
        except (OSError, sqlite3.Error):
            return confirmed
        return []

    def _explain(self, failure: Exception, needed_bytes: int) -> NotDurable:
        """Return the error of a failed write: SQLite reports our bound as it does a full disk."""
        is_full = getattr(failure, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        with contextlib.suppress(sqlite3.Error):  # it can't be read: the bound is not the trouble
            if is_full and not database.fits(self.db, needed_bytes):
                return OutboxFull(
                    f"The outbox has reached {self._max_bytes} bytes; try again later."
                )
        return NotDurable(f"The outbox can't be written ({failure}); try again later.")

    def _log_full(self) -> OutboxFull:
        return OutboxFull(
            f"The log of the outbox {self._path} can't be emptied: {self._upkeep.blocked_by}."
        )

    def keep_up(self, *, is_idle: bool) -> float:
        """Give back disk space if there is some. Return after how many seconds to call again."""
        if self._checkpoints.is_running:
            self._upkeep.check_log()
            return _CHECKPOINT_S
        return self._upkeep.run(self.db, is_idle=is_idle)

    def finish_checkpoint(self) -> None:
        """Let the log begin anew if it is long. To be called between two commits."""
        self._checkpoints.finish(self.db)

    def check_writable(self) -> None:
        """Write and delete a row. Raises NotDurable if that fails."""
        if self._upkeep.is_log_full:
            raise self._log_full()
        try:
            self._ensure_current()
            database.probe(self.db)
        except (OSError, OutboxError, sqlite3.Error) as failure:
            raise self._explain(failure, database.PROBE_BYTES) from failure

    def read(self, *, after: int, limit: int) -> list[Pending]:
        """Return at most limit rows that follow `after`, in order.

        Raises:
            sqlite3.Error: the disk can't be read; so do fetch and stats.
        """
        return database.read(self.db, after=after, limit=limit, max_bytes=self._max_read_bytes)

    def fetch(self, seqs: Sequence[int]) -> list[Pending]:
        """Return the rows with these numbers that are still there, in order."""
        return database.fetch(self.db, seqs, max_bytes=self._max_read_bytes)

    def stats(self) -> Stats:
        """Return how much is in the outbox."""
        stats = stats_of(self.db, self._path, self._max_bytes)
        return replace(stats, blocked_checkpoints=self._upkeep.blocked)
