"""The queue all events end up in: quorum, durable, bound with `#`. It counts."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Self

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection

from relay.broker.connection import declare
from relay.events import topology

EXCHANGE = "bench"
NAME = "bench"
_POLL_S = 0.01


class BoundQueue:
    """A queue made anew whenever what is in it should not weigh on the broker any more.

    Args:
        connection, channel: to declare and to look at it.
        limit_s: how long to wait for messages, unless said otherwise.
    """

    def __init__(
        self, connection: AbstractConnection, channel: AbstractChannel, limit_s: float
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._limit_s = limit_s

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, url: str, limit_s: float) -> AsyncIterator[Self]:
        """Declare what the relay would, and the queue."""
        connection = await aio_pika.connect(url)
        async with connection:
            wanted = topology.topology(
                EXCHANGE, unrouted_max_length=1_000_000, quarantine_max_length=100_000
            )
            await declare(connection, wanted, passive=False)
            queue = cls(connection, await connection.channel(), limit_s)
            await queue.renew()
            yield queue
            await queue.delete()

    @property
    def broker_version(self) -> str:
        """What the broker says it is."""
        transport = self._connection.transport
        assert transport is not None
        properties = transport.connection.server_properties
        return f"RabbitMQ {properties['version']!s}"

    async def renew(self) -> None:
        """Begin with an empty one."""
        await self.delete()
        queue = await self._channel.declare_queue(
            NAME, durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind(EXCHANGE, "#")

    async def delete(self) -> None:
        """Delete it with all that is in it."""
        await self._channel.queue_delete(NAME)

    async def count(self) -> int:
        """Return how many messages are in it."""
        found = await self._channel.declare_queue(NAME, passive=True)
        return found.declaration_result.message_count or 0

    async def filled(
        self, count: int, limit_s: float | None = None, poll_s: float = _POLL_S
    ) -> float:
        """Wait until so many messages are in it; return when, of the monotonic clock.

        Raises:
            SystemExit: they did not come, or more did.
        """
        deadline = time.monotonic() + (self._limit_s if limit_s is None else limit_s)
        found = await self.count()
        while found < count and time.monotonic() < deadline:
            await asyncio.sleep(poll_s)
            found = await self.count()
        at = time.monotonic()
        if found != count:
            raise SystemExit(f"{count} events were acknowledged, {found} are in the queue.")
        return at
