"""Cut the power at many points of a recording, and open what is left with the relay's own code."""

import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from relay.errors import OutboxError
from relay.events.message import Message
from relay.outbox import database, layout, parked
from relay.outbox.directory import OutboxDirectory
from tests.powercut import recording
from tests.powercut.disk import Disk, Extent
from tests.powercut.promise import Promise

_KEPT = (0.0, 0.1, 0.5, 0.9, 1.0)
_MAX_NAMED = 20
# A parked event is tried by its cause, so without one it would wait for ever.
_WITHOUT_CAUSE = (
    "SELECT count(*) FROM parked JOIN outbox USING (seq)"
    " WHERE cause NOT IN (SELECT cause FROM parked_causes)"
)
# SQLite keeps in a column what its bytes say, whatever the table declares.
_OF_ANOTHER_TYPE = (
    "SELECT count(*) FROM outbox WHERE (typeof(id), typeof(is_quarantined), typeof(routing_key),"
    " typeof(properties), typeof(body), typeof(received_at))"
    " <> ('text', 'integer', 'text', 'blob', 'blob', 'real')"
)
_MAX_REASON_BYTES = 200


class Result(NamedTuple):
    """What became of the disks; `faults` names at most 20 and counts are in `tally`."""

    tally: Counter[str]
    faults: list[str]


class Content(NamedTuple):
    """What the relay finds in its outboxes.

    Args:
        bodies: by event, one for each row.
        parked, quarantined: how many rows are.
        fault: what is wrong with it, or "".
    """

    bodies: list[tuple[str, bytes]]
    parked: int = 0
    quarantined: int = 0
    fault: str = ""


class Cuts:
    """The disks that power cuts may leave of a recording, one after the other.

    Args:
        root: the folder that was there before, with the outbox's directory in it.
        promise: what must be there.
        judge: says what is wrong with the rows of an outbox, or "".
        workers: whose outboxes there are.
        seed: of all choices.
    """

    def __init__(
        self,
        root: Path,
        promise: Promise,
        judge: Callable[[list[tuple[str, bytes]]], str],
        *,
        workers: int = 1,
        seed: int,
    ) -> None:
        self._root = root
        self._promise = promise
        self._judge = judge
        self._workers = workers
        self._chance = random.Random(seed)  # noqa: S311  reproducible, not secret
        self._disk = Disk(str(root))
        self.result = Result(Counter(), [])

    def play(self, traces: Iterable[Path], *, disks: int) -> Result:
        """Make about so many disks, at least, and open each of them.

        Raises:
            sqlite3.Error: an outbox can't be read though nothing was done to it.
        """
        _read_intact()
        calls = list(chain.from_iterable(map(recording.calls, traces)))
        due = 0.0
        for call in calls:
            self._promise.see(call)
            synced = self._disk.see(call)
            due += disks / len(calls) * (0.5 + self._chance.random())
            while due >= 1 or synced:
                due, synced = due - (not synced), False
                self._open(self._disk.after_cut(self._chance, self._chance.choice(_KEPT)))
        return self.result

    def _open(self, content: dict[str, Extent | None]) -> None:
        """Lay a disk out in memory and look what the relay finds in it."""
        tally, faults = self.result
        with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
            for name, extent in content.items():
                path = Path(place) / Path(name).relative_to(self._root)
                if extent is None:
                    path.mkdir()
                else:
                    extent.write_to(path)
            fault = self._fault_of(Path(place) / "outbox")
            tally["disks"] += 1
            if fault:
                tally[fault] += 1
                if len(faults) < _MAX_NAMED:
                    faults.append(f"disk {tally['disks']}: {fault}, files {list(content)}")
                    if len(faults) == 1:
                        shutil.copytree(place, self._root / "first-fault", dirs_exist_ok=True)

    def _fault_of(self, outbox: Path) -> str:
        owed = self._promise.owed
        self.result.tally["events"] += owed.total()
        names: Counter[str] = Counter()
        for worker in range(self._workers):
            directory = layout.directory_of(outbox, worker)
            if worker and not directory.exists():
                continue  # not made yet, or drained
            if directory.exists() and self._chance.random() < 0.5:  # whatever the index was
                (directory / "outbox.db-shm").write_bytes(self._chance.randbytes(32768))
            content = content_of(directory)
            if fault := content.fault or self._judge(content.bodies):
                return fault.replace(str(outbox), "outbox")
            names.update([name for name, _ in content.bodies])
            self.result.tally["parked"] += content.parked
            self.result.tally["quarantined"] += content.quarantined
        return "an acknowledged event is lost" if owed - names else ""


def content_of(directory: Path) -> Content:
    """Open an outbox as the relay does at its start, and return what it reads from it.

    Whatever SQLite has to say against the disk is a fault of the content.
    """
    opened = OutboxDirectory(
        directory, max_bytes=1 << 28, sets_corrupt_aside=True, check_every_s=1e9
    )
    try:
        with closing(opened.open()) as db:
            db.text_factory = str  # the relay reads damaged text, too; here it is a fault
            content = _read(db)
    except OutboxError as error:
        return Content([], fault=f"does not open: {error}")
    except sqlite3.Error as error:
        reason = str(error).encode("ascii", "backslashreplace")[:_MAX_REASON_BYTES].decode()
        return Content([], fault=f"can't be read: {reason}")
    finally:
        opened.unlock()
    if list(directory.glob("*.corrupt-*")):
        return Content([], fault="set aside as corrupt")
    return content


def _read_intact() -> None:
    """Read an outbox that is whole: what is wrong with the reading itself is no fault of a disk."""
    message = Message(id="a", routing_key="k", properties=b"", body=b"b", received_at=1.5)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        path = Path(place) / database.FILE_NAME
        with closing(database.connect(path, 1 << 28)) as db:
            database.insert(db, [database.Pending(seq, message) for seq in (1, 2)])
            parked.park(db, [parked.Parking(2, "cause", "reason", 1.5)], 0.0)
            assert _read(db) == Content([("a", b"b")] * 2, parked=1)


def _read(db: sqlite3.Connection) -> Content:
    (mistaken,) = db.execute(_OF_ANOTHER_TYPE).fetchone()
    if mistaken:
        return Content([], fault="a value has another type")
    rows = database.read(db, after=0, limit=9999)
    while rows and (more := database.read(db, after=rows[-1].seq, limit=9999)):
        rows += more
    numbers = db.execute("SELECT seq FROM parked JOIN outbox USING (seq)").fetchall()
    parked_rows = [row for (number,) in numbers for row in database.fetch(db, [number])]
    rows += parked_rows
    (count,) = db.execute("SELECT count(*) FROM outbox").fetchone()
    (stranded,) = db.execute(_WITHOUT_CAUSE).fetchone()
    fault = ""
    if count != len(rows):
        fault = "a row is not read"
    elif stranded:
        fault = "a parked event has no cause"
    return Content(
        [(row.message.id, row.message.body) for row in rows],
        parked=len(parked_rows),
        quarantined=sum(row.message.is_quarantined for row in rows),
        fault=fault,
    )
