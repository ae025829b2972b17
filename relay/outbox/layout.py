"""Where the outboxes of a receiver are: worker 0's in the directory itself, the others' below.

So the outbox of a single process becomes worker 0's once there are more. Paths only.
"""

import re
from pathlib import Path

from relay.errors import OutboxError
from relay.outbox.database import FILE_NAME

_WORKER_DIRECTORY = re.compile(r"worker-([1-9][0-9]{0,5})")


def directory_of(root: Path, worker: int) -> Path:
    """Return the directory of a worker's outbox."""
    return root / f"worker-{worker}" if worker else root


def share_bytes(max_bytes: int, workers: int) -> int:
    """Return the bound on each outbox with which all of them stay within max_bytes."""
    return max_bytes // workers


def present(root: Path) -> list[int]:
    """Return the workers, in order, that have an outbox, orphaned or not.

    Raises:
        OSError: the directory can't be read.
    """
    return [
        number for number in _numbers(root) if (directory_of(root, number) / FILE_NAME).exists()
    ]


def read_present(root: Path) -> list[int]:
    """Return `present`.

    Raises:
        OutboxError: the directory can't be read.
    """
    try:
        return present(root)
    except OSError as error:
        raise OutboxError(
            f"The outbox directory {root} can't be read: {error.strerror}."
        ) from error


def _numbers(root: Path) -> list[int]:
    names = [path.name for path in root.iterdir()] if root.exists() else []
    below = [match for name in names if (match := _WORKER_DIRECTORY.fullmatch(name))]
    return [0, *sorted(int(match[1]) for match in below)]


def orphaned(root: Path, *, worker: int, count: int) -> list[Path]:
    """Return the directories that none of count workers uses, as far as this worker drains them.

    Nothing in them is looked at, as each may be on another disk, which hangs.

    Raises:
        OSError: the directory can't be read.
    """
    numbers = [number for number in _numbers(root) if number >= count and number % count == worker]
    return [directory_of(root, number) for number in numbers]
