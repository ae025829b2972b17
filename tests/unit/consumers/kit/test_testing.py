"""Trying a handler in memory: events of the vendors' samples in, what would be done out."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from consumers.kit import Consumer, Database, Event, Reject, Unavailable
from consumers.kit.testing import Dead, Done, Retry, Wait, events, handle
from relay import vendors
from tests.conftest import SAMPLES
from tests.support.rows import for_each


def consumer(handler: Any = None) -> Consumer:
    return Consumer("crm-sync", bindings=["#"], handler=handler)


def raising(error: Exception) -> Consumer:
    @(failing := consumer()).handler
    async def handler(_: Event) -> None:
        raise error

    return failing


EVENTS = events("pickyassist")
EVENT = EVENTS[0]


# Events.


@for_each(vendor=vendors.discover())
def test_every_sample_that_has_events_gives_them(vendor: str) -> None:
    with_events = [
        each
        for each in (SAMPLES / vendor).glob("*.json")
        if not each.name.endswith(".expected.json")
    ]

    found = events(vendor)

    assert len(found) >= len(with_events) > 0
    assert {each.source for each in found} == {f"/{vendor}/{vendor}"}
    assert len({each.id for each in found}) == len(found)


def test_a_sample_is_named_by_how_it_begins() -> None:
    (missed,) = events("pickyassist", "05")
    (same,) = events("pickyassist", "05-missed_a_chat", source="sales")

    assert missed.type == same.type == "conversation.missed"
    assert same.source == "/pickyassist/sales"
    assert missed.id != same.id


@pytest.mark.parametrize(
    ("vendor", "sample"),
    [("nobody", ""), ("", ""), ("pickyassist", "99"), ("acquire", "malformed")],
)
def test_what_there_is_no_sample_of_is_said(vendor: str, sample: str) -> None:
    with pytest.raises(ValueError, match=f"there is no sample {sample!r} of a vendor {vendor!r}"):
        events(vendor, sample)


# Handling.


async def test_a_handler_that_returns_is_done() -> None:
    handled = []

    @(service := consumer()).handler
    async def handler(event: Event) -> None:
        handled.append(event)

    assert await handle(service, EVENT) == Done()
    assert handled == [EVENT]


@pytest.mark.parametrize(
    ("error", "decision"),
    [
        (ValueError("no"), Retry(1, 2)),
        (Reject("never"), Dead("rejected: never")),
        (Unavailable("the CRM is down"), Wait(1, "the CRM is down")),
        (Unavailable("the CRM is down", retry_after_s=9), Wait(9, "the CRM is down")),
    ],
)
async def test_what_a_handler_raises_decides(error: Exception, decision: object) -> None:
    assert await handle(raising(error), EVENT) == decision


async def test_the_attempt_and_the_delays_are_those_given() -> None:
    attempts = []

    @(service := consumer()).handler
    async def handler(event: Event) -> None:
        attempts.append(event.attempt)
        raise ValueError("no")

    decisions = [
        await handle(service, EVENT, attempt=attempt, retry_delays_s=[5, 7])
        for attempt in (1, 2, 3)
    ]

    assert decisions == [Retry(5, 2), Retry(7, 3), Dead("ValueError: no")]
    assert attempts == [1, 2, 3]


async def test_the_delays_are_the_kits_unless_given() -> None:
    service = raising(ValueError("no"))

    decisions = [await handle(service, EVENT, attempt=attempt) for attempt in range(1, 6)]

    assert decisions == [
        Retry(1, 2),
        Retry(10, 3),
        Retry(60, 4),
        Retry(600, 5),
        Dead("ValueError: no"),
    ]


async def test_a_handler_that_hangs_is_tried_again() -> None:
    @(service := consumer()).handler
    async def handler(_: Event) -> None:
        await asyncio.Event().wait()

    decision = await handle(service, EVENT, timeout_s=0.01)
    last = await handle(service, EVENT, timeout_s=0.01, retry_delays_s=[])

    assert decision == Retry(1, 2)
    assert last == Dead("TimeoutError: it took longer than 0.01 s")


async def test_the_same_event_is_handled_each_time() -> None:
    handled = []

    @(service := consumer()).handler
    async def handler(event: Event) -> None:
        handled.append(event.id)

    for _ in range(2):
        assert await handle(service, EVENT) == Done()

    assert handled == [EVENT.id] * 2


async def test_a_batch_handler_gets_a_batch_of_one() -> None:
    batches = []

    @(service := consumer()).batch_handler(limit=10)
    async def handler(batch: Sequence[Event]) -> None:
        batches.append(list(batch))

    assert await handle(service, EVENT) == Done()
    assert batches == [[EVENT]]


async def test_a_writer_writes_into_a_database_in_memory() -> None:
    written = []

    @(service := consumer()).writer()
    def write(event: Event, db: Any) -> None:
        db.execute("CREATE TABLE IF NOT EXISTS missed (phone TEXT)")
        db.execute("INSERT INTO missed VALUES (?)", (event.data["contact"]["phone"],))
        written.extend(db.execute("SELECT phone FROM missed").fetchall())

    decisions = [await handle(service, EVENT) for _ in range(2)]

    assert decisions == [Done(), Done()]
    assert len(written) == 2


async def test_what_a_writer_wrote_can_be_looked_at(tmp_path: Path) -> None:
    @(service := consumer()).writer(schema="CREATE TABLE missed (phone TEXT)")
    def write(event: Event, db: Database) -> None:
        db.execute("INSERT INTO missed VALUES (?)", (event.data["contact"]["phone"],))

    decision = await handle(service, EVENT, database=f"sqlite:{tmp_path}/crm.db")

    assert decision == Done()
    with closing(sqlite3.connect(tmp_path / "crm.db")) as db:
        assert db.execute("SELECT phone FROM missed").fetchall() == [
            (EVENT.data["contact"]["phone"],)
        ]


async def test_a_writers_own_mistake_is_a_failed_attempt() -> None:
    @(service := consumer()).writer()
    def write(_: Event, db: Any) -> None:
        db.execute("INSERT INTO nowhere VALUES (?)", (1,))

    decision = await handle(service, EVENT, retry_delays_s=[])

    assert decision == Dead("OperationalError: no such table: nowhere")


async def test_a_service_without_a_function_is_refused() -> None:
    with pytest.raises(ValueError, match="crm-sync has 0 handlers"):
        await handle(consumer(), EVENT)


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
async def test_what_ends_a_program_ends_the_test(end: Callable[[], BaseException]) -> None:
    async def handler(_: Event) -> None:
        raise end()

    with pytest.raises(end):
        await handle(consumer(handler), EVENT)
