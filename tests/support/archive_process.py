"""The archive as its users run it: a process, a settings file, a queue."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
import aiohttp
from aio_pika.abc import AbstractConnection

from consumers.archive.service import archive_at
from consumers.kit import Event
from consumers.kit.queues import topology
from tests.support.archives import found
from tests.support.eventually import LIMIT_S, eventually
from tests.support.relay_process import TRUSTS_NOBODY


class ArchiveProcess:
    """`python -m consumers.archive`, its queue named after the exchange.

    Args:
        directory: for its settings and its log.
        database: to fill.
        broker_url: of RabbitMQ; several are separated by commas.
        exchange: of the events.
        connection: to publish with.
        settings: of `[consumers.archive]`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        database: str,
        broker_url: str,
        exchange: str,
        connection: AbstractConnection,
        **settings: object,
    ) -> None:
        self._config, self._log = directory / "relay.toml", directory / "archive.log"
        self._exchange = exchange
        self._connection = connection
        self.archive = archive_at(database)
        lines = ["[broker]", f'urls = "{broker_url}"', f'exchange = "{exchange}"']
        lines += ["[consumers.archive]", "admin.port = 0"]
        given = {"queue": exchange} | settings | {"database": database}
        lines += [f"{name} = {json.dumps(each)}" for name, each in given.items()]
        self._config.write_text("\n".join(lines))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run it, until the end of the context unless it ends before."""
        with self._log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "consumers.archive", "--config", str(self._config)),
                stderr=log,
                env=os.environ | TRUSTS_NOBODY,
            )
        try:
            await eventually(lambda: self._has_started(process))
            await eventually(lambda: self.reports("/readyz", '"ready":true'))
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), LIMIT_S)

    def _has_started(self, process: asyncio.subprocess.Process) -> bool:
        assert process.returncode is None, self._log.read_text()
        return bool(self._address)

    @property
    def _address(self) -> str:
        complete = self._log.read_text().rpartition("\n")[0].splitlines()
        found = (each for each in map(json.loads, complete) if each["event"] == "listening")
        return next((each["address"] for each in found), "")

    async def reports(self, path: str, words: str) -> bool:
        """Return whether these words are in what it answers to a probe."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://{self._address}{path}") as response,
        ):
            return words in await response.text()

    async def publish(self, events: Iterable[Event]) -> None:
        async with self._connection.channel() as channel:
            exchange = await channel.get_exchange(self._exchange)
            async with asyncio.TaskGroup() as tasks:
                for event in events:
                    message = aio_pika.Message(event.body, delivery_mode=2)
                    tasks.create_task(exchange.publish(message, event.routing_key))

    def holds(self, count: int) -> bool:
        return len(found(self.archive)) >= count

    async def is_empty(self) -> bool:
        """Return whether nothing waits for it, or has been given up; once it runs no more."""
        return not await self.waiting() and not await self.dead()

    async def waiting(self) -> int:
        return await self._messages(self._exchange)

    async def dead(self) -> int:
        return await self._messages(topology.dead_queue(self._exchange))

    async def _messages(self, queue: str) -> int:
        async with self._connection.channel() as channel:
            declared = await channel.declare_queue(queue, passive=True)
            return declared.declaration_result.message_count or 0
