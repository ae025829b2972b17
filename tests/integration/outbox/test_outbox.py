"""The outbox on a real disk: order, durability, bounds, and everything a disk can do wrong."""

import asyncio
import os
import resource
import signal
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from relay.errors import NotDurable, OutboxError, OutboxFull
from relay.events.message import Message
from relay.outbox import database
from relay.outbox import stats as outbox_stats
from relay.outbox.outbox import Outbox
from tests.support.eventually import LIMIT_S, eventually


def message(name: str = "a", size: int = 100) -> Message:
    return Message(
        id=name,
        routing_key="swiftsell.message.created.text",
        properties=b"\0\0",
        body=b"b" * size,
        received_at=1_700_000_000.5,
    )


async def is_empty(box: Outbox) -> bool:
    return not (await box.stats()).depth


class HeldInsert:
    """Keeps a batch, and the worker, until it may go."""

    def __init__(self) -> None:
        self._insert = database.insert
        self.is_held, self.may_go = threading.Event(), threading.Event()

    def __call__(self, db: sqlite3.Connection, rows: Sequence[database.Pending]) -> None:
        self.is_held.set()
        assert self.may_go.wait(LIMIT_S)
        self._insert(db, rows)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> HeldInsert:
    held = HeldInsert()
    monkeypatch.setattr(database, "insert", held)
    return held


Open = Callable[..., Awaitable[Outbox]]


@pytest.fixture
async def open_outbox(tmp_path: Path) -> AsyncIterator[Open]:
    boxes: list[Outbox] = []

    async def open_outbox(
        max_bytes: int = 1 << 30, directory: Path | None = None, **options: bool
    ) -> Outbox:
        where = directory or tmp_path / "outbox"
        box = Outbox(directory=where, max_bytes=max_bytes, committed=asyncio.Event(), **options)
        await box.open()
        boxes.append(box)
        return box

    yield open_outbox
    for box in boxes:
        if not box._is_closed:
            await box.close()


async def test_messages_come_back_in_the_order_they_were_appended(open_outbox: Open) -> None:
    box = await open_outbox()

    await asyncio.gather(*[box.append([message(f"{n}"), message(f"{n}'")]) for n in range(50)])

    rows = await box.pending(after=0, limit=1000)
    assert [row.message.id for row in rows] == [f"{n}{t}" for n in range(50) for t in ("", "'")]
    assert [row.seq for row in rows] == list(range(1, 101))


async def test_what_was_appended_is_there_after_a_restart(open_outbox: Open) -> None:
    box = await open_outbox()
    original = message("kept")
    await box.append([original])
    await box.close()

    again = await open_outbox()

    assert [row.message for row in await again.pending(after=0, limit=10)] == [original]
    assert again.last_seq == 1


async def test_confirmed_messages_are_gone_and_numbers_are_not_reused(open_outbox: Open) -> None:
    box = await open_outbox()
    await box.append([message(f"{n}") for n in range(10)])

    box.confirm([2, 1, 5, 9, 4])
    await box.close()

    again = await open_outbox()
    await again.append([message("new")])
    rows = await again.pending(after=0, limit=100)
    assert [row.seq for row in rows] == [3, 6, 7, 8, 10, 11]


async def test_a_confirm_is_deleted_without_another_append(open_outbox: Open) -> None:
    box = await open_outbox()
    await box.append([message()])

    box.confirm([1])

    await eventually(lambda: is_empty(box))


