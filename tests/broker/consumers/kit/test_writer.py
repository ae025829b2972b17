"""A service that writes into the database of its `seen` store: exactly once, whatever fails."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from consumers.kit import Consumer, Database, Event, Unavailable
from consumers.kit.consuming.calling import caller_of
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.postgres import PostgresDialect
from consumers.kit.seen.store import SeenStore
from deploy.local.postgres import PrivatePostgres
from tests.support.seen_stores import Open, check_usable, execute, numbered, rows_of


def note(event: Event, db: Database) -> None:
    """Write an event into the service's own table."""
    db.execute("CREATE TABLE IF NOT EXISTS notes (id TEXT)")
    insert(event, db)


def insert(event: Event, db: Database) -> None:
    statement = "INSERT INTO notes VALUES (?)"
    if not isinstance(db, sqlite3.Connection):
        statement = statement.replace("?", "%s")
    db.execute(statement, (event.id,))


def notes(url: str) -> list[str]:
    return sorted([row[0] for row in rows_of(url, "SELECT id FROM notes")], key=int)


class Wrong(Exception):
    """What a writer raises of an event."""


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


OWN_MISTAKES: dict[str, Callable[[Any], object]] = {
    "no such table": lambda db: db.execute("INSERT INTO nowhere VALUES (1)"),
    "no SQL": lambda db: db.execute("INSRT"),
    "wrong parameters": lambda db: db.execute("SELECT 1", (1, 2, 3)),
    "no file": lambda _: Path("/nowhere/template").read_text(),
    "no connection": lambda _: (_ for _ in ()).throw(ConnectionRefusedError("the CRM")),
    "no memory": lambda _: (_ for _ in ()).throw(MemoryError()),
    "end of an iterator": lambda _: next(iter(())),
    "no constraint kept": lambda db: [db.execute("INSERT INTO once VALUES (1)") for _ in "ab"],
}


@pytest.mark.parametrize("mistake", OWN_MISTAKES)
async def test_a_writers_own_mistake_is_the_events_and_not_the_databases(
    mistake: str, url: str, open_seen: Open
) -> None:
    seen = await open_seen(url)

    def write(event: Event, db: Database) -> None:
        note(event, db)
        db.execute("CREATE TABLE IF NOT EXISTS once (id INTEGER PRIMARY KEY)")
        if event.id == "1":
            OWN_MISTAKES[mistake](db)

    results = await seen.write(numbered(3), write)

    assert [type(result) is bool for result in results] == [True, False, True]
    assert not isinstance(results[1], Unavailable)
    assert notes(url) == ["0", "2"]


async def test_what_postgresql_can_never_index_is_the_events_mistake(
    postgres_url: str, open_seen: Open
) -> None:
    seen = await open_seen(postgres_url)

    def write(event: Event, db: Any) -> None:
        note(event, db)
        db.execute("CREATE TABLE IF NOT EXISTS long (text TEXT PRIMARY KEY)")
        text = "".join([chr(0x4E00 + number) for number in range(5000)])
        db.execute("INSERT INTO long VALUES (%s)", (text if event.id == "1" else event.id,))

    results = await seen.write(numbered(3), write)

    assert isinstance(results[1], psycopg.errors.ProgramLimitExceeded)
    assert (results[0], results[2]) == (True, True)
    assert notes(postgres_url) == ["0", "2"]


async def test_a_statement_that_takes_too_long_is_the_events_mistake(
    postgres_url: str, open_seen: Open
) -> None:
    seen = await open_seen(postgres_url)

    def write(event: Event, db: Database) -> None:
        note(event, db)
        if event.id == "1":
            db.execute("SET LOCAL statement_timeout = 50")
            db.execute("SELECT pg_sleep(60)")

    results = await seen.write(numbered(3), write)

    assert isinstance(results[1], psycopg.errors.QueryCanceled)
    assert (results[0], results[2]) == (True, True)
    assert notes(postgres_url) == ["0", "2"]


