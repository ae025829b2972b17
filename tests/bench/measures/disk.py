"""What an event weighs: as a message, in the outbox, in the archive."""

import asyncio
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench import consumers
from tests.bench.harness import workload
from tests.bench.measures import backlog

_QUEUE = "bench-disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Bytes per event, on average over every documented payload."""

    message: float
    outbox: float
    archive: float


async def measure(url: str, directory: Path, events: int) -> Weights:
    """Fill an outbox and an archive, and look at their files."""
    found = workload.messages()
    outbox = directory / "outbox"
    await backlog.fill(outbox, events)
    archive = directory / "archive"
    archive.mkdir()
    await consumers.fill(url, _QUEUE, events)
    command = [
        sys.executable,
        "-m",
        "tests.bench.candidates.consumer",
        "archive",
        url,
        _QUEUE,
        str(events),
    ]
    await asyncio.to_thread(
        subprocess.run, [*command, str(archive)], check=True, stdout=subprocess.DEVNULL
    )
    return Weights(
        message=statistics.fmean(
            [len(message.body) + len(message.properties) for message in found]
        ),
        outbox=_size(outbox) / events,
        archive=_size(archive) / events,
    )


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
