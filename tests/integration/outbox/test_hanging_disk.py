"""A disk that hangs: nobody waits for it longer than its time, and then all goes on."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable

import pytest

from relay.errors import NotDurable, OutboxError
from relay.outbox.limits import OutboxLimits
from relay.outbox.outbox import Outbox
from tests.integration.outbox.conftest import HeldInsert, Open, message
from tests.support.eventually import LIMIT_S, eventually

WRITE_TIMEOUT_S = 0.1


@pytest.fixture
async def hanging(open_outbox: Open) -> AsyncIterator[tuple[Outbox, HeldInsert]]:
    """An outbox whose disk hangs from the first insert on."""
    box = await open_outbox(limits=OutboxLimits(write_timeout_s=WRITE_TIMEOUT_S))
    held = HeldInsert(box)
    yield box, held
    held.may_go.set()


async def is_refused(waiting: Awaitable[None]) -> bool:
    """Return whether it ends in time, and as not durable."""
    async with asyncio.timeout(LIMIT_S):
        try:
            await waiting
        except NotDurable:
            return True
    return False


async def test_who_waits_for_a_disk_that_hangs_is_refused_in_time(
    hanging: tuple[Outbox, HeldInsert],
) -> None:
    box, held = hanging
    committing = box.append([message("committing")])
    await asyncio.to_thread(held.is_held.wait, LIMIT_S)
    queued = box.append([message("queued")])

    assert await is_refused(committing)
    assert await is_refused(queued)


async def test_who_waits_behind_a_slow_commit_has_no_more_time_than_others(
    open_outbox: Open,
) -> None:
    """The first commit ends in time, the second does not; its time began before it did."""
    box = await open_outbox(limits=OutboxLimits(write_timeout_s=2))
    held = HeldInsert(box)
    first = box.append([message("first")])
    await asyncio.to_thread(held.is_held.wait, LIMIT_S)
    second = box.append([message("second")])
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(1.2)
    held.hold_next()
    await first

    assert await is_refused(second)
    waited_s = asyncio.get_running_loop().time() - began
    held.may_go.set()

    assert 1.9 < waited_s < 3.1  # it was 3.2 when each commit had its own time


async def test_slow_commits_one_after_the_other_are_no_hanging_disk(open_outbox: Open) -> None:
    box = await open_outbox(limits=OutboxLimits(write_timeout_s=0.5))
    held = HeldInsert(box)
    for number in range(10):  # together they take longer than one may
        appending = box.append([message(str(number))])
        await asyncio.to_thread(held.is_held.wait, LIMIT_S)
        await asyncio.sleep(0.1)
        held.hold_next()
        await appending
    held.may_go.set()

    assert box.last_seq == 10


@pytest.mark.parametrize("size", [300_000, 900_000, 1_200_000])
async def test_a_delivery_of_many_slow_parts_lets_no_other_be_refused(
    open_outbox: Open, size: int
) -> None:
    """Each commit is in time, all of them together are not."""
    box = await open_outbox(limits=OutboxLimits(write_timeout_s=2))
    held = HeldInsert(box)
    large = box.append([message(f"{n}", size=size) for n in range(12_000_000 // size)])
    others = []
    while not large.done():
        await asyncio.to_thread(held.is_held.wait, LIMIT_S)
        others.append(box.append([message("other")]))
        await asyncio.sleep(0.2)
        held.hold_next()
    held.may_go.set()

    assert await is_refused(large)
    assert len(others) > 3
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*others, box.append([message("later")]))


async def test_while_it_hangs_nothing_more_is_taken_and_nothing_is_read(
    hanging: tuple[Outbox, HeldInsert],
) -> None:
    box, _ = hanging
    assert await is_refused(box.append([message("first")]))

    with pytest.raises(NotDurable, match="does not answer"):
        box.append([message("second")])
    with pytest.raises(NotDurable, match="does not answer"):
        await box.check_writable()
    for reading in (box.stats(), box.fetch([1])):
        with pytest.raises(OutboxError, match="does not answer"):
            await reading


async def test_once_the_disk_answers_all_goes_on(hanging: tuple[Outbox, HeldInsert]) -> None:
    box, held = hanging
    assert await is_refused(box.append([message("late")]))

    held.may_go.set()
    await eventually(lambda: box.last_seq == 1)
    await box.append([message("next")])

    await box.check_writable()
    rows = await box.pending(after=0, limit=10)
    assert [row.message.id for row in rows] == ["late", "next"]  # a refused one may be stored


async def test_a_shutdown_does_not_wait_for_a_disk_that_hangs(
    hanging: tuple[Outbox, HeldInsert],
) -> None:
    box, held = hanging
    waiting = box.append([message("waiting")])
    await asyncio.to_thread(held.is_held.wait, LIMIT_S)

    async with asyncio.timeout(LIMIT_S):
        await box.close()

    assert await is_refused(waiting)
    held.may_go.set()  # what the end of a process would do
    await eventually(
        lambda: not any(thread.name.startswith("outbox") for thread in threading.enumerate())
    )
    box._store.close()
