"""A batch is handled at once, and what fails in it is found by halves."""

import asyncio
import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from consumers.kit.errors import Unavailable
from consumers.kit.event import Event
from tests.support.callers import in_batches
from tests.support.seen_stores import numbered


class Odd(Exception):
    """An error nobody else has."""


class Batches:
    """A handler that fails whenever a culprit is among the events."""

    def __init__(self, **culprits: Exception) -> None:
        self.culprits = {number.removeprefix("n"): error for number, error in culprits.items()}
        self.calls: list[list[str]] = []
        self.handled: list[str] = []

    async def __call__(self, batch: Sequence[Event]) -> None:
        ids = [each.id for each in batch]
        self.calls.append(ids)
        for event_id in ids:
            if error := self.culprits.get(event_id):
                raise error
        self.handled += ids


async def test_a_batch_is_handled_at_once() -> None:
    handler = Batches()

    results = await in_batches(handler)(numbered(5))

    assert results == [True] * 5
    assert handler.calls == [["0", "1", "2", "3", "4"]]


async def test_the_culprit_of_a_batch_is_found_by_halves() -> None:
    error = Odd("no")
    handler = Batches(n2=error)

    results = await in_batches(handler)(numbered(8))

    assert results == [True, True, error, True, True, True, True, True]
    assert handler.calls == [
        ["0", "1", "2", "3", "4", "5", "6", "7"],
        ["0", "1", "2", "3"],
        ["0", "1"],
        ["2", "3"],
        ["2"],
        ["3"],
        ["4", "5", "6", "7"],
    ]


async def test_a_batch_of_one_is_not_tried_twice() -> None:
    error = Odd("no")
    handler = Batches(n0=error)

    assert await in_batches(handler)(numbered(1)) == [error]
    assert handler.calls == [["0"]]


@given(count=st.integers(1, 70), culprits=st.sets(st.integers(0, 69), max_size=6))
def test_each_event_has_its_own_result_for_the_least_calls(count: int, culprits: set[int]) -> None:
    errors = {f"n{number}": Odd(number) for number in culprits if number < count}
    handler = Batches(**errors)

    results = asyncio.run(in_batches(handler)(numbered(count)))

    assert results == [errors.get(f"n{number}", True) for number in range(count)]
    assert sorted(handler.handled + list(handler.culprits), key=int) == [
        str(number) for number in range(count)
    ]
    assert handler.handled == sorted(handler.handled, key=int)
    # A way down the tree for each of them; a batch that can't fail any more is not cut.
    assert len(handler.calls) <= 1 + 2 * len(errors) * math.ceil(math.log2(count))


async def test_when_a_batch_finds_its_destination_down_it_waits_as_a_whole() -> None:
    error = Unavailable("the CRM is down")
    handler = Batches(n3=error)

    assert await in_batches(handler)(numbered(8)) == [error] * 8
    assert len(handler.calls) == 1


async def test_events_behind_those_that_wait_do_not_overtake_them() -> None:
    wrong, down = Odd("no"), Unavailable("the CRM is down")
    handler = Batches(n0=wrong, n2=down)

    results = await in_batches(handler)(numbered(8))

    assert results == [wrong, True, *[down] * 6]
    assert handler.handled == ["1"]


async def test_a_batch_that_hangs_is_ended_and_its_culprit_found() -> None:
    handled: list[str] = []

    async def handler(batch: Sequence[Event]) -> None:
        ids = [each.id for each in batch]
        if "1" in ids:
            await asyncio.Event().wait()
        handled.extend(ids)

    results = await in_batches(handler, timeout_s=0.01)(numbered(4))

    assert [type(result) for result in results] == [bool, TimeoutError, bool, bool]
    assert handled == ["0", "2", "3"]


async def test_when_all_of_a_batch_hangs_it_is_taken_for_what_they_need() -> None:
    calls = 0

    async def handler(_: Sequence[Event]) -> None:
        nonlocal calls
        calls += 1
        await asyncio.Event().wait()

    results = await in_batches(handler, timeout_s=0.01)(numbered(500))

    assert calls == 12
    assert isinstance(results[-1], Unavailable)
    assert sum(isinstance(result, TimeoutError) for result in results) <= 2