async def test_a_lock_that_others_hold_is_waited_for(postgres_url: str, open_seen: Open) -> None:
    execute(postgres_url, "CREATE TABLE notes (id TEXT)")
    seen = await open_seen(postgres_url)

    def write(event: Event, db: Database) -> None:
        db.execute("SET LOCAL lock_timeout = 50")
        insert(event, db)

    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE notes")
        with pytest.raises(Unavailable, match="lock timeout"):
            await seen.write(numbered(3), write)

    assert await seen.write(numbered(3), write) == [True] * 3


def test_each_error_of_postgresql_is_the_servers_or_the_statements() -> None:
    """All there are, by the class that the first two digits of their code name."""
    dialect = PostgresDialect("postgresql://host/db")
    kinds = set(psycopg.errors._sqlcodes.values())

    troubles = {str(kind.sqlstate) for kind in kinds if dialect.is_trouble(kind())}

    assert {trouble[:2] for trouble in troubles} == {"08", "25", "40", "53", "55", "57", "58"}
    assert {trouble for trouble in troubles if trouble[:2] in {"25", "55"}} == {"25006", "55P03"}
    assert not troubles & {"57014", "54001", "22012", "23505", "42P01"}
    assert dialect.is_trouble(psycopg.OperationalError("the connection is closed"))


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


# What is refused only when all is done.


async def written(consumer: Consumer, seen: SeenStore, batch: list[Event]) -> list[Any]:
    """Return what comes of a batch, as the service calls it."""
    return list(await caller_of(consumer, seen=seen, timeout_s=60)(batch))


async def test_whom_a_commit_fails_for_is_found_and_the_others_are_written(
    postgres_url: str, open_seen: Open
) -> None:
    execute(postgres_url, "CREATE TABLE notes (id TEXT UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    consumer, seen = Consumer("crm-sync", bindings=["#"]), await open_seen(postgres_url)

    @consumer.writer()
    def write(event: Event, db: Database) -> None:
        for _ in range(2 if event.id == "3" else 1):
            insert(event, db)

    with pytest.raises(psycopg.errors.UniqueViolation):
        await seen.write(numbered(5), write)
    assert rows_of(postgres_url, "SELECT * FROM notes") == []
    assert rows_of(postgres_url, "SELECT * FROM seen") == []

    results = await written(consumer, seen, numbered(5))

    assert [type(result) for result in results] == [
        bool,
        bool,
        bool,
        psycopg.errors.UniqueViolation,
        bool,
    ]
    assert notes(postgres_url) == ["0", "1", "2", "4"]


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK"])
async def test_a_writer_that_ends_the_transaction_itself_harms_no_other_event(
    statement: str, url: str, open_seen: Open
) -> None:
    execute(url, "CREATE TABLE notes (id TEXT)")
    consumer, seen = Consumer("crm-sync", bindings=["#"]), await open_seen(url)

    @consumer.writer()
    def write(event: Event, db: Database) -> None:
        if event.id == "2":
            db.execute(statement)
        else:
            insert(event, db)

    results = await written(consumer, seen, numbered(4))

    assert [result for result in results if isinstance(result, Unavailable)] == []
    assert [isinstance(each, Exception) for each in (*results[:2], results[3])] == [False] * 3
    assert notes(url) == ["0", "1", "3"]
    await check_usable(seen)


async def test_a_writer_that_hides_an_error_from_postgresql_fails_alone(
    postgres_url: str, open_seen: Open
) -> None:
    """The transaction is of no use any more, whoever caught the error."""
    execute(postgres_url, "CREATE TABLE notes (id TEXT)")
    consumer, seen = Consumer("crm-sync", bindings=["#"]), await open_seen(postgres_url)

    @consumer.writer()
    def write(event: Event, db: Database) -> None:
        insert(event, db)
        if event.id == "2":
            with suppress(psycopg.Error):
                db.execute("INSERT INTO nowhere VALUES (1)")

    results = await written(consumer, seen, numbered(4))

    assert [result is True for result in results] == [True, True, False, True]
    assert not isinstance(results[2], Unavailable)
    assert notes(postgres_url) == ["0", "1", "3"]
