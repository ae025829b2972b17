"""What a consumer of one queue or stream has received, and nobody has taken yet."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from aio_pika.abc import AbstractChannel
from pamqp import commands

from relay.errors import BrokerError


class Arrivals:
    """The messages a consumer has received; the channel's prefetch bounds them."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._wake = asyncio.Event()
        self._tag = ""
        self._is_cancelled = False
        self.waiting: deque[Any] = deque()

    async def consume(self, name: str, arguments: Mapping[str, Any] | None = None) -> str:
        """Start to consume a queue, and return the consumer's tag."""
        wire = await self._channel.get_underlay_channel()
        wire.on_consumer_cancel_callbacks.add(self._note_cancel)
        consuming = await wire.basic_consume(name, self._add, arguments=dict(arguments or {}))
        self._tag = consuming.consumer_tag or ""
        return self._tag

    async def _add(self, delivered: Any) -> None:
        self.waiting.append(delivered)
        self._wake.set()

    def _note_cancel(self, cancel: commands.Basic.Cancel) -> None:
        """RabbitMQ ends a consumer whose queue is gone, and the connection stays."""
        if cancel.consumer_tag == self._tag:
            self._is_cancelled = True
            self._wake.set()

    async def wait_for_any(self, limit_s: float | None) -> bool:
        """Wait for a message, and return whether there is one.

        Raises:
            BrokerError: the connection or the queue was lost.
        """
        wire = await self._channel.get_underlay_channel()
        closing = wire.closing
        closing.add_done_callback(lambda _: self._wake.set())
        try:
            async with asyncio.timeout(limit_s):
                while not self.waiting:
                    if wire.is_closed:
                        raise BrokerError("The connection to RabbitMQ was lost.")
                    if self._is_cancelled:
                        raise BrokerError("RabbitMQ took the queue away.")
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            return False
        finally:
            closing.cancel()
        return True
