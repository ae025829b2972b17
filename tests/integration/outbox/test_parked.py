"""Parked rows on a real disk: out of the way until their cause is gone."""

from pathlib import Path

import pytest

from relay.outbox import database
from relay.outbox.outbox import Outbox
from relay.outbox.parked import Parking
from tests.integration.outbox.conftest import Open, execute, message

KEY = "webhooks a.b"


async def ids(outbox: Outbox, after: int = 0) -> list[str]:
    await outbox.pending(after=0, limit=100)  # now they are in memory no more
    return [row.message.id for row in await outbox.pending(after=after, limit=100)]


async def test_a_parked_row_is_read_no_more_also_after_a_restart(open_outbox: Open) -> None:
    outbox = await open_outbox()
    await outbox.append([message(name) for name in "abc"])
    await outbox.parked.park([Parking(2, KEY, "refused", 5.0)], due=9.0)
    assert await ids(outbox) == ["a", "c"]
    await outbox.close()

    again = await open_outbox()

    assert await ids(again) == ["a", "c"]
    assert await again.parked.shared_causes(10) == {KEY: "refused"}


async def test_a_cause_is_due_in_its_time_and_by_its_oldest_row(open_outbox: Open) -> None:
    outbox = await open_outbox()
    await outbox.append([message(name) for name in "abc"])
    await outbox.parked.park([Parking(seq, KEY, "refused", 5.0) for seq in (3, 2)], due=9.0)

    assert await outbox.parked.next_due(8.9) is None
    due = await outbox.parked.next_due(9.0)
    assert due
    assert (due.seq, due.attempts) == (2, 0)
    await outbox.parked.defer(due, due=20.0)
    assert await outbox.parked.next_due(19.0) is None
    await outbox.parked.retry_all()
    assert await outbox.parked.next_due(0.0) == due


async def test_what_is_released_is_in_order_and_the_last_one_ends_the_cause(
    open_outbox: Open,
) -> None:
    outbox = await open_outbox()
    await outbox.append([message(name) for name in "abc"])
    await outbox.parked.park([Parking(seq, KEY, "refused", 5.0) for seq in (3, 1, 2)], due=9.0)

    has_more = [await outbox.parked.release(KEY, 2) for _ in range(2)]

    assert has_more == [True, False]
    assert outbox.parked.take_released() == [1, 2, 3]
    assert outbox.parked.take_released() == []
    assert await outbox.parked.shared_causes(10) == {}
    assert await ids(outbox) == ["a", "b", "c"]


async def test_a_cause_of_which_nothing_is_left_is_forgotten(open_outbox: Open) -> None:
    outbox = await open_outbox()
    await outbox.append([message()])
    await outbox.parked.park([Parking(1, KEY, "refused", 5.0)], due=0.0)
    await execute(outbox, "DELETE FROM outbox")

    assert await outbox.parked.next_due(1.0) is None
    assert await outbox.parked.shared_causes(10) == {}


@pytest.mark.parametrize("max_bytes", [1 << 30, 1])
async def test_a_file_of_an_earlier_version_gets_the_tables(
    open_outbox: Open, directory: Path, max_bytes: int
) -> None:
    outbox = await open_outbox()
    await outbox.append([message()])
    for statement in ("TABLE parked", "TABLE parked_causes"):
        await execute(outbox, f"DROP {statement}")
    await outbox.close()

    again = await open_outbox(max_bytes=max_bytes)

    assert (directory / database.FILE_NAME).exists()
    assert await ids(again) == ["a"]
