"""The outbox on a real disk: order, durability and bounds."""

import asyncio
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from relay.errors import NotDurable, OutboxFull
from relay.events.message import Message
from relay.outbox import stats as outbox_stats
from relay.outbox.limits import OutboxLimits
from tests.integration.outbox.conftest import (
    HeldInsert,
    Open,
    is_empty,
    let_disk_fail,
    message,
)
from tests.support.eventually import LIMIT_S, eventually


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


async def test_a_reader_that_lags_reads_from_disk_and_misses_nothing(open_outbox: Open) -> None:
    box = await open_outbox(limits=OutboxLimits(recent_bytes=20_000))

    seen: list[str] = []
    after = 0
    for n in range(200):
        await box.append([message(f"{n}")])
        if n % 40 == 39:
            while rows := await box.pending(after=after, limit=7):
                seen += [row.message.id for row in rows]
                after = rows[-1].seq

    assert seen == [f"{n}" for n in range(200)]


async def test_a_read_is_bounded_in_bytes(open_outbox: Open) -> None:
    limits = OutboxLimits(read_bytes=10_000)
    box = await open_outbox(limits=limits)
    await box.append([message(f"{n}", size=4_000) for n in range(10)])
    await box.close()
    again = await open_outbox(limits=limits)

    rows = await again.pending(after=0, limit=100)
    fetched = await again.fetch([10, 9, 8, 7])

    assert [row.seq for row in rows] == [1, 2]
    assert [row.seq for row in fetched] == [7, 8]


async def test_what_is_read_from_memory_is_bounded_in_bytes_too(open_outbox: Open) -> None:
    box = await open_outbox(limits=OutboxLimits(read_bytes=10_000))
    await box.append([message(f"{n}", size=4_000) for n in range(6)])
    await let_disk_fail(box)

    counts, after = [], 0
    while rows := await box.pending(after=after, limit=100):
        counts.append(len(rows))
        after = rows[-1].seq

    assert counts == [2, 2, 2]


@pytest.mark.parametrize("large", [700_000, 3_000_000, 12_000_000])
async def test_a_small_delivery_does_not_wait_for_all_the_large_ones_before_it(
    open_outbox: Open, large: int
) -> None:
    box = await open_outbox()
    held = HeldInsert(box)
    first = box.append([message("first")])
    assert held.is_held.wait(LIMIT_S)
    behind = [box.append([message(f"large {n}", size=large)]) for n in range(4)]
    small = box.append([message("small")])

    for _ in range(3):  # commits: of the first, of a large one, of the small one
        held.hold_next()
        assert held.is_held.wait(LIMIT_S)
    await asyncio.gather(first, small)
    assert not any(future.done() for future in behind[1:])
    held.may_go.set()
    await asyncio.gather(*behind)

    seen: list[str] = []
    while rows := await box.pending(after=len(seen), limit=100):
        seen += [row.message.id for row in rows]
    assert seen == ["first", "large 0", "small", "large 1", "large 2", "large 3"]


async def test_fetch_returns_what_is_left_of_the_numbers(open_outbox: Open) -> None:
    box = await open_outbox()
    await box.append([message(f"{n}") for n in range(5)])
    box.confirm([2])
    await box.append([message("more")])

    rows = await box.fetch([4, 2, 1, 99])

    assert [row.seq for row in rows] == [1, 4]


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


async def test_too_much_waiting_for_the_disk_is_refused_at_once(open_outbox: Open) -> None:
    box = await open_outbox(limits=OutboxLimits(queued_bytes=10_000))
    first = box.append([message(size=8_000)])

    with pytest.raises(OutboxFull, match="does not keep up"):
        box.append([message(size=8_000)])

    await first
    await box.append([message(size=50_000)])  # alone, even a large one is taken


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


async def test_the_thread_goes_on_while_the_event_loop_is_busy(
    open_outbox: Open, directory: Path
) -> None:
    box = await open_outbox()
    held = HeldInsert(box)
    first = box.append([message("first")])
    assert held.is_held.wait(LIMIT_S)
    second = box.append([message("second")])

    held.may_go.set()
    deadline = time.monotonic() + LIMIT_S
    while outbox_stats.look(directory, 0).depth < 2:
        assert time.monotonic() < deadline

    assert not any(future.done() for future in (first, second))  # the loop had no turn in all this
    await asyncio.gather(first, second)


async def test_a_read_is_not_kept_waiting_by_batch_after_batch(open_outbox: Open) -> None:
    box = await open_outbox()
    held = HeldInsert(box)
    first = box.append([message("first")])
    assert held.is_held.wait(LIMIT_S)
    second = box.append([message("second")])
    reading = asyncio.ensure_future(box.stats())
    await asyncio.sleep(0)  # it asks now

    held.may_go.set()

    assert (await reading).depth == 1
    await asyncio.gather(first, second)


class Delivery:
    """A delivery that notes how it was completed."""

    def __init__(self, *messages: Message) -> None:
        self.messages = messages
        self.completed: list[Exception | None] = []

    def complete(self, error: Exception | None) -> None:
        self.completed.append(error)


class BuggyDelivery(Delivery):
    def complete(self, error: Exception | None) -> None:
        super().complete(error)
        "s\u20accret".encode("latin-1")


@pytest.mark.parametrize("does_disk_fail", [False, True])
async def test_a_delivery_that_can_not_be_completed_keeps_no_other_from_its_answer(
    open_outbox: Open,
    does_disk_fail: bool,  # noqa: FBT001
) -> None:
    box = await open_outbox()
    if does_disk_fail:
        await let_disk_fail(box)
    first, buggy, last = Delivery(message("1")), BuggyDelivery(message("2")), Delivery(message("3"))

    with capture_logs() as logs:
        box.append_all([first, buggy])
        box.append_all([last])
        await eventually(lambda: last.completed)
        await box.stats()

    errors = [*first.completed, *buggy.completed, *last.completed]
    assert [type(error) for error in errors] == [NotDurable if does_disk_fail else type(None)] * 3
    (bug,) = [line for line in logs if line["event"] == "delivery not completed"]
    assert bug["error"] == "UnicodeEncodeError"
    assert "in complete" in bug["traceback"]
    assert "can't encode" not in repr(bug)


async def test_a_delivery_that_can_not_be_refused_keeps_no_other_from_its_answer(
    open_outbox: Open,
) -> None:
    box = await open_outbox()
    await box.close()
    other = Delivery(message())

    box.append_all([BuggyDelivery(message()), other])

    assert [type(error) for error in other.completed] == [NotDurable]
