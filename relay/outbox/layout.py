"""Where the outboxes of one receiver lie: worker 0's in the directory itself, the others' below.

So the outbox of a relay of one process is worker 0's once there are more. Paths only.
"""

import re
from pathlib import Path

from relay.outbox.database import FILE_NAME

_BELOW = re.compile(r"worker-([1-9][0-9]{0,5})")


def directory_of(root: Path, worker: int) -> Path:
    """Return the directory of a worker's outbox."""
    return root / f"worker-{worker}" if worker else root


def share_bytes(max_bytes: int, workers: int) -> int:
    """Return what each outbox may take, so that all of them stay within max_bytes."""
    return max_bytes // workers


def present(root: Path) -> list[int]:
    """Return the workers, in order, that have an outbox, be it left over from another time.

    Raises:
        OSError: the directory can't be read.
    """
    below = [_BELOW.fullmatch(it.name) for it in root.iterdir()] if root.exists() else []
    numbers = [0, *sorted(int(it[1]) for it in below if it)]
    return [it for it in numbers if (directory_of(root, it) / FILE_NAME).exists()]


def orphaned(root: Path, *, worker: int, count: int) -> list[Path]:
    """Return the outboxes that none of count workers uses, as far as this one takes them over.

    Raises:
        OSError: the directory can't be read.
    """
    numbers = [it for it in present(root) if it >= count and it % count == worker]
    return [directory_of(root, it) for it in numbers]
