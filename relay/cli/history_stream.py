"""The history, read from its stream: from some point to what is its end now.

A stream has no end, a reader waits for more (https://www.rabbitmq.com/docs/streams#consuming), and
its length as RabbitMQ tells it is some seconds old. So the last offset is looked up on opening.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple

from aio_pika.abc import AbstractChannel, AbstractConnection
from pamqp import commands

from relay.errors import BrokerError

_OFFSET = "x-stream-offset"
_PREFETCH = 1000
_SILENCE_S = 30.0
_SILENCE_OF_NOTHING_S = 2.0  # of a stream that RabbitMQ says is empty


class Past(NamedTuple):
    """A message of the history, as it was published, and where it lies."""

    offset: int
    routing_key: str
    properties: commands.Basic.Properties
    body: bytes


class _Arrivals:
    """What a consumer has been sent and nobody has taken yet."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._wake = asyncio.Event()
        self.waiting: deque[Any] = deque()

    async def add(self, delivered: Any) -> None:
        """Be the consumer's callback."""
        self.waiting.append(delivered)
        self._wake.set()

    async def are_there(self, limit_s: float) -> bool:
        """Wait until something is there, or return False.

        Raises:
            BrokerError: the connection was lost.
        """
        wire = await self._channel.get_underlay_channel()
        closing = wire.closing
        closing.add_done_callback(lambda _: self._wake.set())
        try:
            async with asyncio.timeout(limit_s):
                while not self.waiting:
                    if wire.is_closed:
                        raise BrokerError("The connection to RabbitMQ was lost.")
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            return False
        finally:
            closing.cancel()
        return True


class HistoryStream:
    """A stream being read; see `opened`."""

    def __init__(self, channel: AbstractChannel, name: str) -> None:
        self._channel = channel
        self._name = name
        self._arrivals = _Arrivals(channel)
        self.last_offset = -1
        """Of the last message there was on opening; -1 when there was none."""

    @property
    def next_offset(self) -> int | None:
        """Of the message to read next; on opening, None when there is none up to the last.

        RabbitMQ serves the consumers of a channel in the order in which they began: if there was
        something to read, it came before the last offset was found.
        """
        return _offset_of(self._arrivals.waiting[0]) if self._arrivals.waiting else None

    async def open(self, start: datetime | int) -> None:
        """Begin to read at a moment, roughly, or at an offset; and look up the last offset."""
        await self._consume(start, self._arrivals)
        self.last_offset = await self._find_last_offset()

    async def batches(self, *, end: int, most: int) -> AsyncIterator[list[Past]]:
        """Yield the messages up to the offset `end`, at least one and at most so many at once.

        Raises:
            BrokerError: the connection was lost, or RabbitMQ sends nothing.
        """
        wire = await self._channel.get_underlay_channel()
        waiting, offset = self._arrivals.waiting, -1
        while offset < end:
            if not await self._arrivals.are_there(_SILENCE_S):
                raise self._silent()
            taken = [waiting.popleft() for _ in range(min(most, len(waiting)))]
            await wire.basic_ack(taken[-1].delivery_tag, multiple=True)
            offset = _offset_of(taken[-1])
            if batch := [it for it in map(_past, taken) if it.offset <= end]:
                yield batch

    async def _find_last_offset(self) -> int:
        """Return the offset of the last message, or -1.

        A consumer may begin with the last chunk of a stream, which is delivered as a whole: what
        RabbitMQ answers on the same channel after its first message comes after all of it.
        """
        wire = await self._channel.get_underlay_channel()
        last = _Arrivals(self._channel)
        tag = await self._consume("last", last)
        is_empty = not await self._length()
        if not await last.are_there(_SILENCE_OF_NOTHING_S if is_empty else _SILENCE_S):
            if is_empty:
                return -1
            raise self._silent()
        await self._length()
        await wire.basic_cancel(tag)
        for it in last.waiting:
            await wire.basic_ack(it.delivery_tag, wait=False)
        return _offset_of(last.waiting[-1])

    async def _length(self) -> int:
        """Ask RabbitMQ for the length; it is some seconds old."""
        queue = await self._channel.declare_queue(self._name, passive=True)
        return queue.declaration_result.message_count or 0

    async def _consume(self, start: datetime | int | str, arrivals: _Arrivals) -> str:
        wire = await self._channel.get_underlay_channel()
        consuming = await wire.basic_consume(self._name, arrivals.add, arguments={_OFFSET: start})
        return consuming.consumer_tag or ""

    def _silent(self) -> BrokerError:
        return BrokerError(f"RabbitMQ sent nothing of {self._name} for {_SILENCE_S:g} s.")


@contextlib.asynccontextmanager
async def opened(
    connection: AbstractConnection, name: str, start: datetime | int
) -> AsyncIterator[HistoryStream]:
    """Read a stream from a moment, roughly, or from an offset."""
    async with connection.channel() as channel:
        await channel.set_qos(prefetch_count=_PREFETCH)
        stream = HistoryStream(channel, name)
        await stream.open(start)
        yield stream


def _past(delivered: Any) -> Past:
    properties = delivered.header.properties
    offset = properties.headers.pop(_OFFSET)  # RabbitMQ put it there
    return Past(offset, delivered.routing_key, properties, delivered.body)


def _offset_of(delivered: Any) -> int:
    offset: int = delivered.header.properties.headers[_OFFSET]
    return offset
