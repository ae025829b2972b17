"""The outbox's file shrinks once it is drained, and its log is bounded, whoever reads beside it."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from relay.errors import NotDurable, OutboxFull
from relay.outbox import database, space
from relay.outbox.limits import OutboxLimits
from relay.outbox.outbox import Outbox
from relay.outbox.parked import Parking
from tests.integration.outbox.conftest import Open, execute, is_empty, message
from tests.support.eventually import eventually

MIB = 1 << 20
QUICK = OutboxLimits(keep_up_every_s=0.02)
SMALL_LOG = OutboxLimits(log_bytes=100_000, keep_up_every_s=0.02)


@pytest.fixture
def path(directory: Path) -> Path:
    return directory / database.FILE_NAME


@pytest.fixture
def reader(directory: Path, path: Path) -> Iterator[sqlite3.Connection]:
    """Another process's connection; `begin_reading` holds it at the state of that moment."""
    directory.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def begin_reading(reader: sqlite3.Connection) -> None:
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM outbox").fetchone()


def make_old(path: Path) -> None:
    """Make a file as the version before did: it can't be cut."""
    path.parent.mkdir()
    database.connect(path, MIB).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA auto_vacuum = NONE")
        db.execute("VACUUM")
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (0,)


async def fill(box: Outbox, count: int, size: int = 100_000) -> None:
    at_once = 2_000_000 // size
    for start in range(0, count, at_once):
        await box.append(
            [message(f"{start + n}", size=size) for n in range(min(at_once, count - start))]
        )


async def disk_bytes(box: Outbox) -> int:
    return (await box.stats()).disk_bytes


async def keep_up(box: Outbox) -> float:
    """Give back space where the outbox does, once no checkpoint is under way; return the pause."""

    def give_back() -> float:
        box._store._checkpoints.wait()
        return box._store.keep_up(is_idle=True)

    return await box._thread.do(give_back)


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize(("count", "size"), [(300, 100_000), (15_000, 2_000)])
async def test_a_drained_outbox_gives_its_space_back(
    open_outbox: Open, path: Path, count: int, size: int, *, is_old: bool
) -> None:
    if is_old:
        make_old(path)
    box = await open_outbox(limits=QUICK)
    await fill(box, count, size)
    assert await disk_bytes(box) > 30_000_000

    box.confirm(range(1, count + 1))

    await eventually(lambda: _is_small(box, 2 * MIB))
    stats, found = await box.stats(), space.disk_use(path)
    assert stats.disk_bytes == found.file + found.log
    assert await execute(box, "PRAGMA integrity_check") == ("ok",)
    await box.append([message("after")])
    assert [row.message.id for row in await box.pending(after=count, limit=9)] == ["after"]


async def _is_small(box: Outbox, max_bytes: int) -> bool:
    return await disk_bytes(box) < max_bytes


@pytest.mark.parametrize("kept", [[1], [300], [1, 150, 300], range(1, 300, 3)])
async def test_what_stays_is_moved_and_keeps_its_place(open_outbox: Open, kept: list[int]) -> None:
    box = await open_outbox(limits=QUICK)
    await fill(box, 300)
    kept_bytes = len(kept) * 110_000

    box.confirm(set(range(1, 301)).difference(kept))

    await eventually(lambda: _is_small(box, kept_bytes + 2 * MIB))
    rows = [row for seq in kept for row in await box.fetch([seq])]
    assert [(row.seq, row.message.id) for row in rows] == [(n, f"{n - 1}") for n in kept]


async def test_it_shrinks_beside_deliveries(open_outbox: Open) -> None:
    box = await open_outbox(limits=QUICK)
    await fill(box, 300)
    box.confirm(range(1, 301))
    is_over = False

    async def deliver() -> None:
        while not is_over:
            await box.append([message("delivery")])
            box.confirm([box.last_seq])

    delivering = asyncio.ensure_future(deliver())
    await eventually(lambda: _is_small(box, 28_000_000))
    is_over = True
    await delivering


async def test_an_old_file_with_much_in_it_is_left_until_it_is_little(
    open_outbox: Open, path: Path
) -> None:
    make_old(path)
    box = await open_outbox(limits=QUICK)
    await fill(box, 300)
    box.confirm(range(1, 201))
    await eventually(lambda: _has_depth(box, 100))
    assert await keep_up(box) == QUICK.keep_up_every_s
    assert await execute(box, "PRAGMA auto_vacuum") == (0,)

    box.confirm(range(201, 299))

    await eventually(lambda: _is_small(box, 3 * MIB))
    assert [row.seq for row in await box.fetch([1, 299, 300])] == [299, 300]


async def _has_depth(box: Outbox, depth: int) -> bool:
    return (await box.stats()).depth == depth


async def test_parked_events_stay_parked_when_the_file_is_rebuilt(
    open_outbox: Open, path: Path
) -> None:
    make_old(path)
    box = await open_outbox(limits=QUICK)
    await fill(box, 300)
    await box.parked.park([Parking(7, "cause", "too large", 1.5)], due=2e9)

    box.confirm([n for n in range(1, 301) if n != 7])

    await eventually(lambda: _is_small(box, 2 * MIB))
    stats = await box.stats()
    assert (stats.depth, stats.parked.messages, stats.parked.latest_reason) == (1, 1, "too large")
    assert await box.pending(after=0, limit=9) == []


