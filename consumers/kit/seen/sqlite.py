"""The `seen` store's marks in SQLite: a file, which several services on one machine may share."""

import sqlite3
import time
from pathlib import Path

from consumers.kit.seen.dialect import INDEX, TABLE

_BUSY_TIMEOUT_S = 10.0
_WAL_RETRY_S = 0.02
# What SQLite says of the disk or of other users of the file, not of a statement.
_TROUBLE = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT),
    *(sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL),
}


class SqliteDialect:
    """SQLite.

    Args:
        path: of the file.
        busy_timeout_s: how long to wait for another user of the file.
    """

    placeholder = "?"
    begin = "BEGIN IMMEDIATE"
    is_server = False
    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)

    def __init__(self, path: Path, *, busy_timeout_s: float = _BUSY_TIMEOUT_S) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s

    def connect(self) -> sqlite3.Connection:
        """Open the file; create it and its directory where they are missing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(
            self._path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
        )

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

    def is_trouble(self, error: Exception) -> bool:
        """Look at SQLite's code, whose low byte is the primary one."""
        code = getattr(error, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in _TROUBLE

    def _switch_to_wal(self, db: sqlite3.Connection) -> None:
        """Try until it works: this is the one statement for which SQLite has no busy timeout."""
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() > deadline:
                    raise
                time.sleep(_WAL_RETRY_S)
            else:
                return
