"""Messages of one key are handled in order, one at a time; none is lost, and no other waits."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import cycle, groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from consumers.kit.consuming.delivery import Delivery, Received
from consumers.kit.consuming.keyed_queue import KeyedQueue
from consumers.kit.errors import NotAnEvent

EVENT = NotAnEvent("not read here")
PROPERTIES = commands.Basic.Properties()


def item(key: str, place: int) -> Delivery:
    """A message with a key; its tag is its place among all."""
    return Delivery(Received(place, "", PROPERTIES, b""), EVENT, key, "", 1)


def items(keys: str) -> list[Delivery]:
    return [item(key, place) for place, key in enumerate(keys)]


def filled(keys: str) -> KeyedQueue:
    queue = KeyedQueue()
    for each in items(keys):
        queue.put(each)
    return queue


async def taken(queue: KeyedQueue, limit: int) -> str:
    """Return the keys and places of what is handed out: "a0 a2"."""
    return " ".join([f"{each.key}{each.message.tag}" for each in await queue.take(limit)])


async def begun(queue: KeyedQueue, limit: int = 1) -> asyncio.Task[Sequence[Delivery]]:
    """Return a worker that waits for something to do."""
    waiting = asyncio.create_task(queue.take(limit))
    await asyncio.sleep(0)
    assert not waiting.done()
    return waiting


async def test_different_keys_are_in_hand_side_by_side() -> None:
    queue = filled("abc")

    assert [await taken(queue, 1) for _ in range(3)] == ["a0", "b1", "c2"]


async def test_one_key_is_handed_out_one_after_the_other() -> None:
    queue = filled("aab")

    first, second = await queue.take(1), await queue.take(1)
    waiting = await begun(queue)
    queue.done(first)

    assert [*first, *second, *await waiting] == [item("a", 0), item("b", 2), item("a", 1)]


async def test_a_batch_may_hold_one_key_in_order_and_several_keys() -> None:
    queue = filled("abaab")

    assert await taken(queue, 4) == "a0 a2 a3 b1"


async def test_what_did_not_fit_into_a_batch_waits_for_it() -> None:
    queue = filled("aaaa")

    batch = await queue.take(3)
    waiting = await begun(queue)
    queue.done(batch)

    assert await waiting == [item("a", 3)]


async def test_a_busy_key_does_not_keep_the_others_waiting() -> None:
    queue = filled("aaab")

    first = await queue.take(1)
    queue.done(first)

    assert await taken(queue, 1) == "b3"
    assert await taken(queue, 1) == "a1"


async def test_take_waits_until_something_is_put() -> None:
    queue = filled("")
    waiting = [await begun(queue), await begun(queue)]

    for each in items("ab"):
        queue.put(each)

    assert [await task for task in waiting] == [[item("a", 0)], [item("b", 1)]]


async def test_what_is_put_while_its_key_is_in_hand_waits() -> None:
    queue = filled("a")
    first = await queue.take(9)

    queue.put(item("a", 1))
    waiting = await begun(queue)
    queue.done(first)

    assert await waiting == [item("a", 1)]


async def test_a_worker_that_gave_up_waiting_takes_nothing_with_it() -> None:
    queue = filled("")
    gone, stays = await begun(queue), await begun(queue)

    queue.put(item("a", 0))
    gone.cancel()

    assert await stays == [item("a", 0)]


@pytest.mark.parametrize("keys", ["", "aab"])
async def test_nothing_is_handed_out_once_the_queue_is_closed(keys: str) -> None:
    queue = filled(keys)

    queue.close()

    assert await queue.take(5) == ()


async def test_closing_ends_every_wait() -> None:
    queue = filled("a")
    in_hand = await queue.take(1)
    waiting = [await begun(queue) for _ in range(3)]

    queue.close()
    queue.done(in_hand)
    queue.put(item("a", 1))

    assert [await task for task in waiting] == [(), (), ()]


async def test_a_key_that_is_done_with_leaves_nothing_behind() -> None:
    queue = filled("".join(map(chr, range(1000))) * 2)

    for _ in range(100):
        queue.done(await queue.take(20))

    assert not queue._waiting
    assert not queue._ready


def check_batch(batch: Sequence[Delivery], in_hand: Sequence[Sequence[Delivery]]) -> None:
    """Compare a batch with what is in hand: a key is in one of them only, and there in order."""
    keys = {each.key for each in batch}
    assert not keys & {each.key for other in in_hand for each in other}
    assert len(keys) == len(list(groupby(batch, key=lambda each: each.key)))


numbers = st.lists(st.integers(0, 5), min_size=1, max_size=20).map(cycle)


@given(
    keys=st.text("abcdef", max_size=80), workers=st.integers(1, 6), limits=numbers, turns=numbers
)
def test_workers_side_by_side_keep_each_keys_order_and_lose_nothing(
    keys: str, workers: int, limits: Iterator[int], turns: Iterator[int]
) -> None:
    """Every worker takes as many as it likes each time, and is done when it likes."""
    handled: list[Delivery] = []
    in_hand: list[Sequence[Delivery]] = []

    async def work(queue: KeyedQueue) -> None:
        while batch := await queue.take(limit := next(limits) + 1):
            assert len(batch) <= limit
            check_batch(batch, in_hand)
            in_hand.append(batch)
            for _ in range(next(turns)):
                await asyncio.sleep(0)
            handled.extend(batch)
            in_hand.remove(batch)
            queue.done(batch)
            if len(handled) == len(keys):
                queue.close()

    async def consume() -> None:
        queue = KeyedQueue()
        running = [asyncio.create_task(work(queue)) for _ in range(workers)]
        for each in items(keys):
            queue.put(each)
            for _ in range(next(turns)):
                await asyncio.sleep(0)
        if not keys:
            queue.close()
        async with asyncio.timeout(10):
            await asyncio.gather(*running)

    asyncio.run(consume())

    assert sorted(handled, key=lambda each: each.message.tag) == items(keys)
    for key in "abcdef":
        places = [each.message.tag for each in handled if each.key == key]
        assert places == sorted(places)


async def test_the_rest_of_a_key_can_be_taken_with_what_is_in_hand() -> None:
    queue = KeyedQueue()
    for each in (item("a", 1), item("b", 1), item("a", 2), item("a", 3)):
        queue.put(each)
    taken = await queue.take(1)

    rest = queue.take_rest(taken)
    queue.done(taken)

    assert [(each.key, each.message.tag) for each in rest] == [("a", 2), ("a", 3)]
    assert [each.key for each in await queue.take(5)] == ["b"]


def suspect(key: str, place: int) -> Delivery:
    """A message that was delivered before and not answered."""
    return Delivery(Received(place, "", PROPERTIES, b"", is_suspect=True), EVENT, key, "", 1)


async def test_a_suspect_is_handed_out_once_nothing_else_is_in_hand() -> None:
    queue = filled("a")
    queue.put(suspect("b", 1))
    queue.put(item("c", 2))

    first = await queue.take(10)
    waiting = await begun(queue)
    queue.done(first)

    assert [each.message.tag for each in first] == [0]
    assert [each.message.tag for each in await waiting] == [1]


async def test_beside_a_suspect_nothing_is_handed_out() -> None:
    queue = KeyedQueue()
    for each in (suspect("a", 0), suspect("b", 1), item("c", 2)):
        queue.put(each)

    taken_tags = []
    for _ in range(3):
        batch = await queue.take(10)
        waiting = await begun(queue)
        taken_tags.append([each.message.tag for each in batch])
        waiting.cancel()
        queue.done(batch)

    assert taken_tags == [[0], [1], [2]]


async def test_a_suspect_keeps_its_place_among_those_of_its_key() -> None:
    queue = KeyedQueue()
    for each in (item("a", 0), suspect("a", 1), item("a", 2)):
        queue.put(each)

    batches = []
    for _ in range(3):
        batches.append(await queue.take(10))
        queue.done(batches[-1])

    assert [[each.message.tag for each in batch] for batch in batches] == [[0], [1], [2]]
