"""Orphaned outboxes on a real disk: drained, removed, and left alone when they can't be."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from relay.events.message import Message
from relay.outbox import database
from relay.outbox.layout import directory_of
from relay.outbox.orphans import DrainTimes, OrphanDrain
from relay.outbox.outbox import Outbox
from relay.outbox.parked import Parking
from relay.process import tasks
from tests.support.eventually import LIMIT_S, eventually

TIMES = DrainTimes(search_every_s=0.02, wait_for_room_s=0.01, step_limit_s=0.5)
NOT_DRAINED = "orphaned outbox not drained"


def messages(*names: str, size: int = 100) -> list[Message]:
    return [
        Message(id=name, routing_key="a.b", properties=b"\0\0", body=b"b" * size, received_at=1.5)
        for name in names
    ]


@contextlib.asynccontextmanager
async def opened(directory: Path, max_bytes: int = 1 << 30) -> AsyncIterator[Outbox]:
    outbox = Outbox(directory=directory, max_bytes=max_bytes, committed=asyncio.Event())
    await outbox.open()
    try:
        yield outbox
    finally:
        await outbox.close()


async def leave(root: Path, worker: int, left: list[Message]) -> Path:
    """Make an outbox that a worker left, with so much in it."""
    directory = directory_of(root, worker)
    async with opened(directory) as outbox:
        for start in range(0, len(left), 50):
            await outbox.append(left[start : start + 50])
    return directory


async def ids(outbox: Outbox) -> list[str]:
    return [row.message.id for row in await outbox.pending(after=0, limit=100_000)]


@contextlib.asynccontextmanager
async def draining(root: Path, outbox: Outbox) -> AsyncIterator[OrphanDrain]:
    drain = OrphanDrain(root=root, worker=0, count=1, outbox=outbox, times=TIMES)
    async with tasks.task("drain", drain.run()):
        yield drain


class HangingDisk:
    """Lets all statements of some kind hang in the databases below a directory.

    Args:
        directory: of an outbox.
        kind: how the statements begin.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path, kind: str) -> None:
        self.answers = threading.Event()
        answers, connect = self.answers, sqlite3.connect

        class Connection(sqlite3.Connection):
            def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
                if statement.startswith(kind):
                    answers.wait(LIMIT_S)
                return super().execute(statement, *arguments)

        def connect_there(path: Any, **options: Any) -> sqlite3.Connection:
            factory = Connection if str(directory) in str(path) else sqlite3.Connection
            return connect(path, factory=factory, **options)

        monkeypatch.setattr(sqlite3, "connect", connect_there)


async def test_all_is_moved_in_order_and_the_files_are_removed(tmp_path: Path) -> None:
    names = [f"{n}" for n in range(1200)]
    one = await leave(tmp_path, 1, messages(*names))
    two = await leave(tmp_path, 2, messages("x", "y"))

    async with opened(tmp_path) as outbox:
        await outbox.append(messages("own"))
        before = await OrphanDrain(root=tmp_path, worker=0, count=1, outbox=outbox).stats()
        async with draining(tmp_path, outbox) as drain:
            await eventually(lambda: not (one.exists() or two.exists()))
            after = await drain.stats()

        assert await ids(outbox) == ["own", *names, "x", "y"]
        assert before.depth == after.depth == 1203
        assert before.oldest_received_at == 1.5


async def test_an_outbox_that_is_empty_or_was_never_used_is_removed(tmp_path: Path) -> None:
    used = await leave(tmp_path, 1, [])
    fresh = directory_of(tmp_path, 2)
    fresh.mkdir()
    (fresh / database.FILE_NAME).touch()

    async with opened(tmp_path) as outbox, draining(tmp_path, outbox):
        await eventually(lambda: not (used.exists() or fresh.exists()))


async def test_what_is_moved_leaves_half_of_the_room_to_deliveries(
    tmp_path: Path,
) -> None:
    names = [f"{n}" for n in range(300)]
    directory = await leave(tmp_path, 1, messages(*names, size=10_000))

    async with opened(tmp_path, 2_000_000) as outbox, draining(tmp_path, outbox) as drain:
        moved: list[str] = []

        async def is_waiting() -> bool:
            stats = await outbox.stats()
            return stats.max_bytes // 2 < stats.used_bytes < stats.max_bytes

        async def deliver(after: int) -> int:
            rows = await outbox.pending(after=after, limit=1000)
            moved.extend([row.message.id for row in rows if row.message.id != "delivery"])
            outbox.confirm([row.seq for row in rows])
            return rows[-1].seq if rows else after

        last = 0
        while directory.exists():
            await eventually(lambda: not directory.exists() or is_waiting())
            await outbox.append(messages("delivery"))
            last = await deliver(last)
        await deliver(last)
        await eventually(lambda: _is_empty(outbox))

        assert moved == names
        assert (await drain.stats()).depth == 0


async def test_what_is_parked_there_stays_parked_here(tmp_path: Path) -> None:
    directory = await leave(tmp_path, 1, messages("a", "b", "c"))
    async with opened(directory) as left:
        await left.parked.park([Parking(2, "webhooks a.b", "refused", 5.0)], due=9.0)

    async with opened(tmp_path) as outbox, draining(tmp_path, outbox):
        await outbox.append(messages("own"))
        await eventually(lambda: not directory.exists())

        assert await ids(outbox) == ["own", "a", "c"]
        due = await outbox.parked.next_due(10.0)
        assert due
        assert (due.cause, due.reason) == ("webhooks a.b", "refused")
        assert [row.message.id for row in await outbox.fetch([due.seq])] == ["b"]


