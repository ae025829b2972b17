"""The directory of an outbox: its lock, and what happens if its database is corrupt or removed.

Used by whoever opens the outbox, then by the outbox's thread alone.
"""

import sqlite3
import time
from pathlib import Path
from typing import IO

import structlog

from relay.errors import OutboxCorrupt, OutboxError
from relay.outbox import database, files
from relay.outbox.lock import LOCK_NAME, lock

log = structlog.get_logger("relay.outbox")


class OutboxDirectory:
    """A directory with a lock and a database.

    Args:
        path: created if missing.
        max_bytes: bound on the database's used pages.
        sets_corrupt_aside: whether a damaged database is renamed and a new one created; otherwise
            it can't be opened.
        check_every_s: how often to check that the database was not removed.
    """

    def __init__(
        self, path: Path, *, max_bytes: int, sets_corrupt_aside: bool, check_every_s: float
    ) -> None:
        self.path = path
        self._database_path = path / database.FILE_NAME
        self._max_bytes = max_bytes
        self._sets_corrupt_aside = sets_corrupt_aside
        self._check_every_s = check_every_s
        self._lock: IO[str] | None = None
        self._identity: tuple[tuple[int, int], ...] = ()
        self._checked_at = 0.0
        self._is_open = False

    def open(self) -> sqlite3.Connection:
        """Take the lock, and open or create the database.

        Raises:
            OutboxError: see Outbox.open.
        """
        self._take_lock()
        try:
            db = self._connect()
        except BaseException:
            self.unlock()
            raise
        self._identity, self._checked_at = files.identity(self._database_path), time.monotonic()
        self._is_open = True
        return db

    def _take_lock(self) -> None:
        """Lock the directory unless that is done; it may have been removed and recreated."""
        if self._lock and files.is_at(self.path / LOCK_NAME, self._lock.fileno()):
            return
        taken = lock(self.path)
        self.unlock()
        self._lock = taken

    def unlock(self) -> None:
        """Release the lock."""
        if self._lock:
            self._lock.close()
        self._lock = None

    def _connect(self) -> sqlite3.Connection:
        try:
            return database.connect(self._database_path, self._max_bytes)
        except OutboxCorrupt as error:
            if not self._sets_corrupt_aside:
                raise
            self._set_aside(error)
        return database.connect(self._database_path, self._max_bytes)

    def _set_aside(self, error: OutboxCorrupt) -> None:
        """Rename the damaged database. Raises OutboxError if that fails."""
        try:
            kept = files.set_aside(self._database_path, time.time())
        except OSError as failure:
            raise OutboxError(f"{error} It can't be set aside: {failure}.") from failure
        log.error("outbox set aside", reason=str(error), file=str(kept))

    def is_gone(self, db: sqlite3.Connection) -> bool:
        """Return whether db's file was removed and all its rows are delivered: recreate it then.

        A removed file can be used as long as it is open, but its rows end with this process.

        Raises:
            OSError: the file was removed, and there are rows left in it.
        """
        if self._identity and time.monotonic() - self._checked_at < self._check_every_s:
            return False
        self._checked_at = time.monotonic()
        if self._identity and files.identity(self._database_path) == self._identity:
            return False
        self._identity = ()  # from now on, check each time
        if self._is_open and database.last_seq(db):
            raise OSError("its file was removed; a new one is begun once all is delivered")
        return True

    def recreate(self, db: sqlite3.Connection) -> sqlite3.Connection:
        """Close db, whose file is gone, and return a new database. Nobody else may have it open.

        Raises:
            OutboxError: a new one can't be created.
        """
        db.close()
        self._is_open = False
        created = self.open()
        log.error("outbox recreated", reason="its file was removed")
        return created
