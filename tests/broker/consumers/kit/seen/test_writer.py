"""A service that writes into the database of its `seen` store: exactly once, whatever fails."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from consumers.kit import Database, Event, Unavailable
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.store import SeenStore
from deploy.local.postgres import PrivatePostgres
from tests.support.seen_stores import Open, execute, numbered, rows_of
from tests.support.writers import insert, note, notes


async def test_what_is_written_and_the_mark_come_together(url: str, open_seen: Open) -> None:
    seen = await open_seen(url)

    results = await seen.write(numbered(3), note)

    assert results == [True] * 3
    assert notes(url) == ["0", "1", "2"]
    assert await seen.are_new(["0", "1", "2", "3"]) == [False, False, False, True]


async def test_an_event_is_written_once_however_often_it_comes(url: str, open_seen: Open) -> None:
    seen = await open_seen(url)

    first = await seen.write([*numbered(2), *numbered(3)], note)
    again = await (await open_seen(url)).write(numbered(4), note)

    assert (first, again) == ([True, True, False, False, True], [False, False, False, True])
    assert notes(url) == ["0", "1", "2", "3"]


async def test_of_a_replay_it_is_written_again_and_once(url: str, open_seen: Open) -> None:
    seen = await open_seen(url)
    replayed = [replace(each, replay="monday") for each in numbered(1)]

    results = await seen.write([*numbered(1), *replayed, *replayed], note)

    assert results == [True, True, False]
    assert notes(url) == ["0", "0"]


class Wrong(Exception):
    """What a writer raises of an event."""


async def test_nothing_is_kept_of_an_event_that_fails_and_all_of_the_others(
    url: str, open_seen: Open
) -> None:
    seen = await open_seen(url)
    error = Wrong("no")

    def write(event: Event, db: Database) -> None:
        note(event, db)
        if event.id == "1":
            raise error

    results = await seen.write([*numbered(3), *numbered(2)], write)

    assert results == [True, error, True, False, error]
    assert notes(url) == ["0", "2"]
    assert await seen.are_new(["0", "1", "2"]) == [False, True, False]


async def test_an_event_that_failed_is_written_when_it_comes_again(
    url: str, open_seen: Open
) -> None:
    seen, attempts = await open_seen(url), []

    def write(event: Event, db: Database) -> None:
        note(event, db)
        attempts.append(event.id)
        if len(attempts) == 1:
            raise Wrong

    [first] = await seen.write(numbered(1), write)
    second = await seen.write(numbered(1), write)

    assert isinstance(first, Wrong)
    assert second == [True]
    assert notes(url) == ["0"]


# Its tables.

SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (id TEXT);
CREATE TABLE IF NOT EXISTS others (id TEXT);  -- several; and a comment at the end"""


async def opened_with(schema: str, url: str) -> SeenStore:
    seen = SeenStore(SeenDatabase.at(url, schema=schema), service="crm-sync", keep_s=600)
    await seen.open()
    return seen


async def test_a_writers_tables_are_made_however_often_and_by_however_many(url: str) -> None:
    stores = await asyncio.gather(*[opened_with(SCHEMA, url) for _ in range(4)])

    assert await stores[0].write(numbered(2), insert) == [True, True]
    assert notes(url) == ["0", "1"]
    assert rows_of(url, "SELECT * FROM others") == []
    await asyncio.gather(*[store.close() for store in stores])


async def test_of_a_schema_with_a_mistake_nothing_is_made(url: str) -> None:
    seen = SeenStore(
        SeenDatabase.at(url, schema="CREATE TABLE notes (id TEXT); CREATE TABEL others (id TEXT)"),
        service="crm-sync",
        keep_s=600,
    )

    with pytest.raises(Unavailable, match="TABEL"):
        await seen.open()
    await seen.close()

    execute(url, "CREATE TABLE notes (id TEXT)")


async def test_a_writer_may_say_that_what_it_needs_is_down(url: str, open_seen: Open) -> None:
    """Then all of them wait: those behind would overtake the one that has to."""
    seen = await open_seen(url)

    def write(event: Event, db: Database) -> None:
        note(event, db)
        if event.id == "1":
            raise Unavailable("the CRM is down", retry_after_s=5)

    with pytest.raises(Unavailable, match="the CRM is down") as caught:
        await seen.write(numbered(3), write)

    assert caught.value.retry_after_s == 5
    assert await seen.are_new(["0", "1", "2"]) == [True, True, True]


async def test_what_is_written_survives_a_power_cut(sqlite_url: str, open_seen: Open) -> None:
    """Its message is acknowledged right after; a mark alone may be lost, and cost a duplicate."""
    seen, modes = await open_seen(sqlite_url), []

    def write(_: Event, db: Any) -> None:
        modes.extend(db.execute("PRAGMA synchronous").fetchone())

    await seen.write(numbered(1), write)

    assert modes == [2]


async def test_a_batch_is_one_transaction(sqlite_url: str, open_seen: Open) -> None:
    seen, statements = await open_seen(sqlite_url), []
    seen._database._db.set_trace_callback(statements.append)

    await seen.write(numbered(100), note)
    await seen.mark([f"m{number}" for number in range(100)])

    assert [statement for statement in statements if statement.startswith(("BEGIN", "COMMIT"))] == [
        *("BEGIN IMMEDIATE", "COMMIT"),
        *("BEGIN IMMEDIATE", "COMMIT"),  # the first batch has old marks deleted
        *("BEGIN IMMEDIATE", "COMMIT"),
    ]


async def test_nothing_is_written_when_the_server_dies_meanwhile(
    own_postgres: PrivatePostgres, postgres_url: str, open_seen: Open
) -> None:
    seen = await open_seen(postgres_url)

    def write(event: Event, db: Database) -> None:
        note(event, db)
        if event.id == "1":
            own_postgres.kill()

    with pytest.raises(Unavailable):
        await seen.write(numbered(3), write)

    own_postgres.start()
    assert await seen.write(numbered(3), note) == [True] * 3
    assert notes(postgres_url) == ["0", "1", "2"]