async def _is_empty(outbox: Outbox) -> bool:
    return not (await outbox.stats()).depth


async def test_one_that_is_no_database_is_left_alone_and_the_next_one_is_not(
    tmp_path: Path,
) -> None:
    broken = await leave(tmp_path, 1, [])
    (broken / database.FILE_NAME).write_bytes(b"This is no database, but long enough." * 1000)
    whole = await leave(tmp_path, 2, messages("a"))

    with capture_logs() as logs:
        async with opened(tmp_path) as outbox, draining(tmp_path, outbox) as drain:
            await eventually(lambda: not whole.exists())
            assert await ids(outbox) == ["a"]
            assert (await drain.stats()).depth == 1

    (failure, *_) = [line for line in logs if line["event"] == NOT_DRAINED]
    assert failure["directory"] == str(broken)
    assert "not a database" in failure["reason"]
    assert (broken / database.FILE_NAME).exists()


async def test_one_with_a_broken_page_keeps_what_can_not_be_read(tmp_path: Path) -> None:
    directory = await leave(tmp_path, 1, messages(*map(str, range(2000)), size=1000))
    path = directory / database.FILE_NAME
    with path.open("r+b") as file:
        file.seek(database.PAGE_BYTES * 300)
        file.write(b"\xff" * database.PAGE_BYTES * 3)

    with capture_logs() as logs:
        async with opened(tmp_path) as outbox, draining(tmp_path, outbox):
            await eventually(
                lambda: any(line["event"] == "orphaned outbox not drained" for line in logs)
            )
            moved = await ids(outbox)

    assert moved == [str(n) for n in range(len(moved))]
    assert path.exists()


async def test_one_in_use_is_left_alone_until_it_is_free(
    tmp_path: Path,
) -> None:
    directory = await leave(tmp_path, 1, messages("a"))

    with capture_logs() as logs:
        async with opened(tmp_path) as outbox, draining(tmp_path, outbox):
            async with opened(directory) as in_use:
                await eventually(lambda: len(logs) > 2)
                assert await ids(outbox) == []
                assert await ids(in_use) == ["a"]
            await eventually(lambda: not directory.exists())
            assert await ids(outbox) == ["a"]

    assert "in use by another relay" in logs[0]["reason"]


async def test_a_move_that_is_interrupted_is_finished_first(tmp_path: Path) -> None:
    names = [f"{n}" for n in range(3000)]
    directory = await leave(tmp_path, 1, messages(*names))

    async with opened(tmp_path) as outbox:
        async with draining(tmp_path, outbox):
            await eventually(lambda: _is_not_empty(outbox))
        moved = await ids(outbox)
    db = sqlite3.connect(directory / database.FILE_NAME)
    left = [name for (name,) in db.execute("SELECT id FROM outbox ORDER BY seq")]
    db.close()

    assert 0 < len(moved) < 3000
    assert moved + left == names


KINDS = ["PRAGMA page_size", "SELECT seq", "SELECT", "BEGIN IMMEDIATE", "DELETE", "PRAGMA user"]


@pytest.mark.parametrize("kind", KINDS)
async def test_one_whose_disk_hangs_holds_up_neither_the_others_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    hanging = await leave(tmp_path, 1, messages("late"))
    other = await leave(tmp_path, 2, messages("a", "b"))
    disk = HangingDisk(monkeypatch, hanging, kind)

    with capture_logs() as logs:
        async with opened(tmp_path) as outbox, draining(tmp_path, outbox):
            await eventually(lambda: not other.exists())
            await outbox.append(messages("own"))
            await eventually(lambda: any(line["event"] == NOT_DRAINED for line in logs))
            async with asyncio.timeout(LIMIT_S):
                await outbox.stats()
            threads = [thread.name for thread in threading.enumerate()]
    failures = [line for line in logs if line["event"] == NOT_DRAINED]

    assert {line["directory"] for line in failures} == {str(hanging)}
    assert {line["reason"] for line in failures} == {"its disk does not answer"}
    assert sum(name.startswith("orphaned-outbox") for name in threads) <= 2
    disk.answers.set()


async def test_once_the_disk_of_one_answers_it_is_drained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = await leave(tmp_path, 1, messages("late"))
    disk = HangingDisk(monkeypatch, hanging, "PRAGMA page_size")

    with capture_logs() as logs:
        async with opened(tmp_path) as outbox, draining(tmp_path, outbox):
            await eventually(lambda: any(line["event"] == NOT_DRAINED for line in logs))
            disk.answers.set()
            await eventually(lambda: not hanging.exists())
            assert await ids(outbox) == ["late"]


async def test_probes_leave_out_what_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = await leave(tmp_path, 1, messages("late"))
    await leave(tmp_path, 2, messages("a", "b"))
    disk = HangingDisk(monkeypatch, hanging, "SELECT")

    async with opened(tmp_path) as outbox:
        drain = OrphanDrain(root=tmp_path, worker=0, count=1, outbox=outbox)
        async with asyncio.timeout(LIMIT_S / 2):
            found = await asyncio.gather(*[drain.stats() for _ in range(5)])
            found += [await drain.stats() for _ in range(20)]  # these wait for nothing

        assert {stats.depth for stats in found} == {2}
        disk.answers.set()
        await eventually(lambda: _has_depth(drain, 3))


async def _has_depth(drain: OrphanDrain, depth: int) -> bool:
    return (await drain.stats()).depth == depth


async def _is_not_empty(outbox: Outbox) -> bool:
    return bool((await outbox.stats()).depth)
