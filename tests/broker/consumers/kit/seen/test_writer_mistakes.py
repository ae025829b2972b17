"""A writer's mistakes are its events' alone, and the database's trouble is nobody's mistake."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from consumers.kit import Consumer, Database, Event, Unavailable
from consumers.kit.consuming.calling import caller_of
from consumers.kit.seen.postgres import PostgresDialect
from consumers.kit.seen.store import SeenStore
from tests.support.seen_stores import Open, check_usable, execute, numbered, rows_of
from tests.support.writers import insert, note, notes


class Wrong(Exception):
    """What a writer raises of an event."""


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
