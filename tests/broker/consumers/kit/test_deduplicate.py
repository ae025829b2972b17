"""Each event once: asked for in bulk when it arrives, marked in bulk before it is settled."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pamqp import commands

from consumers.kit.consuming.decision import Wait
from consumers.kit.consuming.deduplicate import Deduplicator
from consumers.kit.consuming.delivery import Delivery, Received, read
from consumers.kit.seen import database
from consumers.kit.seen.store import Seen
from tests.support.eventually import eventually
from tests.support.seen_stores import EVENT, Open, rows_of


def message(tag: int, event_id: str = "") -> Delivery:
    """A message in hand with the event of an id; its tag's, unless given."""
    body = EVENT.body.replace(EVENT.id.encode(), (event_id or str(tag)).encode())
    return read(Received(tag, "a.b", commands.Basic.Properties(), body))


@dataclass
class Told:
    """What becomes of messages, by their tags."""

    admitted: list[int] = field(default_factory=list)
    passed_over: list[int] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    back: list[int] = field(default_factory=list)
    hold_limit_s: float = 600
    is_over: bool = False
    on_wait: Callable[[], object] = bool

    def once(self, seen: Seen) -> Deduplicator:
        return Deduplicator(
            seen,
            admit=lambda it: self.admitted.append(it.message.tag),
            pass_over=lambda it: self.passed_over.append(it.message.tag),
            settle=lambda it: self.settled.append(it.message.tag),
            put_back=self.put_back,
            wait=self.wait,
            hold_limit_s=self.hold_limit_s,
        )

    async def put_back(self, deliveries: Sequence[Delivery]) -> None:
        self.back.extend([it.message.tag for it in deliveries])

    async def wait(self, wait: Wait) -> bool:
        self.waits.append(wait)
        self.on_wait()
        await asyncio.sleep(0)
        return not self.is_over


@asynccontextmanager
async def running(once: Deduplicator) -> AsyncIterator[None]:
    """Ask and tell, as beside the handlers."""
    tasks = [asyncio.create_task(once.ask()), asyncio.create_task(once.tell())]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def statements_of(seen: Seen) -> list[str]:
    """Return a list to which what SQLite is told is added."""
    statements: list[str] = []
    seen._database._db.set_trace_callback(statements.append)
    return statements


@pytest.fixture
def told() -> Told:
    return Told()


async def test_what_was_seen_is_passed_over_and_the_rest_admitted_in_order(
    url: str, open_seen: Open, told: Told
) -> None:
    seen = await open_seen(url)
    await seen.mark(["2", "4", "8"])
    once = told.once(seen)

    async with running(once):
        for tag in range(1, 10):
            once.arrived(message(tag))
        await eventually(lambda: len(told.admitted) == 6)

    assert told.admitted == [1, 3, 5, 6, 7, 9]
    assert told.passed_over == [2, 4, 8]


async def test_a_message_is_settled_once_its_event_is_marked(
    url: str, open_seen: Open, told: Told
) -> None:
    once = told.once(await open_seen(url))

    async with running(once):
        for tag in range(1, 301):
            once.handled(message(tag))
        await eventually(lambda: len(told.settled) == 300)

    assert told.settled == list(range(1, 301))
    assert rows_of(url, "SELECT count(*) FROM seen") == [(300,)]


async def test_many_events_share_a_question_and_a_commit(
    sqlite_url: str, open_seen: Open, told: Told
) -> None:
    seen = await open_seen(sqlite_url)
    once, statements = told.once(seen), statements_of(seen)

    async with running(once):
        for tag in range(1, 1001):
            once.arrived(message(tag))
            once.handled(message(tag))
        await eventually(lambda: len(told.settled) == len(told.admitted) == 1000)

    assert len([it for it in statements if it.startswith("SELECT")]) <= 2
    assert len([it for it in statements if it == "COMMIT"]) <= 2


async def test_an_event_that_comes_twice_at_once_is_known_before_it_is_marked(
    sqlite_url: str, open_seen: Open, told: Told
) -> None:
    once = told.once(await open_seen(sqlite_url))
    first, second, other = message(1, "same"), message(2, "same"), message(3)

    once.handled(first)

    assert [once.was_handled(it) for it in (first, second, other)] == [True, True, False]


async def test_an_event_of_a_replay_is_another(
    sqlite_url: str, open_seen: Open, told: Told
) -> None:
    once = told.once(await open_seen(sqlite_url))
    first, replayed = message(1, "same"), message(2, "same")
    replayed = replace(replayed, event=replace(replayed.event, replay="monday"))

    once.handled(first)

    assert not once.was_handled(replayed)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file where the directory of the store should be."""
    path = tmp_path / "broken"
    path.write_text("")
    return path


async def test_without_the_store_nothing_is_admitted_and_nothing_settled_until_it_is_back(
    broken: Path, told: Told
) -> None:
    seen = Seen(database.at(f"sqlite:{broken}/seen.db"), service="a", keep_s=60)
    once = told.once(seen)

    def mend() -> None:
        assert not told.admitted
        assert not told.settled
        if len(told.waits) == 8:
            broken.unlink()

    told.on_wait = mend
    async with running(once):
        for tag in range(1, 4):
            once.arrived(message(tag))
        once.handled(message(9))
        await eventually(lambda: told.admitted and told.settled)
    await seen.close()

    assert (told.admitted, told.settled) == ([1, 2, 3], [9])
    assert {it.reason.split(":")[0] for it in told.waits} == {"The seen store can't be used"}
    assert {it.after_s for it in told.waits} == {1}


async def test_when_the_time_is_over_nothing_waits_for_the_store(broken: Path, told: Told) -> None:
    seen = Seen(database.at(f"sqlite:{broken}/seen.db"), service="a", keep_s=60)
    once, told.is_over = told.once(seen), True

    once.arrived(message(1))
    once.handled(message(2))
    async with asyncio.timeout(10):
        await once.ask()
        await once.settle_handled()
    await seen.close()

    assert (told.admitted, told.passed_over, told.settled) == ([], [], [])


async def test_what_is_left_at_the_end_is_marked_and_settled(
    url: str, open_seen: Open, told: Told
) -> None:
    once = told.once(await open_seen(url))
    once.handled(message(1))
    once.handled(message(2))

    await once.settle_handled()
    await once.settle_handled()

    assert told.settled == [1, 2]
    assert rows_of(url, "SELECT count(*) FROM seen") == [(2,)]


async def test_what_is_being_marked_at_the_end_is_settled_before_it_is_over(
    sqlite_url: str, open_seen: Open, told: Told
) -> None:
    once = told.once(await open_seen(sqlite_url))

    async with running(once):
        for tag in range(1, 500):
            once.handled(message(tag))
        await asyncio.sleep(0)  # `tell` has taken them by now
        await asyncio.sleep(0)
        await once.settle_handled()

        assert len(told.settled) == 499


async def test_a_store_that_is_gone_for_too_long_holds_nothing_back(
    broken: Path, told: Told
) -> None:
    seen = Seen(database.at(f"sqlite:{broken}/seen.db"), service="a", keep_s=60)
    told.hold_limit_s = 0.01
    once = told.once(seen)

    async with running(once):
        once.arrived(message(1))
        once.handled(message(2))
        await eventually(lambda: told.back and told.settled)
    await seen.close()

    assert (told.back, told.settled, told.admitted) == ([1], [2], [])
