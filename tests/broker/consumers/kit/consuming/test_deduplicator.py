"""Each event once: looked up in bulk when it arrives, marked in bulk before its acknowledgement."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pamqp import commands

from consumers.kit.consuming.decision import Wait
from consumers.kit.consuming.deduplicator import Deduplicator
from consumers.kit.consuming.delivery import Delivery, Received, read_delivery
from consumers.kit.consuming.outage import Outage
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.store import SeenStore
from tests.support.eventually import eventually
from tests.support.seen_stores import EVENT, Open, rows_of


def message(tag: int, event_id: str = "") -> Delivery:
    """A message in hand with the event of an id; its tag's, unless given."""
    body = EVENT.body.replace(EVENT.id.encode(), (event_id or str(tag)).encode())
    return read_delivery(Received(tag, "a.b", commands.Basic.Properties(), body))


def tags(deliveries: Sequence[Delivery]) -> list[int]:
    return [delivery.message.tag for delivery in deliveries]


class ShortOutage(Outage):
    """An outage of which each wait is over at once."""

    def __init__(self) -> None:
        super().__init__("crm-sync")
        self.waits: list[Wait] = []
        self.on_wait: Callable[[], object] = bool

    async def wait(self, wait: Wait) -> bool:
        self.waits.append(wait)
        self.on_wait()
        return await super().wait(replace(wait, after_s=0))


class Pool:
    """What becomes of messages, by their tags, where a pool of handlers would be."""

    def __init__(self) -> None:
        self.new: list[int] = []
        self.duplicates: list[int] = []
        self.unknown: list[int] = []
        self.acked: list[int] = []
        self.outage = ShortOutage()

    def deduplicator(self, seen: SeenStore, hold_limit_s: float = 600) -> Deduplicator:
        return Deduplicator(seen, outage=self.outage, hold_limit_s=hold_limit_s)

    @asynccontextmanager
    async def running(self, deduplicator: Deduplicator) -> AsyncIterator[None]:
        """Check and mark, beside the handlers."""
        work = (self.check(deduplicator), self.mark(deduplicator))
        tasks = [asyncio.create_task(each) for each in work]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def check(self, deduplicator: Deduplicator) -> None:
        while checked := await deduplicator.check():
            self.new += tags(checked.new)
            self.duplicates += tags(checked.duplicates)
            self.unknown += tags(checked.unknown)

    async def mark(self, deduplicator: Deduplicator) -> None:
        while True:
            await deduplicator.has_handled()
            self.acked += tags(await deduplicator.mark())


def statements_of(seen: SeenStore) -> list[str]:
    """Return a list to which what SQLite is told is added."""
    statements: list[str] = []
    seen._database._db.set_trace_callback(statements.append)
    return statements


@pytest.fixture
def pool() -> Pool:
    return Pool()


async def test_what_was_seen_is_a_duplicate_and_the_rest_is_new_in_order(
    url: str, open_seen: Open, pool: Pool
) -> None:
    seen = await open_seen(url)
    await seen.mark(["2", "4", "8"])
    deduplicator = pool.deduplicator(seen)

    async with pool.running(deduplicator):
        for tag in range(1, 10):
            deduplicator.add(message(tag))
        await eventually(lambda: len(pool.new) == 6)

    assert pool.new == [1, 3, 5, 6, 7, 9]
    assert pool.duplicates == [2, 4, 8]


async def test_a_message_is_acknowledged_once_its_event_is_marked(
    url: str, open_seen: Open, pool: Pool
) -> None:
    deduplicator = pool.deduplicator(await open_seen(url))

    async with pool.running(deduplicator):
        for tag in range(1, 301):
            deduplicator.note_handled(message(tag))
        await eventually(lambda: len(pool.acked) == 300)

    assert pool.acked == list(range(1, 301))
    assert rows_of(url, "SELECT count(*) FROM seen") == [(300,)]


async def test_many_events_share_a_query_and_a_commit(
    sqlite_url: str, open_seen: Open, pool: Pool
) -> None:
    seen = await open_seen(sqlite_url)
    deduplicator, statements = pool.deduplicator(seen), statements_of(seen)

    async with pool.running(deduplicator):
        for tag in range(1, 1001):
            deduplicator.add(message(tag))
            deduplicator.note_handled(message(tag))
        await eventually(lambda: len(pool.acked) == len(pool.new) == 1000)

    assert len([each for each in statements if each.startswith("SELECT")]) <= 2
    assert statements.count("COMMIT") <= 3


