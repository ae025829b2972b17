"""The `seen` store in real databases: what is remembered, for whom, and what if it fails."""

import asyncio
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consumers.kit import Unavailable
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.store import SeenStore, key_of
from tests.support.seen_stores import EVENT, Open, rows_of

# Marks.


async def test_what_was_marked_is_not_new(url: str, open_seen: Open) -> None:
    seen = await open_seen(url)

    await seen.mark(["a", "b"])
    await seen.mark(["b", "c", "c"])

    assert await seen.are_new(["c", "x", "a", "x", "b"]) == [False, True, False, True, False]


async def test_marks_are_there_after_a_restart(url: str, open_seen: Open) -> None:
    with closing(SeenDatabase.at(url)) as before:
        before.mark("crm-sync", ["a"], now=time.time())

    assert await (await open_seen(url)).are_new(["a", "b"]) == [False, True]


async def test_services_that_share_a_database_do_not_see_each_others_marks(
    url: str, open_seen: Open
) -> None:
    one, other = await open_seen(url, "crm-sync"), await open_seen(url, "archive")

    await one.mark(["a"])

    assert await one.are_new(["a"]) == [False]
    assert await other.are_new(["a"]) == [True]


async def test_as_many_are_asked_for_as_can_be_in_hand(url: str, open_seen: Open) -> None:
    seen, keys = await open_seen(url), [str(number) for number in range(2000)]

    await seen.mark(keys[::2])

    assert await seen.are_new(keys) == [False, True] * 1000


@pytest.mark.parametrize(
    "event_id",
    ["\0", "a\0b", "é" * 3000, "\U0001f600" * 255, "a" * 1_000_000, "'; DROP TABLE seen; --", "%s"],
    ids=lambda each: repr(each[:20]),
)
async def test_any_id_can_be_remembered(event_id: str, url: str, open_seen: Open) -> None:
    seen, key = await open_seen(url), key_of(replace(EVENT, id=event_id))
    other = key_of(replace(EVENT, id=event_id + "x"))

    assert await seen.are_new([key, other]) == [True, True]
    await seen.mark([key])

    assert await seen.are_new([key, other]) == [False, True]


def test_an_event_of_a_replay_is_remembered_by_itself() -> None:
    first, second = replace(EVENT, replay="monday"), replace(EVENT, replay="tuesday")

    assert len({key_of(each) for each in (EVENT, first, second)}) == 3
    assert key_of(first) == key_of(replace(first, attempt=3, routing_key="other"))


async def test_instances_that_mark_the_same_keys_in_any_order_do_not_block_each_other(
    url: str, open_seen: Open
) -> None:
    stores = [await open_seen(url) for _ in range(4)]
    keys = [str(number) for number in range(300)]

    for step in range(1, 6):
        order = [keys[::step] + keys, keys[::-step] + keys[::-1]] * 2
        await asyncio.gather(*[each.mark(keys) for each, keys in zip(stores, order, strict=True)])

    assert await stores[0].are_new(keys) == [False] * 300


async def test_of_many_that_ask_and_tell_at_once_each_gets_its_own_answer(
    url: str, open_seen: Open
) -> None:
    seen = await open_seen(url)

    async def mark_and_ask(number: int) -> list[bool]:
        await seen.mark([f"{number}"])
        return await seen.are_new([f"{number}", f"not {number}"])

    answers = await asyncio.gather(*[mark_and_ask(number) for number in range(200)])

    assert answers == [[False, True]] * 200


async def test_what_was_asked_for_is_done_before_the_store_closes(url: str) -> None:
    seen = SeenStore(SeenDatabase.at(url), service="crm-sync", keep_s=600)
    marking = [asyncio.ensure_future(seen.mark([f"{number}"])) for number in range(20)]
    await asyncio.sleep(0)

    await seen.close()
    await asyncio.gather(*marking)

    assert rows_of(url, "SELECT count(*) FROM seen") == [(20,)]


async def test_a_writer_that_blocks_does_not_keep_the_store_from_closing(sqlite_url: str) -> None:
    database, is_over = SeenDatabase.at(sqlite_url), threading.Event()
    seen = SeenStore(database, service="a", keep_s=60)
    writing = asyncio.create_task(seen.write([EVENT], lambda _event, _db: bool(is_over.wait())))
    waiting = asyncio.create_task(seen.mark(["behind it"]))
    await asyncio.sleep(0)

    with capture_logs() as logs:
        await seen.close(limit_s=0.05)

    assert logs == [{"event": "thread blocked", "log_level": "warning", "thread": "seen"}]
    with pytest.raises(asyncio.CancelledError):
        await waiting
    is_over.set()
    assert await writing == [True]
    database.close()  # else whenever its memory is freed, with a warning since Python 3.13


def test_a_store_that_is_closed_opens_no_connection(sqlite_url: str) -> None:
    database = SeenDatabase.at(sqlite_url)

    database.close()

    with pytest.raises(Unavailable, match="closed"):
        database.mark("crm-sync", ["late"], now=1)
    assert not Path(sqlite_url.removeprefix("sqlite:")).exists()


# In memory.


async def test_what_was_handled_lately_is_known_without_the_database(
    sqlite_url: str, open_seen: Open
) -> None:
    seen = await open_seen(sqlite_url)

    seen.note("a")

    assert (seen.is_recent("a"), seen.is_recent("b")) == (True, False)
    assert await seen.are_new(["a"]) == [True]


async def test_memory_is_bounded_and_forgets_the_oldest(sqlite_url: str, open_seen: Open) -> None:
    seen = await open_seen(sqlite_url, max_recent=3)

    for key in "abcd":
        seen.note(key)

    assert [seen.is_recent(key) for key in "abcd"] == [False, True, True, True]
