"""The log is written into the file beside commits, and stays short all the same."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest

from relay.errors import NotDurable, OutboxFull
from relay.outbox import database, files, space
from relay.outbox.limits import OutboxLimits
from relay.outbox.outbox import Outbox
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

    await append(box, 12, size)

    use = space.disk_use(path)
    assert use.file < MIB
    assert use.log > 10 * MIB
    may_go.set()
    await append(box, 5, size)
    await eventually(lambda: is_in_file(path, 10))


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
    box = await open_outbox(max_bytes=5_000_000, limits=OutboxLimits(log_bytes=100_000))
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


async def _is_stored(box: Outbox, path: Path) -> bool:
    """Store and deliver. Until somebody looks, that is done in the removed file."""
    with contextlib.suppress(NotDurable):
        await box.append([message()])
    box.confirm([box.last_seq])
    return bool(files.identity(path))
