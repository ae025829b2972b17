"""Disk space set aside beside the database, to be given up when the disk is full.

Even a delete writes to SQLite's log first, and the log is emptied only into a file that may have to
grow by as much. Without the reserve, an outbox that filled its own disk could deliver everything
and would stay full.
"""

import contextlib
import os
from pathlib import Path

from relay.outbox import space

RESERVE_NAME = "outbox.reserve"

_MAX_BYTES = space.MAX_LOG_BYTES + 8 * 1024 * 1024
"""For a log as long as it gets, and for the deletes themselves."""
_MIN_BYTES = 4 * 1024 * 1024
"""On a small disk, where the log is small, too: a checkpoint's worth."""
_MAX_SHARE = 0.5
"""Of what is free: the rest is for the outbox."""


def keep(directory: Path) -> None:
    """Set the reserve aside, less of it on a small disk, none where even that would be too much.

    One that is there stays, unless it is smaller and there is room for all of it.
    """
    path = directory / RESERVE_NAME
    try:
        disk = os.statvfs(directory)
        size_bytes = min(_MAX_BYTES, int(disk.f_bavail * disk.f_frsize * _MAX_SHARE))
        wanted_bytes = _MAX_BYTES if path.exists() else _MIN_BYTES
        if size_bytes < wanted_bytes or (path.exists() and path.stat().st_size >= size_bytes):
            return
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
    except OSError:
        with contextlib.suppress(OSError):  # commits report a disk that lets nothing be changed
            path.unlink(missing_ok=True)


def give_up(directory: Path) -> None:
    """Return the reserve to the disk. Raises OSError if it can't be removed."""
    (directory / RESERVE_NAME).unlink(missing_ok=True)
