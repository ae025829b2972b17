"""How much is in an outbox, from inside and from outside."""

import sqlite3
import threading
from pathlib import Path

import pytest

from relay.errors import OutboxError
from relay.outbox import database
from relay.outbox import stats as outbox_stats
from tests.integration.outbox.conftest import Open, message


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
