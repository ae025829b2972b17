"""A consumer of everything a relay publishes, to compare with what was accepted."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import orjson
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from relay.events import topology
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
