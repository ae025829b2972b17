"""Cut the power at many points of a recording, and open what is left with the relay's own code."""

import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from relay.errors import OutboxError
from relay.outbox import database
from relay.outbox.directory import OutboxDirectory
from tests.powercut import recording
from tests.powercut.disk import Disk

_KEPT = (0.0, 0.1, 0.5, 0.9, 1.0)
_MAX_NAMED = 20


class Result(NamedTuple):
    """What became of the disks; `faults` names at most 20 and counts are in `tally`."""

    tally: Counter[str]
    faults: list[str]


class _Promise:
    """What is promised at a point: from an acknowledgement until a confirm, an event is there."""

    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        self.confirmed: set[str] = set()

    def note(self, written: bytes) -> None:
        for line in written.decode().splitlines():
            kind, name = line.split()
            (self.acknowledged if kind == "a" else self.confirmed).add(name)


def cut(trace: Path, root: Path, journal: Path, *, seed: int, disks: int) -> Result:
    """Make about so many disks out of a recording and open each of them.

    Args:
        trace: of `recording.record`.
        root: the folder that was there before, with the outbox's directory in it.
        journal: of the load.
        seed: of all choices.
        disks: to make, at least.
    """
    chance = random.Random(seed)  # noqa: S311  reproducible, not secret
    points = sum(1 for _ in recording.calls(trace))
    per_point = disks / points
    disk, promise, result, due = Disk(str(root)), _Promise(), Result(Counter(), []), 0.0
    for call in recording.calls(trace):
        if call.path == str(journal) and call.is_begun and call.strings:
            promise.note(call.strings[0])
        synced = disk.see(call)
        due += per_point * (0.5 + chance.random())
        while due >= 1 or synced:
            due, synced = due - (not synced), False
            _open(disk.after_cut(chance, chance.choice(_KEPT)), root, promise, chance, result)
    return result


def _open(
    content: dict[str, bytes | None],
    root: Path,
    promise: _Promise,
    chance: random.Random,
    result: Result,
) -> None:
    """Lay a disk out in memory and look what the relay finds in it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        for name, data in content.items():
            path = Path(place) / Path(name).relative_to(root)
            if data is None:
                path.mkdir()
            else:
                path.write_bytes(data)
        directory = Path(place) / "outbox"
        if directory.exists() and chance.random() < 0.5:  # whatever the index was, it is no help
            (directory / "outbox.db-shm").write_bytes(chance.randbytes(32768))
        fault = _fault_of(directory, promise)
        result.tally["disks"] += 1
        result.tally["events"] += len(promise.acknowledged - promise.confirmed)
        if fault:
            result.tally[fault] += 1
            if len(result.faults) < _MAX_NAMED:
                result.faults.append(
                    f"disk {result.tally['disks']}: {fault}, files {list(content)}"
                )
                if len(result.faults) == 1:
                    shutil.copytree(place, root / "first-fault", dirs_exist_ok=True)


def _fault_of(directory: Path, promise: _Promise) -> str:
    opened = OutboxDirectory(
        directory, max_bytes=1 << 28, sets_corrupt_aside=True, check_every_s=1e9
    )
    try:
        db = opened.open()
    except OutboxError as error:
        return f"does not open: {error}".replace(str(directory), "outbox")
    try:
        names = [name for (name,) in db.execute("SELECT id FROM outbox")]
        bodies = {m.message.id: m.message.body[:32] for m in database.read(db, after=0, limit=9999)}
    finally:
        db.close()
        opened.unlock()
    if len(set(names)) < len(names):
        return "an event is there twice"
    if any(body.decode() != name for name, body in bodies.items()):
        return "a body is not its event's"
    if promise.acknowledged - promise.confirmed - set(names):
        return "an acknowledged event is lost"
    if list(directory.glob("*.corrupt-*")):
        return "set aside as corrupt"
    return ""
