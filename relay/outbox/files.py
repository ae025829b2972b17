"""The outbox's database as a file: whether it is still where it was, and putting it aside.

Plain functions on paths; what is in the file is outbox_db's.
"""

import os
import time
from pathlib import Path

_LOG_SUFFIX = "-wal"
_INDEX_SUFFIX = "-shm"


def identity(path: Path) -> tuple[tuple[int, int], ...]:
    """Return what tells a database and its log from others of the same name; () if one is gone."""
    try:
        found = [path.stat(), _beside(path, _LOG_SUFFIX).stat()]
    except OSError:
        return ()
    return tuple([(it.st_dev, it.st_ino) for it in found])


def is_at(path: Path, descriptor: int) -> bool:
    """Tell whether an open file still has this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def set_aside(path: Path, now: float) -> Path:
    """Rename a corrupt database, with its log, so that a new one can be made in its place.

    Args:
        path: of the database; nobody may have it open.
        now: seconds since 1970, for its new name.

    Returns:
        Its new path. Nothing was changed in it.

    Raises:
        OSError: it can't be renamed.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06}Z"
    kept = path.with_name(f"{path.name}.corrupt-{stamp}")
    # The log first: one that is left beside a new database would be replayed into that.
    for suffix in (_LOG_SUFFIX, ""):
        if _beside(path, suffix).exists():
            _beside(path, suffix).rename(_beside(kept, suffix))
    _beside(path, _INDEX_SUFFIX).unlink(missing_ok=True)
    sync_directory(path.parent)
    return kept


def sync_directory(directory: Path) -> None:
    """Make the names of files durable, too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