async def test_a_reader_that_lags_reads_from_disk_and_misses_nothing(
    open_outbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.outbox.outbox._MAX_FRESH_BYTES", 20_000)
    box = await open_outbox()

    seen: list[str] = []
    after = 0
    for n in range(200):
        await box.append([message(f"{n}")])
        if n % 40 == 39:
            while rows := await box.pending(after=after, limit=7):
                seen += [row.message.id for row in rows]
                after = rows[-1].seq

    assert seen == [f"{n}" for n in range(200)]


async def test_a_read_is_bounded_in_bytes(
    open_outbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.outbox.database._MAX_READ_BYTES", 10_000)
    box = await open_outbox()
    await box.append([message(f"{n}", size=4_000) for n in range(10)])
    await box.close()
    again = await open_outbox()

    rows = await again.pending(after=0, limit=100)
    fetched = await again.fetch([10, 9, 8, 7])

    assert [row.seq for row in rows] == [1, 2]
    assert [row.seq for row in fetched] == [7, 8]


async def test_fetch_returns_what_is_left_of_the_numbers(open_outbox: Open) -> None:
    box = await open_outbox()
    await box.append([message(f"{n}") for n in range(5)])
    box.confirm([2])
    await box.append([message("more")])

    rows = await box.fetch([4, 2, 1, 99])

    assert [row.seq for row in rows] == [1, 4]


async def test_stats_tell_depth_bytes_and_age(open_outbox: Open) -> None:
    box = await open_outbox(max_bytes=2_000_000)
    empty = await box.stats()
    await box.append([message(f"{n}", size=1000) for n in range(50)])

    stats = await box.stats()

    assert (empty.depth, empty.oldest_received_at) == (0, None)
    assert (stats.depth, stats.max_bytes) == (50, 2_000_000)
    assert 50_000 < stats.used_bytes < 150_000
    assert outbox_stats.age_s(stats, now=1_700_000_010.5) == 10
    assert outbox_stats.age_s(empty) == 0


async def test_a_full_outbox_says_so_and_takes_again_once_there_is_room(open_outbox: Open) -> None:
    box = await open_outbox(max_bytes=1_048_576)
    stored = 0

    async def fill() -> None:
        nonlocal stored
        while True:
            await box.append([message(f"{stored}", size=20_000)])
            stored += 1

    with pytest.raises(OutboxFull, match="1048576 bytes"):
        await fill()
    with pytest.raises(OutboxFull):
        await box.check_writable()

    box.confirm(range(1, stored + 1))
    await eventually(lambda: is_empty(box))

    await box.check_writable()
    await box.append([message("after")])
    assert 20 < stored < 60
    assert [row.message.id for row in await box.pending(after=stored, limit=9)] == ["after"]


async def test_too_much_waiting_for_the_disk_is_refused_at_once(
    open_outbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.outbox.outbox._MAX_QUEUED_BYTES", 10_000)
    box = await open_outbox()
    first = box.append([message(size=8_000)])

    with pytest.raises(OutboxFull, match="does not keep up"):
        box.append([message(size=8_000)])

    await first
    await box.append([message(size=50_000)])  # alone, even a large one is taken


async def test_a_second_process_is_kept_out(open_outbox: Open, tmp_path: Path) -> None:
    await open_outbox()

    with pytest.raises(OutboxError, match=rf"in use by another relay \(process {os.getpid()}\)"):
        await open_outbox()

    code = (
        "import asyncio,sys; from pathlib import Path; from relay.outbox.outbox import Outbox;"
        "asyncio.run(Outbox(directory=Path(sys.argv[1]), max_bytes=1<<30,"
        " committed=asyncio.Event()).open())"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(tmp_path / "outbox")), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"in use by another relay" in errors


async def test_an_outbox_of_another_version_is_left_alone(
    open_outbox: Open, tmp_path: Path
) -> None:
    (tmp_path / "outbox").mkdir()
    db = sqlite3.connect(tmp_path / "outbox" / database.FILE_NAME)
    db.execute("PRAGMA user_version = 7")
    db.close()

    with pytest.raises(OutboxError, match=r"schema version 7, this relay knows 1"):
        await open_outbox()


async def test_a_file_that_is_no_database_is_left_alone_if_told_so(
    open_outbox: Open, tmp_path: Path
) -> None:
    (tmp_path / "outbox").mkdir()
    path = tmp_path / "outbox" / database.FILE_NAME
    path.write_bytes(b"not a database " * 1000)

    with pytest.raises(OutboxError, match="can't be opened: file is not a database"):
        await open_outbox(sets_corrupt_aside=False)

    assert path.read_bytes().startswith(b"not a database")
    path.unlink()
    await open_outbox()  # the lock was given back


async def test_a_directory_that_is_a_file_is_refused(open_outbox: Open, tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("")

    with pytest.raises(OutboxError, match="outbox can't be used: File exists"):
        await open_outbox()


async def test_the_directory_is_created_for_its_owner_alone(
    open_outbox: Open, tmp_path: Path
) -> None:
    await open_outbox(directory=tmp_path / "a" / "b")

    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


async def test_a_failing_disk_is_unavailable_and_recovers(open_outbox: Open) -> None:
    box = await open_outbox()
    await box.append([message("before")])
    await box._run(lambda: box._db.execute("PRAGMA query_only = ON"))

    with pytest.raises(NotDurable, match="readonly"):
        await box.append([message("lost")])
    with pytest.raises(NotDurable, match="readonly"):
        await box.check_writable()
    box.confirm([1])

    await box._run(lambda: box._db.execute("PRAGMA query_only = OFF"))
    await box.check_writable()
    await box.append([message("after")])
    rows = await box.pending(after=1, limit=10)
    assert [row.message.id for row in rows] == ["after"]


async def test_closing_with_a_failing_disk_ends(open_outbox: Open) -> None:
    box = await open_outbox()
    await box.append([message()])
    await box._run(lambda: box._db.execute("PRAGMA query_only = ON"))
    box.confirm([1])

    async with asyncio.timeout(5):
        await box.close()

    with pytest.raises(NotDurable, match="shutting down"):
        box.append([message()])


async def test_closing_commits_what_is_queued(open_outbox: Open) -> None:
    box = await open_outbox()
    futures = [box.append([message(f"{n}")]) for n in range(20)]

    await box.close()

    assert all(future.done() and not future.exception() for future in futures)
    again = await open_outbox()
    assert (await again.stats()).depth == 20


async def test_a_caller_that_gave_up_does_not_disturb_the_others(open_outbox: Open) -> None:
    box = await open_outbox()
    gone, stays = box.append([message("gone")]), box.append([message("stays")])
    gone.cancel()

    await stays

    assert (await box.stats()).depth == 2


async def test_the_worker_goes_on_while_the_event_loop_is_busy(
    open_outbox: Open, held: HeldInsert, tmp_path: Path
) -> None:
    box = await open_outbox()
    first = box.append([message("first")])
    assert held.is_held.wait(LIMIT_S)
    second = box.append([message("second")])

    held.may_go.set()
    deadline = time.monotonic() + LIMIT_S
    while outbox_stats.look(tmp_path / "outbox", 0).depth < 2:
        assert time.monotonic() < deadline

    assert not any(it.done() for it in (first, second))  # the loop had no turn in all this
    await asyncio.gather(first, second)


async def test_a_read_is_not_kept_waiting_by_batch_after_batch(
    open_outbox: Open, held: HeldInsert
) -> None:
    box = await open_outbox()
    first = box.append([message("first")])
    assert held.is_held.wait(LIMIT_S)
    second = box.append([message("second")])
    reading = asyncio.ensure_future(box.stats())
    await asyncio.sleep(0)  # it asks now

    held.may_go.set()

    assert (await reading).depth == 1
    await asyncio.gather(first, second)


async def test_the_database_syncs_every_commit(open_outbox: Open) -> None:
    box = await open_outbox()

    (mode,) = await box._run(lambda: box._db.execute("PRAGMA journal_mode").fetchone())
    (synchronous,) = await box._run(lambda: box._db.execute("PRAGMA synchronous").fetchone())

    assert (mode, synchronous) == ("wal", 2)


async def test_what_was_confirmed_is_not_written_once_more(
    open_outbox: Open, tmp_path: Path
) -> None:
    box = await open_outbox()
    log = tmp_path / "outbox" / "outbox.db-wal"
    await box.append([message(size=3_000_000)])  # less than a checkpoint, which would begin anew
    written = log.stat().st_size

    box.confirm([box.last_seq])
    await eventually(lambda: is_empty(box))

    assert written > 3_000_000
    assert log.stat().st_size - written < 300_000


async def test_inspect_looks_into_an_outbox_in_use(open_outbox: Open, tmp_path: Path) -> None:
    box = await open_outbox()
    await box.append([message(f"{n}") for n in range(3)])

    stats, keys = outbox_stats.inspect(tmp_path / "outbox", 1000)

    assert (stats.depth, stats.max_bytes) == (3, 1000)
    assert keys == [("swiftsell.message.created.text", 3)]


async def test_inspect_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutboxError, match="There is no outbox"):
        outbox_stats.inspect(tmp_path, 1000)
    (tmp_path / database.FILE_NAME).write_bytes(b"x" * 5000)
    with pytest.raises(OutboxError, match="can't be read"):
        outbox_stats.inspect(tmp_path, 1000)


async def test_inspect_sees_one_moment_of_an_outbox_in_use(
    open_outbox: Open, tmp_path: Path
) -> None:
    await open_outbox()
    db = sqlite3.connect(
        tmp_path / "outbox" / database.FILE_NAME, isolation_level=None, check_same_thread=False
    )
    is_done = threading.Event()

    def come_and_go() -> None:
        while not is_done.is_set():
            database.insert(db, [database.Pending(1, message())])
            database.delete(db, [1])

    comings_and_goings = threading.Thread(target=come_and_go)
    comings_and_goings.start()
    try:
        seen = [outbox_stats.inspect(tmp_path / "outbox", 1000) for _ in range(300)]
    finally:
        is_done.set()
        comings_and_goings.join()
        db.close()

    assert all(stats.depth == len(keys) for stats, keys in seen)


async def test_a_disk_that_refuses_everything_leaves_the_worker_alive(
    open_outbox: Open, tmp_path: Path
) -> None:
    box = await open_outbox()
    await box.append([message("before")])
    # A file system that turned read-only lets nothing be unlinked; nor is a directory ever.
    reserve = tmp_path / "outbox" / database.RESERVE_NAME
    reserve.unlink()
    reserve.mkdir()
    await box._run(lambda: box._db.execute("PRAGMA query_only = ON"))
    box.confirm([1])

    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(NotDurable, match="readonly"):
            await box.append([message("lost")])

    await box._run(lambda: box._db.execute("PRAGMA query_only = OFF"))
    await eventually(lambda: is_empty(box))


async def test_the_reserve_is_only_given_up_to_delete(open_outbox: Open, tmp_path: Path) -> None:
    box = await open_outbox()
    reserve = tmp_path / "outbox" / database.RESERVE_NAME
    before = reserve.stat().st_ino, reserve.stat().st_mtime_ns
    await box._run(lambda: box._db.execute("PRAGMA query_only = ON"))

    with pytest.raises(NotDurable):
        await box.append([message("lost")])

    assert (reserve.stat().st_ino, reserve.stat().st_mtime_ns) == before


async def test_a_disk_that_cannot_be_read_is_an_outbox_error(open_outbox: Open) -> None:
    box = await open_outbox()
    await box._run(lambda: box._db.execute("ALTER TABLE outbox RENAME TO gone"))

    with pytest.raises(OutboxError, match="can't be read: no such table"):
        await box.stats()


async def test_a_damaged_database_is_named_at_start(open_outbox: Open, tmp_path: Path) -> None:
    box = await open_outbox()
    await box._run(lambda: box._db.execute("ALTER TABLE outbox RENAME TO gone"))
    await box.close()

    with pytest.raises(OutboxError, match="can't be opened: no such table"):
        await open_outbox()

    assert (tmp_path / "outbox" / database.FILE_NAME).exists()


async def test_a_full_disk_does_not_keep_the_lock_from_being_taken(tmp_path: Path) -> None:
    (tmp_path / database.LOCK_NAME).touch()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, unlimited[1]))  # no file may grow by a byte

    try:
        lock = database.lock(tmp_path)
        lock.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        signal.signal(signal.SIGXFSZ, ignored)

    assert lock.closed
