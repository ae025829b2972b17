"""How much is in an outbox, from inside and from outside."""

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from relay.errors import OutboxError
from relay.outbox import database, parked
from relay.outbox import stats as outbox_stats
from relay.outbox.parked import Parking
from tests.integration.outbox.conftest import Open, message

KEY = "webhooks a.b"


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


async def test_inspect_looks_into_an_outbox_in_use(open_outbox: Open, directory: Path) -> None:
    box = await open_outbox()
    await box.append([message(f"{n}") for n in range(3)])

    stats, keys = outbox_stats.inspect(directory, 1000)

    assert (stats.depth, stats.max_bytes) == (3, 1000)
    assert keys == [("swiftsell.message.created.text", 3)]


def database_of(
    directory: Path, seqs: Iterable[int], parked_seqs: Iterable[int] = ()
) -> sqlite3.Connection:
    """Return the database of an outbox with these rows, each received at the time of its number."""
    db = database.connect(directory / database.FILE_NAME, 1 << 30)
    db.execute("BEGIN IMMEDIATE")
    database.insert(
        db, [database.Pending(seq, message()._replace(received_at=float(seq))) for seq in seqs]
    )
    parked.park(db, [Parking(seq, KEY, "refused", 5.0) for seq in parked_seqs], due=9.0)
    db.execute("COMMIT")
    return db


@pytest.mark.parametrize(
    ("seqs", "parked_seqs", "depth", "oldest"),
    [
        ([], [], 0, None),
        ([7], [], 1, 7.0),
        ([7], [7], 1, None),
        ([*range(1, 1001)], [], 1000, 1.0),
        ([*range(1, 1001, 2)], [1, 5], 500, 3.0),
        ([1, *range(1000, 1999)], [1], 1000, 1000.0),
        ([*range(1, 1001)], range(1, 1001), 1000, None),
        ([*range(1, 3001)], [], 3000, 1.0),
        ([*range(1, 3001)], [1, 2, 2000], 3000, 3.0),
        ([1, *range(10**6, 10**6 + 2000)], [1], 2001, 1e6),
        ([1, 500, *range(10**6, 10**6 + 2000)], [1, 500, 10**6 + 7], 2002, 1e6),
        ([*range(1, 3001)], range(1, 2001), 3000, 1.0),
    ],
)
def test_parked_events_are_counted_and_hide_neither_depth_nor_age(
    tmp_path: Path,
    seqs: list[int],
    parked_seqs: Iterable[int],
    depth: int,
    oldest: float | None,
) -> None:
    db = database_of(tmp_path, seqs, parked_seqs)

    stats = outbox_stats.stats_of(db, tmp_path / database.FILE_NAME, 1 << 30)

    assert (stats.depth, stats.oldest_received_at) == (depth, oldest)
    assert stats.parked.messages == len([*parked_seqs])


@pytest.mark.parametrize("count", [2_000, 20_000])
@pytest.mark.parametrize("parked_seqs", [(), (1, 2, 1500)])
def test_a_backlog_is_not_read_to_say_how_much_it_is(
    tmp_path: Path, count: int, parked_seqs: tuple[int, ...]
) -> None:
    db = database_of(tmp_path, range(1, count + 1), parked_seqs)
    steps = 0

    def count_step() -> int:
        nonlocal steps
        steps += 1
        return 0

    db.set_progress_handler(count_step, 100)  # of SQLite's instructions
    stats = outbox_stats.stats_of(db, tmp_path / database.FILE_NAME, 1 << 30)

    assert stats.depth == count
    assert steps < 300


async def test_inspect_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutboxError, match="There is no outbox"):
        outbox_stats.inspect(tmp_path, 1000)
    (tmp_path / database.FILE_NAME).write_bytes(b"x" * 5000)
    with pytest.raises(OutboxError, match="can't be read"):
        outbox_stats.inspect(tmp_path, 1000)


async def test_inspect_sees_one_moment_of_an_outbox_in_use(
    open_outbox: Open, directory: Path
) -> None:
    await open_outbox()
    db = sqlite3.connect(
        directory / database.FILE_NAME, isolation_level=None, check_same_thread=False
    )
    is_done = threading.Event()

    def come_and_go() -> None:
        while not is_done.is_set():
            database.insert(db, [database.Pending(1, message())])
            database.delete(db, [1])

    comings_and_goings = threading.Thread(target=come_and_go)
    comings_and_goings.start()
    try:
        seen = [outbox_stats.inspect(directory, 1000) for _ in range(300)]
    finally:
        is_done.set()
        comings_and_goings.join()
        db.close()

    assert all(stats.depth == len(keys) for stats, keys in seen)
