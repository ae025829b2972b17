"""Files for the owner alone: they hold what customers wrote."""

import os
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads.

    Raises:
        FileExistsError: it is there already; it stays as it is.
        OSError: it can't be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
