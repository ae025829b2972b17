"""What has the same key goes one after the other, in order; nothing is lost, and nothing waits."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.kit.consuming.key_order import KeyedQueue


@dataclass(frozen=True, slots=True)
class Item:
    """A message: the key of its lane, and its place among all."""

    key: str
    place: int


def items(keys: str) -> list[Item]:
    return [Item(key, place) for place, key in enumerate(keys)]


def filled(keys: str) -> KeyedQueue[Item]:
    lanes: KeyedQueue[Item] = KeyedQueue()
    for item in items(keys):
        lanes.put(item)
    return lanes


async def taken(lanes: KeyedQueue[Item], limit: int) -> str:
    """Return the keys and places of what is handed out: "a0 a2"."""
    return " ".join([f"{it.key}{it.place}" for it in await lanes.take(limit)])


async def begun(lanes: KeyedQueue[Item], limit: int = 1) -> asyncio.Task[Sequence[Item]]:
    """Return a worker that waits for something to do."""
    waiting = asyncio.create_task(lanes.take(limit))
    await asyncio.sleep(0)
    assert not waiting.done()
    return waiting


async def test_different_keys_are_in_hand_side_by_side() -> None:
    lanes = filled("abc")

    assert [await taken(lanes, 1) for _ in range(3)] == ["a0", "b1", "c2"]


async def test_one_key_is_handed_out_one_after_the_other() -> None:
    lanes = filled("aab")

    first, second = await lanes.take(1), await lanes.take(1)
    waiting = await begun(lanes)
    lanes.done(first)

    assert [*first, *second, *await waiting] == [Item("a", 0), Item("b", 2), Item("a", 1)]


async def test_a_batch_may_hold_one_key_in_order_and_several_keys() -> None:
    lanes = filled("abaab")

    assert await taken(lanes, 4) == "a0 a2 a3 b1"


async def test_what_did_not_fit_into_a_batch_waits_for_it() -> None:
    lanes = filled("aaaa")

    batch = await lanes.take(3)
    waiting = await begun(lanes)
    lanes.done(batch)

    assert await waiting == [Item("a", 3)]


async def test_a_busy_key_does_not_keep_the_others_waiting() -> None:
    lanes = filled("aaab")

    first = await lanes.take(1)
    lanes.done(first)

    assert await taken(lanes, 1) == "b3"
    assert await taken(lanes, 1) == "a1"


async def test_take_waits_until_something_is_put() -> None:
    lanes = filled("")
    waiting = [await begun(lanes), await begun(lanes)]

    for item in items("ab"):
        lanes.put(item)

    assert [await it for it in waiting] == [[Item("a", 0)], [Item("b", 1)]]


async def test_what_is_put_while_its_key_is_in_hand_waits() -> None:
    lanes = filled("a")
    first = await lanes.take(9)

    lanes.put(Item("a", 1))
    waiting = await begun(lanes)
    lanes.done(first)

    assert await waiting == [Item("a", 1)]


async def test_a_worker_that_gave_up_waiting_takes_nothing_with_it() -> None:
    lanes = filled("")
    gone, stays = await begun(lanes), await begun(lanes)

    lanes.put(Item("a", 0))
    gone.cancel()

    assert await stays == [Item("a", 0)]


@pytest.mark.parametrize("keys", ["", "aab"])
async def test_nothing_is_handed_out_once_the_lanes_are_closed(keys: str) -> None:
    lanes = filled(keys)

    lanes.close()

    assert await lanes.take(5) == ()


async def test_closing_ends_every_wait() -> None:
    lanes = filled("a")
    in_hand = await lanes.take(1)
    waiting = [await begun(lanes) for _ in range(3)]

    lanes.close()
    lanes.done(in_hand)
    lanes.put(Item("a", 1))

    assert [await it for it in waiting] == [(), (), ()]


async def test_a_key_that_is_done_with_leaves_nothing_behind() -> None:
    lanes = filled("".join(map(chr, range(1000))) * 2)

    for _ in range(100):
        lanes.done(await lanes.take(20))

    assert not lanes._lanes
    assert not lanes._ready


def check_batch(batch: Sequence[Item], in_hand: Sequence[Sequence[Item]]) -> None:
    """Compare a batch with what is in hand: a key is in one of them only, and there in order."""
    keys = {it.key for it in batch}
    assert not keys & {it.key for other in in_hand for it in other}
    assert len(keys) == len(list(groupby(batch, key=lambda it: it.key)))


numbers = st.lists(st.integers(0, 5), min_size=1, max_size=20).map(cycle)


@given(
    keys=st.text("abcdef", max_size=80), workers=st.integers(1, 6), limits=numbers, turns=numbers
)
def test_workers_side_by_side_keep_each_keys_order_and_lose_nothing(
    keys: str, workers: int, limits: Iterator[int], turns: Iterator[int]
) -> None:
    """Every worker takes as many as it likes each time, and is done when it likes."""
    handled: list[Item] = []
    in_hand: list[Sequence[Item]] = []

    async def work(lanes: KeyedQueue[Item]) -> None:
        while batch := await lanes.take(limit := next(limits) + 1):
            assert len(batch) <= limit
            check_batch(batch, in_hand)
            in_hand.append(batch)
            for _ in range(next(turns)):
                await asyncio.sleep(0)
            handled.extend(batch)
            in_hand.remove(batch)
            lanes.done(batch)
            if len(handled) == len(keys):
                lanes.close()

    async def consume() -> None:
        lanes: KeyedQueue[Item] = KeyedQueue()
        running = [asyncio.create_task(work(lanes)) for _ in range(workers)]
        for item in items(keys):
            lanes.put(item)
            for _ in range(next(turns)):
                await asyncio.sleep(0)
        if not keys:
            lanes.close()
        async with asyncio.timeout(10):
            await asyncio.gather(*running)

    asyncio.run(consume())

    assert sorted(handled, key=lambda it: it.place) == items(keys)
    for key in "abcdef":
        places = [it.place for it in handled if it.key == key]
        assert places == sorted(places)


async def test_the_rest_of_a_lane_can_be_taken_with_what_is_in_hand() -> None:
    lanes: KeyedQueue[Item] = KeyedQueue()
    for item in (Item("a", 1), Item("b", 1), Item("a", 2), Item("a", 3)):
        lanes.put(item)
    taken = await lanes.take(1)

    rest = lanes.take_rest(taken)
    lanes.done(taken)

    assert [(it.key, it.place) for it in rest] == [("a", 2), ("a", 3)]
    assert [it.key for it in await lanes.take(5)] == ["b"]
