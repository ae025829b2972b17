"""A service as a process: killed, stopped, and its broker taken away in mid-load."""

import asyncio
import signal
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection

from deploy.local.broker import PrivateBroker
from tests.support.consuming import length
from tests.support.eventually import LIMIT_S, eventually
from tests.support.service_process import Service, publish, service


async def test_killed_in_mid_load_it_has_written_each_event_exactly_once_in_the_end(
    tmp_path: Path, broker_url: str
) -> None:
    async with service(tmp_path, "recording_service.py", broker_url) as (program, exchange):
        for start in range(0, 3000, 1000):
            before = len(program.notes())
            await publish(exchange, start, start + 1000)
            await eventually(lambda before=before: len(program.notes()) > before + 100)
            await program.end(signal.SIGKILL)
            await program.start()
        await eventually(lambda: len(program.notes()) >= 3000)

        assert sorted(program.notes()) == list(range(3000))


async def test_killed_in_mid_load_a_plain_handler_misses_nothing(
    tmp_path: Path, broker_url: str
) -> None:
    async with service(tmp_path, "printing.py", broker_url) as (program, exchange):
        for start in range(0, 1500, 500):
            before = len(program.texts())
            await publish(exchange, start, start + 500)
            await eventually(lambda before=before: len(program.texts()) > before + 50)
            await program.end(signal.SIGKILL)
            await program.start()
        await eventually(lambda: set(program.texts()) == set(range(1500)))

        assert len(program.texts()) < 1500 + 3 * 200  # only what was in hand comes twice


async def test_stopped_and_started_under_load_it_handles_each_event_once(
    tmp_path: Path, broker_url: str
) -> None:
    async with service(tmp_path, "printing.py", broker_url) as (program, exchange):
        publishing = asyncio.create_task(publish(exchange, 0, 3000))
        for stops in range(3):
            await eventually(lambda stops=stops: program.logged("consuming") > stops)
            await eventually(lambda stops=stops: len(program.texts()) > 300 * (stops + 1))
            assert await program.end(signal.SIGTERM) == 0
            await program.start()
        await publishing
        await eventually(lambda: len(program.texts()) >= 3000)

        assert sorted(program.texts()) == list(range(3000))
        assert program.logged("stopped") == 3


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_a_broker_that_goes_away_and_comes_back_costs_no_event(
    tmp_path: Path, own_broker: PrivateBroker, way: str
) -> None:
    async with service(tmp_path, "recording_service.py", own_broker.url) as (program, exchange):
        await publish(exchange, 0, 2000)
        await eventually(lambda: len(program.notes()) > 100)
        await asyncio.to_thread(getattr(own_broker, way))
        await asyncio.to_thread(own_broker.start)
        await eventually(lambda: program.logged("consuming") == 2)
        await eventually(lambda: len(program.notes()) >= 2000)

        assert sorted(program.notes()) == list(range(2000))


async def test_a_connection_the_broker_closes_is_replaced(
    tmp_path: Path, own_broker: PrivateBroker, connection: AbstractConnection
) -> None:
    del connection
    async with service(tmp_path, "recording_service.py", own_broker.url) as (program, exchange):
        await publish(exchange, 0, 1000)
        await asyncio.to_thread(own_broker.ctl, "close_all_connections", "--global", "for a test")
        await eventually(lambda: program.logged("consuming") >= 2)
        await eventually(lambda: len(program.notes()) >= 1000)

        assert sorted(program.notes()) == list(range(1000))
        async with await aio_pika.connect(own_broker.url) as looking:
            assert await length(looking, f"{program.name}.dead") == 0


@pytest.mark.parametrize("way", ["pause", "kill"])
async def test_it_stops_in_order_though_the_broker_is_gone_or_silent(
    tmp_path: Path, own_broker: PrivateBroker, way: str
) -> None:
    async with service(tmp_path, "printing.py", own_broker.url) as (program, exchange):
        await publish(exchange, 0, 10)
        await eventually(lambda: len(program.texts()) == 10)
        getattr(own_broker, way)()
        try:
            assert await program.end(signal.SIGTERM) == 0
        finally:
            own_broker.resume()
            if not own_broker.pids:
                await asyncio.to_thread(own_broker.start)

    assert program.logged("stopped") == 1


async def test_wrong_settings_are_reported_by_name(tmp_path: Path) -> None:
    program = Service(tmp_path, "recording_service.py", url="http://no.broker", exchange="webhooks")
    config = tmp_path / "relay.toml"
    config.write_text(config.read_text().replace("seen", "sean"))
    await program.start()

    assert await asyncio.wait_for(program.process.wait(), LIMIT_S) == 2
    assert program.lines()[0].startswith(f"{program.name}: broker.urls: each must be amqp://")
    assert program.lines()[1] == f"{program.name}: consumers.{program.name}.sean is no setting."


async def test_a_store_that_cannot_be_used_is_reported_at_start(tmp_path: Path) -> None:
    program = Service(
        tmp_path, "recording_service.py", url="amqp://127.0.0.1:1/", exchange="webhooks"
    )
    program.database.mkdir()
    await program.start()

    assert await asyncio.wait_for(program.process.wait(), LIMIT_S) == 2
    assert "The seen store can't be used: unable to open database file; " in program.lines()[-1]


async def test_a_server_of_the_store_that_is_down_at_the_start_is_waited_for(
    tmp_path: Path,
) -> None:
    program = Service(
        tmp_path, "recording_service.py", url="amqp://127.0.0.1:1/", exchange="webhooks"
    )
    config = tmp_path / "relay.toml"
    config.write_text(
        config.read_text().replace(f"sqlite:{program.database}", "postgresql://[::1]:1/a")
    )
    await program.start()
    await eventually(lambda: program.logged("started") == 1)

    assert program.logged("seen store unavailable") == 1
    assert await program.end(signal.SIGTERM) == 0
