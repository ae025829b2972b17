"""Files for the owner alone: they hold what customers wrote, or secrets."""

import os
from pathlib import Path

_OWNER_ONLY = 0o600


def write_new(path: Path, content: bytes, *, mode: int = _OWNER_ONLY) -> None:
    """Write a file that is not there yet; only its owner reads it, unless mode says otherwise.

    Args:
        path: of the file.
        content: of the file.
        mode: as `os.open` takes it: the umask takes away from it.

    Raises:
        FileExistsError: it is there already; it stays as it is.
        OSError: it can't be written; no part of it is left.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode == _OWNER_ONLY:
                os.fchmod(descriptor, mode)
            file.write(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise
