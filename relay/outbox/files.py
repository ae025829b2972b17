"""The outbox's database as a file: whether it is in its place and whole, and how it is set aside.

Plain functions on paths; `database` knows what is in the file.
"""

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from relay.errors import words_of

_LOG_SUFFIX = "-wal"
_INDEX_SUFFIX = "-shm"
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NOT_OPENED = {
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM),
    *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_AUTH),
}


def identity(path: Path) -> tuple[tuple[int, int], ...]:
    """Return the inodes of a database and its log, which a new file of that name would not have.

    Empty if one of them is gone.
    """
    try:
        found = [path.stat(), log_of(path).stat()]
    except OSError:
        return ()
    return tuple([(status.st_dev, status.st_ino) for status in found])


def log_of(path: Path) -> Path:
    """Return where a database's write-ahead log is."""
    return _beside(path, _LOG_SUFFIX)


def is_at(path: Path, descriptor: int) -> bool:
    """Return whether an open file still has this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def is_corrupt(error: Exception) -> bool:
    """Return whether SQLite says with this error that the file is damaged, or no database.

    https://www.sqlite.org/rescode.html#primary_result_codes_versus_extended_result_codes
    """
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def explained(path: Path, error: Exception) -> str:
    """Return what an error of a database says, and what SQLite does not: why it can't be opened."""
    words = words_of(error)
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(error, OSError) and (code is None or code & 0xFF not in _NOT_OPENED):
        return words
    with contextlib.suppress(PermissionError):  # which is told below
        if path.is_dir():
            return f"{words}; {path} is a directory"
        if path.parent.exists() and not path.parent.is_dir():
            return f"{words}; {path.parent} is no directory"
    for place in (path.parent, path, log_of(path), _beside(path, _INDEX_SUFFIX)):
        if os.access(place, os.F_OK) and not os.access(place, os.R_OK | os.W_OK):
            return f"{words}; this user needs the right to read and write {place}"
    return words


def set_aside(path: Path, now: float) -> Path:
    """Rename a corrupt database, with its log, so that a new one can be made in its place.

    Args:
        path: of the database. Nobody may have it open.
        now: seconds since 1970, for the new name.

    Returns:
        The new path. The file's content is as it was.

    Raises:
        OSError: the file can't be renamed.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06}Z"
    kept = path.with_name(f"{path.name}.corrupt-{stamp}")
    # The log first: SQLite would replay one that is left behind into the new database.
    for suffix in (_LOG_SUFFIX, ""):
        if _beside(path, suffix).exists():
            _beside(path, suffix).rename(_beside(kept, suffix))
    _beside(path, _INDEX_SUFFIX).unlink(missing_ok=True)
    sync_directory(path.parent)
    return kept


def make_directory(directory: Path) -> None:
    """Create a directory and what is missing above it, so that a power cut leaves them there.

    To sync a file or a directory does not make its own name durable (fsync(2)).

    Raises:
        OSError: one can't be created, or its name can't be made durable.
    """
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in missing:
        sync_directory(path.parent)
    if not missing:
        # A process that ended here may have created it. If another user did, we may have no right.
        with contextlib.suppress(OSError):
            sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Make the names of the files in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
