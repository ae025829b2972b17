"""A service as a process: killed, stopped, and its broker taken away in mid-load."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit.queues import topology
from deploy.local.broker import PrivateBroker
from relay.broker import connection as broker
from relay.events.topology import topology as relay_topology
from tests.support.consuming import Exchange, body, length
from tests.support.eventually import LIMIT_S, eventually

SERVICES = Path("tests/support/services")


class Service:
    """A service of tests/support/services, which may be started again and again."""

    def __init__(
        self, directory: Path, file: str, *, url: str, exchange: str, **settings: int
    ) -> None:
        self.name = f"test-{uuid.uuid4().hex[:12]}"
        self.database = directory / "seen.db"
        self.output = directory / "output"
        self._file = SERVICES / file
        self._config = directory / "relay.toml"
        self._config.write_text(
            f'[broker]\nurls = ["{url}"]\nexchange = "{exchange}"\nheartbeat_s = 2\n'
            f'[log]\nformat = "json"\n[consumers.{self.name}]\nseen = "sqlite:{self.database}"\n'
            + "".join([f"{name} = {value}\n" for name, value in settings.items()])
        )

    async def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(self._file), "--config", str(self._config)),
                stdout=output,
                stderr=output,
                env={**os.environ, "SERVICE_NAME": self.name, "PYTHONPATH": "."},
            )

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), LIMIT_S)

    def lines(self) -> list[str]:
        return self.output.read_text().splitlines()

    def logged(self, event: str) -> int:
        lines = [json.loads(it) for it in self.lines() if it.startswith("{")]
        return sum(it["event"] == event for it in lines)

    def texts(self) -> list[int]:
        return [int(it) for it in self.lines() if it.isdigit()]

    def notes(self) -> list[int]:
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            try:
                return [int(row[0]) for row in db.execute("SELECT text FROM notes")]
            except sqlite3.OperationalError:  # nothing noted yet
                return []


@contextlib.asynccontextmanager
async def service(
    directory: Path, file: str, url: str, **settings: int
) -> AsyncIterator[tuple[Service, Exchange]]:
    """A service that consumes, and an exchange to publish to; all of it taken down at the end."""
    connection = await aio_pika.connect(url)
    exchange = f"test-{uuid.uuid4().hex[:12]}"
    declared = relay_topology(exchange, unrouted_max_length=1000, quarantine_max_length=1000)
    await broker.declare(connection, declared, passive=False)
    it = Service(directory, file, url=url, exchange=exchange, **settings)
    await it.start()
    try:
        await eventually(lambda: it.logged("consuming") == 1)
        yield it, Exchange(await connection.channel(), exchange)
    finally:
        if it.process.returncode is None:
            await it.end(signal.SIGTERM)
        await broker.close(connection)  # the broker may be another by now
        queues = topology.topology(it.name, retry_delays_s=[1, 10, 60, 600], dead_max_length=1)
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            for queue in (*queues.queues, *declared.queues):
                await channel.queue_delete(queue.name)
            for gone in declared.exchanges:
                await channel.exchange_delete(gone.name)


async def publish(exchange: Exchange, first: int, end: int) -> None:
    await exchange.publish(*[body(f"{n}", event_id=f"e{n}") for n in range(first, end)])


async def test_killed_in_mid_load_it_has_written_each_event_exactly_once_in_the_end(
    tmp_path: Path, broker_url: str
) -> None:
    async with service(tmp_path, "noting.py", broker_url) as (it, exchange):
        for start in range(0, 6000, 2000):
            before = len(it.notes())
            await publish(exchange, start, start + 2000)
            await eventually(lambda before=before: len(it.notes()) > before + 100)
            await it.end(signal.SIGKILL)
            await it.start()
        await eventually(lambda: len(it.notes()) >= 6000)

        assert sorted(it.notes()) == list(range(6000))


async def test_killed_in_mid_load_a_plain_handler_misses_nothing(
    tmp_path: Path, broker_url: str
) -> None:
    async with service(tmp_path, "printing.py", broker_url) as (it, exchange):
        for start in range(0, 1500, 500):
            before = len(it.texts())
            await publish(exchange, start, start + 500)
            await eventually(lambda before=before: len(it.texts()) > before + 50)
            await it.end(signal.SIGKILL)
            await it.start()
        await eventually(lambda: set(it.texts()) == set(range(1500)))

        assert len(it.texts()) < 1500 + 3 * 200  # only what was in hand comes twice


async def test_stopped_and_started_under_load_it_handles_each_event_once(
    tmp_path: Path, broker_url: str
) -> None:
    async with service(tmp_path, "printing.py", broker_url) as (it, exchange):
        publishing = asyncio.create_task(publish(exchange, 0, 3000))
        for stops in range(3):
            await eventually(lambda stops=stops: len(it.texts()) > 300 * (stops + 1))
            assert await it.end(signal.SIGTERM) == 0
            await it.start()
        await publishing
        await eventually(lambda: len(it.texts()) >= 3000)

        assert sorted(it.texts()) == list(range(3000))
        assert it.logged("stopped") == 3


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_a_broker_that_goes_away_and_comes_back_costs_no_event(
    tmp_path: Path, own_broker: PrivateBroker, way: str
) -> None:
    async with service(tmp_path, "noting.py", own_broker.url) as (it, exchange):
        await publish(exchange, 0, 2000)
        await eventually(lambda: len(it.notes()) > 100)
        await asyncio.to_thread(getattr(own_broker, way))
        await asyncio.to_thread(own_broker.start)
        await eventually(lambda: it.logged("consuming") == 2)
        await eventually(lambda: len(it.notes()) >= 2000)

        assert sorted(it.notes()) == list(range(2000))


async def test_a_connection_the_broker_closes_is_made_anew(
    tmp_path: Path, own_broker: PrivateBroker, connection: AbstractConnection
) -> None:
    del connection
    async with service(tmp_path, "noting.py", own_broker.url) as (it, exchange):
        await publish(exchange, 0, 1000)
        await asyncio.to_thread(own_broker.ctl, "close_all_connections", "--global", "for a test")
        await eventually(lambda: it.logged("consuming") >= 2)
        await eventually(lambda: len(it.notes()) >= 1000)

        assert sorted(it.notes()) == list(range(1000))
        async with await aio_pika.connect(own_broker.url) as looking:
            assert await length(looking, f"{it.name}.dead") == 0


@pytest.mark.parametrize("way", ["pause", "kill"])
async def test_it_stops_in_order_though_the_broker_is_gone_or_silent(
    tmp_path: Path, own_broker: PrivateBroker, way: str
) -> None:
    async with service(tmp_path, "printing.py", own_broker.url) as (it, exchange):
        await publish(exchange, 0, 10)
        await eventually(lambda: len(it.texts()) == 10)
        getattr(own_broker, way)()
        try:
            assert await it.end(signal.SIGTERM) == 0
        finally:
            own_broker.resume()
            if not own_broker.pids:
                await asyncio.to_thread(own_broker.start)

    assert it.logged("stopped") == 1


async def test_wrong_settings_are_told_by_name(tmp_path: Path) -> None:
    it = Service(tmp_path, "noting.py", url="http://no.broker", exchange="webhooks")
    config = tmp_path / "relay.toml"
    config.write_text(config.read_text().replace("seen", "sean"))
    await it.start()

    assert await asyncio.wait_for(it.process.wait(), LIMIT_S) == 2
    assert it.lines()[0].startswith(f"{it.name}: broker.urls: each must be amqp://")
    assert it.lines()[1] == f"{it.name}: consumers.{it.name}.sean is no setting."


async def test_a_store_that_cannot_be_used_is_told_at_start(tmp_path: Path) -> None:
    it = Service(tmp_path, "noting.py", url="amqp://127.0.0.1:1/", exchange="webhooks")
    it.database.mkdir()
    await it.start()

    assert await asyncio.wait_for(it.process.wait(), LIMIT_S) == 2
    assert "The seen store can't be used: unable to open database file." in it.lines()[-1]


async def test_a_server_of_the_store_that_is_down_at_the_start_is_waited_for(
    tmp_path: Path,
) -> None:
    it = Service(tmp_path, "noting.py", url="amqp://127.0.0.1:1/", exchange="webhooks")
    config = tmp_path / "relay.toml"
    config.write_text(config.read_text().replace(f"sqlite:{it.database}", "postgresql://[::1]:1/a"))
    await it.start()
    await eventually(lambda: it.logged("started") == 1)

    assert it.logged("seen store unavailable") == 1
    assert await it.end(signal.SIGTERM) == 0
