"""Disk space set aside beside the database, to be given up when the disk is full.

Even a delete writes to SQLite's log first. Without the reserve, an outbox that filled its own disk
could deliver everything and would stay full.
"""

import os
from pathlib import Path

RESERVE_NAME = "outbox.reserve"

_RESERVE_BYTES = 8 * 1024 * 1024
"""Enough to delete with on a full disk: the log is emptied after each step, see `database`."""
_LOG_BYTES = 4 * 1024 * 1024
"""What the write-ahead log takes at least, see `checkpoints`."""


def keep(directory: Path) -> None:
    """Set the reserve aside, unless it is there or the disk has no room for it and the log."""
    path = directory / RESERVE_NAME
    try:
        disk = os.statvfs(directory)
        if path.exists() or disk.f_bavail * disk.f_frsize < _RESERVE_BYTES + _LOG_BYTES:
            return
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)
    except OSError:
        path.unlink(missing_ok=True)


def give_up(directory: Path) -> None:
    """Return the reserve to the disk. Raises OSError if it can't be removed."""
    (directory / RESERVE_NAME).unlink(missing_ok=True)
