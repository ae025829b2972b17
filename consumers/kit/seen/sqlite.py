"""The `seen` store's marks in SQLite: a file, which several services on one machine may share."""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

from consumers.kit.seen.dialect import INDEX, TABLE
from relay.outbox.files import explained, is_corrupt, set_aside

_BUSY_TIMEOUT_S = 10.0
_WAL_RETRY_S = 0.02
# What SQLite says of the disk or of other users of the file, not of a statement.
_TROUBLE = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM),
    *(sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
}

log = structlog.get_logger("consumers")


class SqliteDialect:
    """SQLite.

    Args:
        path: of the file.
        busy_timeout_s: how long to wait for another user of the file.
    """

    placeholder = "?"
    begin, begin_reading = "BEGIN IMMEDIATE", "BEGIN"
    is_server = False
    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)

    def __init__(self, path: Path, *, busy_timeout_s: float = _BUSY_TIMEOUT_S) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._opened: tuple[int, int] | None = None

    def connect(self) -> sqlite3.Connection:
        """Open the file; create it and its directory where they are missing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(
            self._path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        self._opened = _identity(self._path)
        return db

    def is_moved(self) -> bool:
        """Compare the file's inode: another service that shares it may have set it aside."""
        return _identity(self._path) != self._opened

    def replace_corrupt(self, error: Exception) -> bool:
        """Rename the file to `seen.db.corrupt-TIME`, one service at a time, and log that once.

        A writer's error may be that of another database, so the file is checked first.
        """
        if not is_corrupt(error) or self._opened is None:
            return False
        try:
            with _locked(self._path.parent):
                if self.is_moved():
                    return True
                if not self._is_damaged():
                    return False
                kept = set_aside(self._path, time.time())
        except OSError:
            return False
        log.error("seen store corrupt", path=str(self._path), kept=str(kept), reason=str(error))
        return True

    def prepare(self, db: sqlite3.Connection, schema: str) -> None:
        """Create the table; a power cut may then take back the last marks, but lose no event."""
        self._switch_to_wal(db)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(TABLE)
        db.execute(INDEX)
        if schema:
            db.executescript(f"BEGIN IMMEDIATE;\n{schema}\n;COMMIT")

    def make_durable(self, db: sqlite3.Connection) -> None:
        """Sync every commit: a message is acknowledged, and so gone, once its event is written."""
        db.execute("PRAGMA synchronous = FULL")

    def explained(self, error: Exception) -> str:
        """Add which right is missing, for instance: SQLite does not say it."""
        return explained(self._path, error)

    def is_trouble(self, error: Exception) -> bool:
        """Look at SQLite's code, whose low byte is the primary one."""
        return _primary_code(error) in _TROUBLE

    def _is_damaged(self) -> bool:
        try:
            opened = sqlite3.connect(self._path, timeout=self._busy_timeout_s)
            with contextlib.closing(opened) as db:
                (finding,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.Error as error:
            return is_corrupt(error)
        return bool(finding != "ok")

    def _switch_to_wal(self, db: sqlite3.Connection) -> None:
        """Try until it works: this is the one statement for which SQLite has no busy timeout."""
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                is_busy = _primary_code(error) == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() > deadline:
                    raise
                time.sleep(_WAL_RETRY_S)
            else:
                return


def _primary_code(error: Exception) -> int | None:
    """Return the low byte of SQLite's code, the primary one; None if it is no error of SQLite's."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _identity(path: Path) -> tuple[int, int] | None:
    """Return a file's device and inode; None if there is none, as for `:memory:`."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