async def test_an_event_that_comes_twice_at_once_is_known_before_it_is_marked(
    sqlite_url: str, open_seen: Open, pool: Pool
) -> None:
    deduplicator = pool.deduplicator(await open_seen(sqlite_url))
    first, second, other = message(1, "same"), message(2, "same"), message(3)

    deduplicator.note_handled(first)

    assert [deduplicator.was_handled(each) for each in (first, second, other)] == [
        True,
        True,
        False,
    ]


async def test_an_event_of_a_replay_is_another(
    sqlite_url: str, open_seen: Open, pool: Pool
) -> None:
    deduplicator = pool.deduplicator(await open_seen(sqlite_url))
    first, replayed = message(1, "same"), message(2, "same")
    replayed = replace(replayed, event=replace(replayed.event, replay="monday"))

    deduplicator.note_handled(first)

    assert not deduplicator.was_handled(replayed)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file where the directory of the store should be."""
    path = tmp_path / "broken"
    path.write_text("")
    return path


async def test_without_the_store_nothing_is_new_and_nothing_acknowledged_until_it_is_back(
    broken: Path, pool: Pool
) -> None:
    seen = SeenStore(SeenDatabase.at(f"sqlite:{broken}/seen.db"), service="a", keep_s=60)
    deduplicator = pool.deduplicator(seen)

    def mend() -> None:
        assert not pool.new
        assert not pool.acked
        if len(pool.outage.waits) == 8:
            broken.unlink()

    pool.outage.on_wait = mend
    async with pool.running(deduplicator):
        for tag in range(1, 4):
            deduplicator.add(message(tag))
        deduplicator.note_handled(message(9))
        await eventually(lambda: pool.new and pool.acked)
    await seen.close()

    assert (pool.new, pool.acked) == ([1, 2, 3], [9])
    assert {wait.reason.split(":")[0] for wait in pool.outage.waits} == {
        "The seen store can't be used"
    }
    assert {wait.after_s for wait in pool.outage.waits} == {1}


async def test_when_the_time_is_over_nothing_waits_for_the_store(broken: Path, pool: Pool) -> None:
    seen = SeenStore(SeenDatabase.at(f"sqlite:{broken}/seen.db"), service="a", keep_s=60)
    deduplicator = pool.deduplicator(seen)
    pool.outage.stop_waiting()

    deduplicator.add(message(1))
    deduplicator.note_handled(message(2))
    async with asyncio.timeout(10):
        checked, marked = await deduplicator.check(), await deduplicator.mark()
    await seen.close()

    assert (checked, marked) == (None, ())


async def test_what_is_left_at_the_end_is_marked_and_acknowledged(
    url: str, open_seen: Open, pool: Pool
) -> None:
    deduplicator = pool.deduplicator(await open_seen(url))
    deduplicator.note_handled(message(1))
    deduplicator.note_handled(message(2))

    first, second = await deduplicator.mark(), await deduplicator.mark()

    assert (tags(first), second) == ([1, 2], ())
    assert rows_of(url, "SELECT count(*) FROM seen") == [(2,)]


async def test_what_is_being_marked_at_the_end_is_acknowledged_before_it_is_over(
    sqlite_url: str, open_seen: Open, pool: Pool
) -> None:
    deduplicator = pool.deduplicator(await open_seen(sqlite_url))

    async with pool.running(deduplicator):
        for tag in range(1, 500):
            deduplicator.note_handled(message(tag))
        await asyncio.sleep(0)  # the task has taken them by now
        await asyncio.sleep(0)
        late = await deduplicator.mark()

        assert (len(pool.acked), late) == (499, ())


async def test_a_store_that_is_gone_for_too_long_holds_nothing_back(
    broken: Path, pool: Pool
) -> None:
    seen = SeenStore(SeenDatabase.at(f"sqlite:{broken}/seen.db"), service="a", keep_s=60)
    deduplicator = pool.deduplicator(seen, hold_limit_s=0.01)

    async with pool.running(deduplicator):
        deduplicator.add(message(1))
        deduplicator.note_handled(message(2))
        await eventually(lambda: pool.unknown and pool.acked)
    await seen.close()

    assert (pool.unknown, pool.acked, pool.new) == ([1], [2], [])
