"""The outbox on a disk that fails, and what is written to one that does not."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.errors import NotDurable, OutboxError
from relay.outbox import database, stats
from relay.outbox.outbox import Outbox
from relay.outbox.reserve import RESERVE_NAME
from tests.integration.outbox.conftest import (
    Open,
    execute,
    is_empty,
    let_disk_fail,
    let_disk_recover,
    message,
)
from tests.support.eventually import LIMIT_S, eventually

MIB = 1024 * 1024


async def test_a_failing_disk_is_unavailable_and_recovers(open_outbox: Open) -> None:
    box = await open_outbox()
    await box.append([message("before")])
    await let_disk_fail(box)

    with pytest.raises(NotDurable, match="readonly"):
        await box.append([message("lost")])
    with pytest.raises(NotDurable, match="readonly"):
        await box.check_writable()
    box.confirm([1])

    await let_disk_recover(box)
    await box.check_writable()
    await box.append([message("after")])
    rows = await box.pending(after=1, limit=10)
    assert [row.message.id for row in rows] == ["after"]


async def test_closing_with_a_failing_disk_ends(open_outbox: Open) -> None:
    box = await open_outbox()
    await box.append([message()])
    await let_disk_fail(box)
    box.confirm([1])

    async with asyncio.timeout(5):
        await box.close()

    with pytest.raises(NotDurable, match="shutting down"):
        box.append([message()])


async def test_a_disk_that_refuses_everything_leaves_the_thread_alive(
    open_outbox: Open, directory: Path
) -> None:
    box = await open_outbox()
    await box.append([message("before")])
    # A file system that turned read-only lets nothing be unlinked; nor is a directory ever.
    reserve = directory / RESERVE_NAME
    reserve.unlink()
    reserve.mkdir()
    await let_disk_fail(box)
    box.confirm([1])

    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(NotDurable, match="readonly"):
            await box.append([message("lost")])

    await let_disk_recover(box)
    await eventually(lambda: is_empty(box))


async def test_the_reserve_is_only_given_up_to_delete(open_outbox: Open, directory: Path) -> None:
    box = await open_outbox()
    reserve = directory / RESERVE_NAME
    before = reserve.stat().st_ino, reserve.stat().st_mtime_ns
    await let_disk_fail(box)

    with pytest.raises(NotDurable):
        await box.append([message("lost")])

    assert (reserve.stat().st_ino, reserve.stat().st_mtime_ns) == before


async def test_a_disk_that_cannot_be_read_is_an_outbox_error(open_outbox: Open) -> None:
    box = await open_outbox()
    await execute(box, "ALTER TABLE outbox RENAME TO gone")

    with pytest.raises(OutboxError, match="can't be read: no such table"):
        await box.stats()


async def test_a_damaged_database_is_named_at_start(open_outbox: Open, directory: Path) -> None:
    box = await open_outbox()
    await execute(box, "ALTER TABLE outbox RENAME TO gone")
    await box.close()

    with pytest.raises(OutboxError, match="can't be opened: no such table"):
        await open_outbox()

    assert (directory / database.FILE_NAME).exists()


async def test_the_database_syncs_every_commit(open_outbox: Open) -> None:
    box = await open_outbox()

    (mode,) = await execute(box, "PRAGMA journal_mode")
    (synchronous,) = await execute(box, "PRAGMA synchronous")

    assert (mode, synchronous) == ("wal", 2)


async def test_what_was_confirmed_is_not_written_once_more(
    open_outbox: Open, directory: Path
) -> None:
    box = await open_outbox()
    log = directory / "outbox.db-wal"
    await box.append([message(size=3_000_000)])  # less than a checkpoint, which would begin anew
    written = log.stat().st_size

    box.confirm([box.last_seq])
    await eventually(lambda: is_empty(box))

    assert written > 3_000_000
    assert log.stat().st_size - written < 300_000


@pytest.mark.parametrize(
    "damage",
    [
        "routing_key = CAST(X'7377FF2E6D' AS TEXT)",
        "routing_key = CAST(routing_key AS BLOB)",
        "id = CAST(X'C3' AS TEXT)",
        "id = CAST(X'C3' AS BLOB)",
        "body = CAST(X'7BFF7D' AS TEXT)",
        "properties = CAST(X'80FE' AS TEXT)",
        "received_at = 'FF'",
    ],
)
async def test_a_damaged_row_holds_up_none_behind_it(
    open_outbox: Open, directory: Path, damage: str
) -> None:
    box = await open_outbox()
    await box.append([message("1")])
    await box.append([message("2")])
    await box.append([message("3")])
    await box.close()
    with contextlib.closing(sqlite3.connect(directory / database.FILE_NAME)) as db, db:
        db.execute(f"UPDATE outbox SET {damage} WHERE seq = 2")  # noqa: S608  a row above
    box = await open_outbox()

    before, damaged, after = await box.pending(after=0, limit=10)

    assert (before.message, after.message) == (message("1"), message("3"))
    assert [type(value) for value in damaged.message] == [type(value) for value in after.message]
    assert await box.fetch([2]) == [damaged]
    _, keys = stats.inspect(directory, 1_000_000)
    assert sum(count for _, count in keys) == 3


@pytest.mark.parametrize(("size", "count"), [(7_000_000, 1), (10_000_000, 1), (100_000, 100)])
async def test_a_commit_writes_each_page_once_and_reads_none_again(
    open_outbox: Open, size: int, count: int
) -> None:
    box = await open_outbox()
    rows = box._queue.numbered([message(size=size) for _ in range(count)])

    def commit() -> tuple[int, int]:
        before = _system_calls()
        box._store.commit(rows, size * count, [])
        after = _system_calls()
        return after["rchar"] - before["rchar"], after["syscw"] - before["syscw"]

    read_bytes, writes = await box._thread.do(commit)

    pages = size * count / database.PAGE_BYTES
    assert read_bytes < 100_000
    assert writes < 2.2 * pages  # of a frame in the log, head and page are written apart


def _system_calls() -> dict[str, int]:
    """Return what this thread has read and written; see proc(5)."""
    lines = Path("/proc/thread-self/io").read_text().splitlines()
    return {name: int(number) for name, _, number in (line.partition(": ") for line in lines)}


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of so many MiB, where mounting one is allowed."""
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("small_disk", [20, 33, 60, 90], indirect=True)
@pytest.mark.parametrize(("size", "count"), [(2_000, 50), (100_000, 1), (100_000, 40)])
async def test_an_outbox_that_filled_its_disk_delivers_its_way_out(
    open_outbox: Open, small_disk: Path, size: int, count: int
) -> None:
    box = await open_outbox(directory=small_disk / "outbox")
    with pytest.raises(NotDurable, match="disk is full"):
        await _fill_up(box, size, count)

    for seq in range(1, box.last_seq + 1, 300):  # as they are delivered
        box.confirm(range(seq, seq + 300))
        await asyncio.sleep(0)

    await eventually(lambda: is_empty(box))
    await eventually(lambda: _accepts(box, size))


async def _accepts(box: Outbox, size: int) -> bool:
    try:
        await box.append([message(size=size)])
    except NotDurable:
        return False
    return True


@pytest.mark.parametrize("small_disk", [16, 100], indirect=True)
@pytest.mark.parametrize("kept_mib", [None, 0, 1, 8])
async def test_the_reserve_is_as_large_as_the_disk_allows(
    open_outbox: Open, small_disk: Path, kept_mib: int | None
) -> None:
    is_small = os.statvfs(small_disk).f_blocks * 4096 < 17 * MIB
    reserve = small_disk / "outbox" / RESERVE_NAME
    reserve.parent.mkdir()
    if kept_mib is not None:  # by an earlier version, or an attempt that did not end
        reserve.write_bytes(bytes(kept_mib * MIB))

    box = await open_outbox(directory=reserve.parent)
    await box.close()

    assert reserve.stat().st_size == 24 * MIB or is_small
    assert reserve.stat().st_size <= 24 * MIB
    if is_small and kept_mib is None:
        assert 7 * MIB < reserve.stat().st_size <= 8 * MIB


async def _fill_up(box: Outbox, size: int, count: int) -> None:
    while True:
        await box.append([message(size=size) for _ in range(count)])
