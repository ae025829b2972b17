"""A consumer of everything a relay publishes, to compare with what was accepted."""

from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import orjson
import pytest
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from consumers.kit.queues import topology as consumer_topology
from relay.broker import connection as broker
from relay.events import topology
from tests.support.consuming import Exchange
from tests.support.eventually import eventually


class Recorder:
    """Read the events of an exchange as a consumer would, and remember them in order."""

    def __init__(self, connection: AbstractConnection, exchange: str) -> None:
        self._connection = connection
        self.exchange = exchange
        self.messages: list[AbstractIncomingMessage] = []
        self.quarantined: list[AbstractIncomingMessage] = []

    async def __aenter__(self) -> Self:
        self._channel = await self._connection.channel()
        await self._channel.set_qos(prefetch_count=1000)
        exchange = await self._channel.declare_exchange(
            self.exchange,
            "topic",
            durable=True,
            arguments={"alternate-exchange": topology.unrouted_exchange(self.exchange)},
        )
        queue = await self._channel.declare_queue(exclusive=True)
        await queue.bind(exchange, "#")
        await queue.consume(self._record(self.messages))
        quarantine = await self._channel.declare_exchange(
            topology.quarantine_exchange(self.exchange), "topic", durable=True
        )
        beside = await self._channel.declare_queue(exclusive=True)
        await beside.bind(quarantine, "#")
        await beside.consume(self._record(self.quarantined))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._channel.close()

    @staticmethod
    def _record(
        into: list[AbstractIncomingMessage],
    ) -> Callable[[AbstractIncomingMessage], Awaitable[None]]:
        async def record(message: AbstractIncomingMessage) -> None:
            into.append(message)
            await message.ack()

        return record

    @property
    def ids(self) -> list[str]:
        return [message.message_id or "" for message in self.messages]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(message.body) for message in self.messages]

    async def has(self, count: int) -> None:
        """Wait until so many messages have arrived."""
        await eventually(lambda: len(self.messages) + len(self.quarantined) >= count)


@pytest.fixture
async def recorder(
    connection: AbstractConnection,
    exchange: str,
    declared: topology.Topology,  # noqa: ARG001  takes the exchanges down after the recorder
) -> AsyncIterator[Recorder]:
    async with Recorder(connection, exchange) as recorder:
        yield recorder


@pytest.fixture
async def events(
    connection: AbstractConnection, exchange: str, declared: topology.Topology
) -> Exchange:
    """The events' exchange, with all the relay declares."""
    await broker.declare(connection, declared, passive=False)
    return Exchange(await connection.channel(), exchange)


@pytest.fixture
async def name(connection: AbstractConnection, exchange: str) -> AsyncIterator[str]:
    """The name of a service whose queues are taken down at the end."""
    service = f"{exchange}-service"
    yield service
    delays_s = [0.1, 0.2, 1, 10, 60, 600]
    wanted = consumer_topology.topology(service, retry_delays_s=delays_s, dead_max_length=1)
    channel = await connection.channel()
    for queue in wanted.queues:
        await channel.queue_delete(queue.name)
