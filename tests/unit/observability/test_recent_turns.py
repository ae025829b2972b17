"""While `/recent` makes rows, requests have their turn; their own rows come with the next page."""

import asyncio

import pytest

from relay.observability.recent_requests import ENTRIES_IN_A_ROW, RecentQuery
from tests.support.eventually import counting_turns
from tests.unit.observability.test_recent_requests import add, filled, ids


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (RecentQuery(), 1000),
        (RecentQuery(limit=1000, is_latest=True), 1000),
        (RecentQuery(wanted=(("source", "acme"),), limit=1, is_latest=True), 1),
        (RecentQuery(wanted=(("source", "nobody"),)), 0),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_others_have_their_turn_while_rows_are_made(
    query: RecentQuery, count: int, *, is_first: bool
) -> None:
    ring = filled(1)
    cursor = (await ring.page(RecentQuery()))["cursor"]
    for number in range(1, 1001):
        add(ring, number)

    page, turns = await counting_turns(ring.page(query._replace(after="" if is_first else cursor)))

    assert turns >= 1000 / ENTRIES_IN_A_ROW - 1
    assert len(page["requests"]) == count


@pytest.mark.parametrize("is_latest", [True, False])
async def test_what_comes_while_rows_are_made_is_in_the_next_page(*, is_latest: bool) -> None:
    ring = filled(1000)
    making = asyncio.create_task(ring.page(RecentQuery(is_latest=is_latest)))
    await asyncio.sleep(0)
    for number in range(1000, 2500):
        add(ring, number)

    first = await making
    then = await ring.page(RecentQuery(after=first["cursor"]))

    assert ids(first) == [*range(1000)]
    assert (ids(then), then["missed"]) == ([*range(1500, 2500)], 500)
