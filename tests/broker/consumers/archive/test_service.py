"""The archive between RabbitMQ and a database: what each of them and the service itself may do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit.queues import topology
from deploy.local.postgres import PrivatePostgres
from tests.support.archive_process import ArchiveProcess
from tests.support.archives import archived, event, found
from tests.support.cleanup import delete_queues
from tests.support.eventually import eventually

NewProcess = Callable[..., ArchiveProcess]


@pytest.fixture
async def new_process(
    tmp_path: Path, broker_url: str, exchange: str, connection: AbstractConnection
) -> AsyncIterator[NewProcess]:
    channel = await connection.channel()
    await channel.declare_exchange(exchange, "topic", durable=True)

    def new_process(database: str, **settings: object) -> ArchiveProcess:
        return ArchiveProcess(
            tmp_path,
            database=database,
            broker_url=broker_url,
            exchange=exchange,
            connection=connection,
            retry_delays_s=[0.05],
            **settings,
        )

    yield new_process
    wanted = topology.topology(exchange, retry_delays_s=[0.05], dead_max_length=1)
    await delete_queues(connection, wanted.queues)
    await channel.exchange_delete(exchange)


async def test_what_is_published_twice_is_kept_once(new_process: NewProcess, database: str) -> None:
    process = new_process(database)
    events = [event(f"{n}", conversation=f"c{n % 7}") for n in range(500)]

    async with process.running():
        await process.publish(events)
        await process.publish(reversed(events))
        known = 'relay_archive_events_total{outcome="known"} 500.0'
        await eventually(lambda: process.reports("/metrics", known))

    assert sorted(found(process.archive)) == sorted(archived(*events))
    assert await process.is_empty()


async def test_events_of_a_conversation_are_kept_in_the_order_they_were_published_in(
    new_process: NewProcess, database: str
) -> None:
    process = new_process(database)
    events = [event(f"{n * 7919 % 2000}", conversation=f"c{n % 7}") for n in range(2000)]

    async with process.running():
        await process.publish(events)
        await eventually(lambda: process.holds(2000))

    assert found(process.archive, conversation="c3") == archived(*events[3::7])


async def test_a_kill_in_mid_load_loses_nothing_and_doubles_nothing(
    new_process: NewProcess, database: str
) -> None:
    process = new_process(database, batch_limit=100)
    events = [event(f"{n}") for n in range(5000)]

    async with process.running() as running:
        publishing = asyncio.create_task(process.publish(events))
        await eventually(lambda: process.holds(500))
        running.kill()
        await publishing
    assert not process.holds(5000)
    async with process.running():
        await eventually(lambda: process.holds(5000))

    assert sorted(found(process.archive)) == sorted(archived(*events))
    assert await process.is_empty()


async def test_events_wait_for_a_database_that_is_down(
    new_process: NewProcess, own_postgres: PrivatePostgres, postgres_url: str
) -> None:
    process = new_process(postgres_url)
    events = [event(f"{n}") for n in range(100)]

    async with process.running():
        own_postgres.kill()
        await process.publish(events)
        await eventually(lambda: process.reports("/readyz", "The archive can't be written"))
        own_postgres.start()
        await eventually(lambda: process.holds(100))

    assert sorted(found(process.archive)) == sorted(archived(*events))
    assert await process.is_empty()


async def test_events_wait_for_a_database_that_hangs(
    new_process: NewProcess, postgres_url: str
) -> None:
    process = new_process(postgres_url, handler_timeout_s=1)

    async with process.running():
        with psycopg.connect(postgres_url) as db:
            db.execute("LOCK TABLE archive IN ACCESS EXCLUSIVE MODE")
            await process.publish([event()])
            await eventually(lambda: process.reports("/readyz", "did not answer within 0.5 s"))
        await eventually(lambda: process.holds(1))

    assert await process.is_empty()


async def test_an_event_the_database_refuses_holds_up_no_other(
    new_process: NewProcess, postgres_url: str
) -> None:
    process = new_process(postgres_url)
    good = [event(f"{n}") for n in range(100)]

    async with process.running():
        with psycopg.connect(postgres_url, autocommit=True) as db:
            db.execute("ALTER TABLE archive ADD CHECK (id <> 'bad')")
        await process.publish([*good[:50], event("bad"), *good[50:]])
        await eventually(lambda: process.holds(100))
        await eventually(process.dead)

    assert sorted(found(process.archive)) == sorted(archived(*good))
    assert (await process.waiting(), await process.dead()) == (0, 1)


async def test_bindings_decide_what_is_kept(new_process: NewProcess, tmp_path: Path) -> None:
    process = new_process(f"sqlite:{tmp_path / 'archive.db'}", bindings=["one.#"])

    async with process.running():
        await process.publish([event("a", vendor="one"), event("b", vendor="other")])
        await process.publish([event("c", vendor="one")])
        await eventually(lambda: process.holds(2))

    assert found(process.archive) == archived(event("a", vendor="one"), event("c", vendor="one"))
