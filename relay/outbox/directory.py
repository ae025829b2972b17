"""Where the outbox's database lies: the lock on it, and what is done if it is corrupt or removed.

Belongs to one outbox, and to its worker thread once that runs.
"""

import sqlite3
import time
from pathlib import Path
from typing import IO

import structlog

from relay.errors import OutboxCorrupt, OutboxError
from relay.outbox import database, files

_LOOK_S = 1.0
"""How often it is looked whether the database is still there."""

log = structlog.get_logger("relay.outbox")


class OutboxDirectory:
    """A directory with a lock and a database.

    Args:
        directory: created if missing.
        max_bytes: bound on the database's used pages.
        sets_corrupt_aside: whether a damaged database is kept under another name and a new one
            begun; if not, it can't be opened.
    """

    def __init__(self, directory: Path, max_bytes: int, *, sets_corrupt_aside: bool) -> None:
        self._directory = directory
        self._path = directory / database.FILE_NAME
        self._max_bytes = max_bytes
        self._sets_corrupt_aside = sets_corrupt_aside
        self._lock: IO[str] | None = None
        self._identity: tuple[tuple[int, int], ...] = ()
        self._looked_at = 0.0
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
        self._identity, self._looked_at = files.identity(self._path), time.monotonic()
        self._is_open = True
        return db

    def _take_lock(self) -> None:
        """Lock the directory, unless that is done; it may have been removed and made anew."""
        path = self._directory / database.LOCK_NAME
        if self._lock and files.is_at(path, self._lock.fileno()):
            return
        lock = database.lock(self._directory)
        self.unlock()
        self._lock = lock

    def unlock(self) -> None:
        """Give up the lock."""
        if self._lock:
            self._lock.close()
        self._lock = None

    def _connect(self) -> sqlite3.Connection:
        try:
            return database.connect(self._path, self._max_bytes)
        except OutboxCorrupt as error:
            if not self._sets_corrupt_aside:
                raise
            try:
                kept = files.set_aside(self._path, time.time())
            except OSError as failure:
                raise OutboxError(f"{error} It can't be set aside: {failure}.") from failure
            log.error("outbox set aside", reason=str(error), file=str(kept))  # noqa: TRY400  no bug
        return database.connect(self._path, self._max_bytes)

    def ensure_current(self, db: sqlite3.Connection) -> sqlite3.Connection:
        """Return db, or a new one once it was removed and all that was in it is delivered.

        A file without a name goes on working, and all in it is gone with this process.

        Raises:
            OSError: it was removed, and there is something left in it.
            OutboxError: it was removed, and a new one can't be made.
        """
        if self._identity and time.monotonic() - self._looked_at < _LOOK_S:
            return db
        self._looked_at = time.monotonic()
        if self._identity and files.identity(self._path) == self._identity:
            return db
        self._identity = ()  # from now on, look each time
        if self._is_open:
            if database.last_seq(db):
                raise OSError("its file was removed; a new one is begun once all is delivered")
            db.close()
            self._is_open = False
        begun = self.open()
        log.error("outbox begun anew", reason="its file was removed")
        return begun
