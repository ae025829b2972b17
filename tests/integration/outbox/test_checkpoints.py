"""The log is written into the file beside commits, and stays short all the same."""

import asyncio
import contextlib
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, MutableMapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from relay.errors import NotDurable, OutboxError, OutboxFull
from relay.outbox import database, files, outside, space
from relay.outbox.database import Pending
from relay.outbox.directory import OutboxDirectory
from relay.outbox.limits import OutboxLimits
from relay.outbox.outbox import Outbox
from relay.outbox.parked import Parking
from relay.outbox.store import OutboxStore
from tests.integration.outbox.conftest import Open, execute, message
from tests.support.eventually import LIMIT_S, eventually

MIB = 1 << 20


@pytest.fixture
def path(directory: Path) -> Path:
    return directory / database.FILE_NAME


@pytest.fixture
def may_go() -> Iterator[threading.Event]:
    """What a checkpoint that is held waits for."""
    event = threading.Event()
    yield event
    event.set()


def hold_checkpoints(box: Outbox, may_go: threading.Event) -> None:
    """Let the next checkpoint wait, as for a slow disk."""
    box._store._checkpoints._thread.submit(may_go.wait, LIMIT_S)


async def append(box: Outbox, mib: int, size: int = 100_000) -> None:
    for _ in range(mib * MIB // size):
        await box.append([message(size=size)])


async def is_in_file(path: Path, mib: int) -> bool:
    return space.disk_use(path).file > mib * MIB


@pytest.mark.parametrize("size", [10_000, 100_000, 1_000_000])
async def test_commits_do_not_wait_for_a_checkpoint(
    open_outbox: Open, path: Path, may_go: threading.Event, size: int
) -> None:
    box = await open_outbox()
    hold_checkpoints(box, may_go)

    await append(box, 6, size)

    use = space.disk_use(path)
    assert use.file < MIB
    assert use.log > 5 * MIB
    may_go.set()
    await append(box, 5, size)
    await eventually(lambda: is_in_file(path, 5))


@pytest.mark.parametrize("size", [20_000, 100_000, 1_000_000])
async def test_commits_wait_for_a_checkpoint_that_lags_far_behind(
    open_outbox: Open, path: Path, may_go: threading.Event, size: int
) -> None:
    """What is not in the file yet must fit into the reserve, should the disk be full."""
    box = await open_outbox()
    hold_checkpoints(box, may_go)
    appending = [box.append([message(size=size)]) for _ in range(40 * MIB // size)]

    await eventually(lambda: space.disk_use(path).log > 10 * MIB)
    await asyncio.wait(appending, timeout=1)

    assert space.disk_use(path).log < 20 * MIB
    may_go.set()
    await asyncio.gather(*appending)


@pytest.mark.parametrize("size", [20_000, 60_000, 150_000])
async def test_the_log_begins_anew_although_commits_never_pause(
    open_outbox: Open, path: Path, size: int
) -> None:
    box = await open_outbox()
    longest = 0

    async def deliver() -> None:
        nonlocal longest
        for _ in range(32 * MIB // size):
            await box.append([message(size=size)])
            box.confirm([box.last_seq])
            longest = max(longest, space.disk_use(path).log)

    await asyncio.gather(deliver(), deliver())

    assert 4 * MIB < longest < 30 * MIB
    assert await execute(box, "PRAGMA integrity_check") == ("ok",)


async def test_while_a_checkpoint_hangs_the_log_is_bounded_all_the_same(
    open_outbox: Open, path: Path
) -> None:
    box = await open_outbox(
        max_bytes=5_000_000, limits=OutboxLimits(log_bytes=100_000, keep_up_every_s=0.02)
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM outbox").fetchone()
        box._store._checkpoints._running = Future()

        with pytest.raises(OutboxFull, match="log of the outbox"):
            await _fill_for_ever(box)


async def _fill_for_ever(box: Outbox) -> None:
    while True:
        await box.append([message(size=50_000)])
        box.confirm([box.last_seq])


async def test_closing_waits_for_the_checkpoint_and_leaves_no_log(
    open_outbox: Open, path: Path, may_go: threading.Event
) -> None:
    box = await open_outbox()
    hold_checkpoints(box, may_go)
    await append(box, 6)

    closing = asyncio.ensure_future(box.close())
    await asyncio.sleep(0)
    may_go.set()
    await closing

    assert not files.log_of(path).exists()
    reopened = await open_outbox()
    assert (await reopened.stats()).depth == 6 * MIB // 100_000


async def test_checkpoints_go_into_the_file_that_replaces_a_removed_one(
    open_outbox: Open, path: Path
) -> None:
    box = await open_outbox()
    await append(box, 6)
    box.confirm(range(1, box.last_seq + 1))
    await eventually(lambda: _is_drained(box))
    for file in path.parent.iterdir():
        file.unlink()

    await eventually(lambda: _is_stored(box, path))
    await append(box, 12)

    await eventually(lambda: is_in_file(path, 8))


async def _is_drained(box: Outbox) -> bool:
    return not (await box.stats()).depth


@pytest.mark.parametrize("mib", [1, 6, 12])
@pytest.mark.parametrize(
    "removed", [["-wal"], ["-wal", "-shm"], [""], ["", "-wal"], ["", "-wal", "-shm"]]
)
async def test_a_new_database_is_made_whichever_of_the_files_was_removed(
    open_outbox: Open, path: Path, removed: list[str], mib: int
) -> None:
    box = await open_outbox(limits=OutboxLimits(check_file_every_s=0))
    await append(box, mib)
    box.confirm(range(1, box.last_seq + 1))
    await eventually(lambda: _is_drained(box))
    await box._thread.do(box._store._checkpoints.wait)

    for suffix in removed:
        path.with_name(path.name + suffix).unlink()
    await eventually(lambda: _is_stored(box, path))

    await append(box, 6)
    await box.close()
    again = await open_outbox()
    assert (await again.stats()).depth >= 6 * MIB // 100_000


async def _is_stored(box: Outbox, path: Path) -> bool:
    """Store and deliver. Until somebody looks, that is done in the removed file."""
    with contextlib.suppress(NotDurable):
        await box.append([message()])
    box.confirm([box.last_seq])
    return bool(files.identity(path))


def log_state(path: Path) -> tuple[int, int]:
    """Return how many pages the log has, and how many of these are in the file.

    By another process: closing the index here would let go of SQLite's locks of it.
    https://www.sqlite.org/walformat.html#the_wal_index_file_format
    """
    index = subprocess.check_output(["head", "-c", "100", f"{path}-shm"])
    return (
        int.from_bytes(index[16:20], sys.byteorder),
        int.from_bytes(index[96:100], sys.byteorder),
    )


class Passes:
    """What was in the log whenever the thread began a checkpoint."""

    def __init__(self, box: Outbox, path: Path) -> None:
        self.states: list[tuple[int, int]] = []
        self._path = path
        box._store._checkpoints._db.set_trace_callback(self._trace)

    def _trace(self, statement: str) -> None:
        if "wal_checkpoint" in statement:
            self.states.append(log_state(self._path))


@pytest.mark.parametrize("size", [20_000, 100_000, 1_000_000])
@pytest.mark.parametrize("mib", [5, 7, 9])
async def test_no_checkpoint_begins_while_all_of_the_log_is_in_the_file(
    open_outbox: Open, path: Path, may_go: threading.Event, mib: int, size: int
) -> None:
    """A commit in that moment could damage the file: it would begin the log anew."""
    box = await open_outbox()
    passes = Passes(box, path)
    hold_checkpoints(box, may_go)
    await append(box, mib, size)
    may_go.set()
    await box._thread.do(box._store._checkpoints.wait)  # it takes all of the log

    for _ in range(3):
        await box.append([message()])
        await box._thread.do(box._store._checkpoints.wait)

    assert passes.states
    assert all(written < pages for pages, written in passes.states)


@pytest.mark.parametrize("size", [60_000, 300_000])
async def test_nor_does_one_beside_steady_commits(open_outbox: Open, path: Path, size: int) -> None:
    box = await open_outbox()
    passes = Passes(box, path)

    async def deliver() -> None:
        for _ in range(32 * MIB // size):
            await box.append([message(size=size)])
            box.confirm([box.last_seq])

    await asyncio.gather(deliver(), deliver())

    assert len(passes.states) > 3
    assert all(written < pages for pages, written in passes.states)


@pytest.mark.parametrize("command", [outside.drop, outside.retry])
async def test_a_command_beside_the_relay_does_no_checkpoint(
    open_outbox: Open,
    path: Path,
    may_go: threading.Event,
    command: Callable[[Path, Collection[str]], list[str]],
) -> None:
    box = await open_outbox()
    hold_checkpoints(box, may_go)
    await append(box, 6)
    await box.parked.park([Parking(7, "cause", "too large", 1.5)], due=2e9)

    assert await asyncio.to_thread(command, path.parent, []) == ["a"]

    assert log_state(path)[1] == 0


def test_an_outbox_without_connections_or_files_left_says_so_and_goes_on_later(
    directory: Path, path: Path
) -> None:
    def store() -> OutboxStore:
        held = OutboxDirectory(directory, max_bytes=MIB, sets_corrupt_aside=False, check_every_s=0)
        return OutboxStore(held, max_bytes=MIB, limits=OutboxLimits())

    def few_files(count: int) -> AbstractContextManager[None]:
        return limit(resource.RLIMIT_NOFILE, len(list(Path("/proc/self/fd").iterdir())) - 1 + count)

    for count in range(12):
        opened = store()
        with contextlib.suppress(OutboxError), few_files(count):
            opened.open()
            opened.close()
        opened.open()  # its lock was released
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink()
        with few_files(count):
            result = opened.commit([Pending(count + 1, message())], 100, [])
        if result.error:
            assert opened.commit([Pending(count + 2, message())], 100, []).error is None
        assert opened.commit([], 0, [count + 1, count + 2]).undeleted == []
        opened.close()


async def test_a_checkpoint_that_fails_is_logged_and_the_log_is_bounded(
    open_outbox: Open, path: Path
) -> None:
    limits = OutboxLimits(log_bytes=100_000, keep_up_every_s=0.02)
    box = await open_outbox(limits=limits, max_bytes=60 * MIB)
    await append(box, 20)
    await eventually(lambda: space.disk_use(path).log <= limits.log_bytes)

    with capture_logs() as logs, limit(resource.RLIMIT_FSIZE, space.disk_use(path).file):
        await append(box, 6)
        await eventually(
            lambda: _events(logs) >= {"outbox checkpoints failing", "outbox log grows"}
        )
        box._store._upkeep._full_log_bytes = MIB
        await eventually(lambda: box._store._upkeep.is_log_full)
        with pytest.raises(OutboxFull, match="check the disk"):
            await box.append([message()])
    box._store._upkeep._full_log_bytes = 100 * MIB
    await eventually(lambda: space.disk_use(path).log <= limits.log_bytes)
    with capture_logs() as later:
        await append(box, 5)
        await eventually(lambda: "outbox checkpoints recovered" in _events(later))

    assert [line["event"] for line in logs].count("outbox checkpoints failing") == 1
    (warning,) = [line for line in logs if line["event"] == "outbox log grows"]
    assert "check the disk" in warning["reason"]
    assert (await box.stats()).blocked_checkpoints > 0


def _events(logs: Sequence[MutableMapping[str, Any]]) -> set[str]:
    return {line["event"] for line in logs}


@contextlib.contextmanager
def limit(kind: int, value: int) -> Iterator[None]:
    """Let this process have no more of something."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)
