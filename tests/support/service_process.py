"""A service as its users run it: a process, a settings file, a queue of its own."""

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

from consumers.kit.queues import topology
from relay.broker.connection import close, declare
from relay.events.topology import topology as relay_topology
from tests.support.cleanup import delete_queues
from tests.support.consuming import Exchange, body
from tests.support.eventually import LIMIT_S, eventually
from tests.support.relay_process import TRUSTS_NOBODY

SERVICES = Path("tests/support/services")


class Service:
    """A service of tests/support/services, which may be started again and again."""

    def __init__(
        self, directory: Path, file: str, *, url: str, exchange: str, **settings: object
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
                env={**os.environ, **TRUSTS_NOBODY, "SERVICE_NAME": self.name, "PYTHONPATH": "."},
            )

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), LIMIT_S)

    def lines(self) -> list[str]:
        return self.output.read_text().splitlines()

    def logged(self, event: str) -> int:
        lines = [json.loads(line) for line in self.lines() if line.startswith("{")]
        return sum(line["event"] == event for line in lines)

    def texts(self) -> list[int]:
        return [int(line) for line in self.lines() if line.isdigit()]

    def notes(self) -> list[int]:
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            try:
                return [int(row[0]) for row in db.execute("SELECT text FROM notes")]
            except sqlite3.OperationalError:  # nothing noted yet
                return []


@contextlib.asynccontextmanager
async def service(
    directory: Path, file: str, url: str, **settings: object
) -> AsyncIterator[tuple[Service, Exchange]]:
    """A service that consumes, and an exchange to publish to; all of it taken down at the end."""
    connection = await aio_pika.connect(url)
    exchange = f"test-{uuid.uuid4().hex[:12]}"
    declared = relay_topology(exchange, unrouted_max_length=1000, quarantine_max_length=1000)
    await declare(connection, declared, passive=False)
    started = Service(directory, file, url=url, exchange=exchange, **settings)
    await started.start()
    try:
        await eventually(lambda: started.logged("consuming") == 1)
        yield started, Exchange(await connection.channel(), exchange)
    finally:
        if started.process.returncode is None:
            await started.end(signal.SIGTERM)
        await close(connection)  # the broker may be another by now
        queues = topology.topology(started.name, retry_delays_s=[1, 10, 60, 600], dead_max_length=1)
        async with await aio_pika.connect(url) as connection:
            await delete_queues(connection, (*queues.queues, *declared.queues))
            channel = await connection.channel()
            for gone in declared.exchanges:
                await channel.exchange_delete(gone.name)


async def publish(exchange: Exchange, first: int, end: int) -> None:
    """Publish events numbered so, which are their texts and their ids."""
    await exchange.publish(*[body(f"{n}", event_id=f"e{n}") for n in range(first, end)])