async def test_an_earlier_version_reads_a_new_file(open_outbox: Open, path: Path) -> None:
    box = await open_outbox(limits=QUICK)
    await box.append([message("kept")])
    await box.close()

    with closing(sqlite3.connect(path, isolation_level=None)) as db:  # what it does at its start
        db.execute("PRAGMA page_size = 4096")
        db.execute("PRAGMA journal_mode = WAL")
        assert db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT id FROM outbox").fetchall() == [("kept",)]
        db.execute("DELETE FROM outbox")


async def test_the_log_is_emptied_once_a_reader_is_gone(
    open_outbox: Open, path: Path, reader: sqlite3.Connection
) -> None:
    box = await open_outbox(limits=SMALL_LOG, max_bytes=1 << 30)
    begin_reading(reader)

    with capture_logs() as logs:
        await fill(box, 20)
        await eventually(lambda: _is_blocked(box))
        await box.append([message("beside")])
        grown = (await box.stats()).log_bytes
        reader.execute("COMMIT")
        await eventually(lambda: space.disk_use(path).log <= SMALL_LOG.log_bytes)
        await eventually(lambda: logs[-1]["event"] == "outbox log emptied")

    assert grown > 2_000_000
    (warning,) = [line for line in logs if line["event"] == "outbox log grows"]
    assert warning["log_level"] == "warning"
    assert str(path) in warning["reason"]


async def _is_blocked(box: Outbox) -> bool:
    return (await box.stats()).blocked_checkpoints > 0


async def test_readers_that_come_and_go_do_not_keep_the_log_from_being_emptied(
    open_outbox: Open, path: Path
) -> None:
    """At every moment one of them reads, but none of them for long."""
    box = await open_outbox(limits=SMALL_LOG)
    is_over = False

    async def read() -> None:
        previous = sqlite3.connect(path, isolation_level=None)
        begin_reading(previous)
        while not is_over:
            reader = sqlite3.connect(path, isolation_level=None)
            begin_reading(reader)
            previous.close()
            previous = reader
            await asyncio.sleep(0.005)
        previous.close()

    reading = asyncio.ensure_future(read())
    await fill(box, 20)
    assert space.disk_use(path).log > 1_000_000
    await eventually(lambda: space.disk_use(path).log <= SMALL_LOG.log_bytes)
    is_over = True
    await reading


async def test_a_reader_that_never_ends_lets_the_log_grow_to_a_bound(
    open_outbox: Open, path: Path, reader: sqlite3.Connection
) -> None:
    box = await open_outbox(limits=SMALL_LOG, max_bytes=5_000_000)
    begin_reading(reader)

    with pytest.raises(OutboxFull, match="another process reads"):
        await _fill_for_ever(box)
    with pytest.raises(NotDurable, match="end that process"):
        await box.check_writable()

    stored = box.last_seq
    box.confirm(range(1, stored + 1))  # what is there is delivered all the same
    await eventually(lambda: is_empty(box))
    assert space.disk_use(path).log > 5_000_000
    reader.execute("COMMIT")
    await eventually(lambda: _accepts(box))


async def _fill_for_ever(box: Outbox) -> None:
    """Store, deliver and delete, so that the file itself never fills up."""
    while True:
        await _deliver(box, 1)


async def _accepts(box: Outbox) -> bool:
    try:
        await box.check_writable()
        await box.append([message("again")])
    except NotDurable:
        return False
    return True


async def test_shrinking_leaves_the_bound_as_it_was(open_outbox: Open) -> None:
    box = await open_outbox(limits=QUICK, max_bytes=20_000_000)
    stored = [await _fill_up(box) for _ in range(2)]

    assert stored[0] == pytest.approx(stored[1], rel=0.02)


async def _append_for_ever(box: Outbox) -> None:
    while True:
        await box.append([message(size=100_000)])


async def _fill_up(box: Outbox) -> int:
    """Fill the outbox until it is full, drain it, and let it shrink. Return how much fits."""
    first = box.last_seq
    with pytest.raises(OutboxFull, match="20000000 bytes"):
        await _append_for_ever(box)
    count = box.last_seq - first
    box.confirm(range(first + 1, box.last_seq + 1))
    await eventually(lambda: _is_small(box, 2 * MIB))
    return count


async def test_a_disk_that_fails_meanwhile_ends_nothing(open_outbox: Open) -> None:
    box = await open_outbox(limits=QUICK)
    await fill(box, 100)
    box.confirm(range(1, 101))
    await eventually(lambda: is_empty(box))
    await execute(box, "PRAGMA query_only = ON")

    await keep_up(box)

    await execute(box, "PRAGMA query_only = OFF")
    await box.append([message()])


@pytest.mark.parametrize("step", ["incremental_vacuum", "freelist_count", "auto_vacuum"])
async def test_the_log_is_bounded_also_where_the_file_can_not_shrink(
    open_outbox: Open, path: Path, step: str
) -> None:
    def deny(kind: int, name: str | None, *_: str | None) -> int:
        is_step = kind == sqlite3.SQLITE_PRAGMA and name == step
        return sqlite3.SQLITE_DENY if is_step else sqlite3.SQLITE_OK

    box = await open_outbox(limits=SMALL_LOG, max_bytes=25_000_000)
    await box._thread.do(lambda: box._store.db.set_authorizer(deny))
    await fill(box, 200)
    box.confirm(range(1, 201))

    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        begin_reading(reader)
        with pytest.raises(OutboxFull, match="log of the outbox"):
            await _deliver(box, 6_000)


async def _deliver(box: Outbox, count: int) -> None:
    for _ in range(count):
        await box.append([message(size=10_000)])
        box.confirm([box.last_seq])
