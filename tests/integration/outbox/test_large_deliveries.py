"""Deliveries of more than 1 MiB are committed in parts: what may happen between two of them."""

import asyncio

import pytest

from relay.errors import OutboxFull
from tests.integration.outbox.conftest import HeldInsert, Open, is_empty, message
from tests.support.eventually import LIMIT_S, eventually


async def test_a_small_delivery_does_not_wait_for_all_of_a_large_one(open_outbox: Open) -> None:
    box = await open_outbox()
    held = HeldInsert(box)
    first = box.append([message("first")])
    assert held.is_held.wait(LIMIT_S)
    large = box.append([message(f"part {n}", size=900_000) for n in range(3)])
    small = box.append([message("small")])

    for _ in range(3):  # commits: of the first, of a part, of the small one
        held.hold_next()
        assert held.is_held.wait(LIMIT_S)
    await asyncio.gather(first, small)
    assert not large.done()
    held.may_go.set()
    await large

    rows = [row for n in range(1, 6) for row in await box.fetch([n])]
    assert [row.message.id for row in rows] == ["first", "part 0", "small", "part 1", "part 2"]


@pytest.mark.parametrize(("count", "size"), [(9, 900_000), (9000, 1000), (60, 100_000)])
async def test_of_a_large_delivery_for_which_there_is_no_room_a_part_may_be_stored(
    open_outbox: Open, count: int, size: int
) -> None:
    box = await open_outbox(max_bytes=4_000_000)

    with pytest.raises(OutboxFull, match="4000000 bytes"):
        await box.append([message(f"{n}", size=size) for n in range(count)])

    stored, rows = 0, await box.pending(after=0, limit=100)
    while rows:
        assert [row.message.id for row in rows] == [
            f"{n}" for n in range(stored, stored + len(rows))
        ]
        stored += len(rows)
        box.confirm([row.seq for row in rows])
        rows = await box.pending(after=rows[-1].seq, limit=100)
    assert 0 < stored < count
    await eventually(lambda: is_empty(box))
    await box.append([message("again")])


@pytest.mark.parametrize(("count", "size"), [(5, 400_000), (40, 100_000), (3, 1_500_000)])
@pytest.mark.parametrize("ending", ["cancelled", "closed"])
async def test_what_becomes_of_its_caller_stops_no_large_delivery_between_its_parts(
    open_outbox: Open, ending: str, count: int, size: int
) -> None:
    box = await open_outbox()
    held = HeldInsert(box)
    large = box.append([message(f"{n}", size=size) for n in range(count)])
    await asyncio.to_thread(held.is_held.wait, LIMIT_S)
    held.hold_next()
    await asyncio.to_thread(held.is_held.wait, LIMIT_S)  # in the second part

    closing = asyncio.ensure_future(asyncio.sleep(0) if ending == "cancelled" else box.close())
    if ending == "cancelled":
        large.cancel()
    await asyncio.sleep(0)
    held.may_go.set()
    await closing
    if ending == "cancelled":
        await box.append([message("next")])
        await box.close()

    assert large.cancelled() is (ending == "cancelled")
    assert box._queued_bytes == 0
    again = await open_outbox()
    assert (await again.stats()).depth == count + (ending == "cancelled")
