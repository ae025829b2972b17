"""Programs that read a relay's events knowing nothing of it, and all that there is to read."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection

from relay import vendors
from relay.events import topology
from tests.conftest import SAMPLES
from tests.interop import nodejs
from tests.support.eventually import LIMIT_S, eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where amqplib is; skips without Node."""
    return nodejs.install(tmp_path_factory.mktemp("node"))


@dataclass(frozen=True)
class Sent:
    """An event the relay accepted, as the documentation of its sample has it."""

    id: str
    routing_key: str
    type: str

    @property
    def line(self) -> dict[str, str]:
        """What a program of this folder prints when it reads the event."""
        return {
            "routing_key": self.routing_key,
            "id": self.id,
            "type": self.type,
            "message_id": self.id,
            "content_type": "application/cloudevents+json",
            "vendor": self.routing_key.partition(".")[0],
        }


SendAll = Callable[[], Awaitable[list[Sent]]]


@pytest.fixture
async def send_all(
    tmp_path: Path,
    broker_url: str,
    exchange: str,
    declared: topology.Topology,  # noqa: ARG001  takes down what the relay declares
) -> AsyncIterator[SendAll]:
    """Start a relay, which declares the exchange; then send it every sample of every vendor."""
    every = tuple(vendors.discover())
    async with RelayProcess(
        tmp_path, broker_url=broker_url, exchange=exchange, vendors=every
    ) as relay:
        await eventually(lambda: relay.lines("broker connected"))

        async def send_all() -> list[Sent]:
            command = RelayCommand(tmp_path / "relay.toml")
            result = await command("send", "all", "--all", "--json", "--url", relay.url)
            assert result.code == 0, result.err
            answers = [json.loads(line) for line in result.out.splitlines()]
            return [
                Sent(event_id, event["routing_key"], event["type"])
                for answer in answers
                if answer["outcome"] == "accepted"
                for event_id, event in zip(
                    answer["ids"], documented(answer["source"], answer["sample"]), strict=True
                )
            ]

        yield send_all


def documented(vendor: str, sample: str) -> list[dict[str, str]]:
    [file] = (SAMPLES / vendor).rglob(f"{sample.removesuffix('.json')}.expected.json")
    return json.loads(file.read_text())["events"]


@pytest.fixture
async def environment(
    broker_url: str, exchange: str, connection: AbstractConnection
) -> AsyncIterator[dict[str, str]]:
    """What a program has to know; it declares the queue."""
    queue = f"{exchange}-reader"
    yield {"BROKER_URL": broker_url, "EXCHANGE": exchange, "QUEUE": queue}
    channel = await connection.channel()
    await channel.queue_delete(queue)


async def waiting_in(connection: AbstractConnection, queue: str) -> int | None:
    """Return how many messages nobody has acknowledged, once the program is gone."""
    async with connection.channel() as channel:
        declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count


async def is_consumed(connection: AbstractConnection, queue: str) -> bool:
    """Return whether the queue exists and somebody consumes it."""
    channel = await connection.channel()
    try:
        declared = await channel.declare_queue(queue, passive=True)
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return False  # and the channel is closed
    await channel.close()
    return bool(declared.declaration_result.consumer_count)


class Program:
    """A program in a process of its own, which prints lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """Return the next line it prints."""
        assert self._process.stdout
        async with asyncio.timeout(LIMIT_S):
            line = await self._process.stdout.readline()
        assert line, "it ended; its errors are above"
        return line.decode().rstrip("\n")

    async def stop(self) -> int:
        """SIGTERM, and wait for the end."""
        if self._process.returncode is None:
            self._process.terminate()
        async with asyncio.timeout(LIMIT_S):
            return await self._process.wait()


async def read_messages(
    program: Program, send_all: SendAll, connection: AbstractConnection, queue: str
) -> None:
    """Send it all once the program consumes; return once it has printed each message."""
    await eventually(lambda: is_consumed(connection, queue))
    missing = {
        f"{event.routing_key} {event.id}"
        for event in await send_all()
        if event.type.startswith("message.")
    }
    assert missing
    while missing:
        missing.discard(" ".join((await program.line()).split()[:2]))


@contextlib.asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[Program]:
    """Run a program; its errors appear among the test's."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env=os.environ | environment
    )
    program = Program(process)
    try:
        yield program
    finally:
        await program.stop()
