"""The lock that keeps a second process out of an outbox's directory."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO

from relay.errors import OutboxError
from relay.outbox.files import make_directory

LOCK_NAME = "outbox.lock"


def lock(directory: Path) -> IO[str]:
    """Create the directory and lock it, until the returned file is closed.

    Raises:
        OutboxError: the directory can't be used, or another process has the lock.
    """
    try:
        make_directory(directory)
        file = (directory / LOCK_NAME).open("a+")
    except OSError as error:
        raise unusable(directory, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise OutboxError(
            f"The outbox {directory} is in use by another relay (process {owner}); "
            "give each relay its own outbox.directory."
        ) from error
    with contextlib.suppress(OSError):  # the number only helps a person; the disk may be full
        os.truncate(file.fileno(), 0)
        os.write(file.fileno(), str(os.getpid()).encode())
    return file


def unusable(directory: Path, error: OSError) -> OutboxError:
    """Return the error of an outbox directory in which this user can't create and write files."""
    part = Path(error.filename or directory)
    is_in_it = directory in part.parents and os.access(part, os.F_OK)
    where = f" ({part.relative_to(directory)})" if is_in_it else ""
    return OutboxError(
        f"The outbox directory {directory} can't be used: {error.strerror}{where}; set "
        "outbox.directory to one that this user can write."
    )
