"""The history, read from its stream: from some point to its current end.

A stream has no end: a consumer waits for more (https://www.rabbitmq.com/docs/streams#consuming),
and the length that RabbitMQ reports lags by seconds. So the last offset is looked up on opening.
"""

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple

from aio_pika.abc import AbstractChannel, AbstractConnection
from pamqp import commands

from relay.cli.replay.arrivals import Arrivals
from relay.errors import BrokerError

_OFFSET = "x-stream-offset"
_PREFETCH = 1000
_MAX_SILENCE_S = 30.0
_MAX_SILENCE_IF_EMPTY_S = 2.0  # of a stream that is empty according to RabbitMQ


class HistoryMessage(NamedTuple):
    """A message of the history, as it was published, and its offset in the stream."""

    offset: int
    routing_key: str
    properties: commands.Basic.Properties
    body: bytes


class HistoryStream:
    """A stream being read; see `opened`."""

    def __init__(self, channel: AbstractChannel, name: str) -> None:
        self._channel = channel
        self._name = name
        self._arrivals = Arrivals(channel)
        self.last_offset = -1
        """Of the last message when the stream was opened; -1 if it was empty."""

    @property
    def next_offset(self) -> int | None:
        """Of the message to read next; right after opening, None means that there is none.

        RabbitMQ serves the consumers of a channel in the order in which they started. So the first
        message to read, if any, arrived before `open` found the last offset.
        """
        return _offset_of(self._arrivals.waiting[0]) if self._arrivals.waiting else None

    async def open(self, start: datetime | int | None) -> None:
        """Start to read, and look up the last offset.

        Args:
            start: about a time, or an offset; None for what comes from now on.
        """
        if start is not None:
            await self._consume(start, self._arrivals)
        self.last_offset = await self._find_last_offset()
        if start is None:
            await self._consume(self.last_offset + 1, self._arrivals)

    async def batches(self, *, end: int, max_count: int) -> AsyncIterator[list[HistoryMessage]]:
        """Yield the messages up to the offset `end`, in batches of 1 to max_count.

        Raises:
            BrokerError: the connection was lost, or RabbitMQ sends nothing.
        """
        offset = -1
        while offset < end:
            if not await self._arrivals.wait_for_any(_MAX_SILENCE_S):
                raise self._silence_error()
            messages = await self._take(max_count)
            offset = messages[-1].offset
            if batch := [message for message in messages if message.offset <= end]:
                yield batch

    async def endless_batches(self, *, max_count: int) -> AsyncIterator[list[HistoryMessage]]:
        """Yield all messages, and go on with those that are still to come.

        Raises:
            BrokerError: the connection was lost.
        """
        while True:
            await self._arrivals.wait_for_any(None)
            yield await self._take(max_count)

    async def _take(self, max_count: int) -> list[HistoryMessage]:
        """Take what has arrived: at least one message, as a caller has waited for it."""
        wire, waiting = await self._channel.get_underlay_channel(), self._arrivals.waiting
        taken = [waiting.popleft() for _ in range(min(max_count, len(waiting)))]
        await wire.basic_ack(taken[-1].delivery_tag, multiple=True)
        return [_history_message(delivered) for delivered in taken]

    async def _find_last_offset(self) -> int:
        """Return the offset of the last message, or -1.

        A consumer may start at the last chunk of a stream, which is delivered as a whole: when
        RabbitMQ answers a request made after the first message, the whole chunk has arrived.
        """
        wire = await self._channel.get_underlay_channel()
        last = Arrivals(self._channel)
        tag = await self._consume("last", last)
        is_empty = not await self._reported_length()
        if not await last.wait_for_any(_MAX_SILENCE_IF_EMPTY_S if is_empty else _MAX_SILENCE_S):
            if is_empty:
                return -1
            raise self._silence_error()
        await self._reported_length()
        await wire.basic_cancel(tag)
        for delivered in last.waiting:
            await wire.basic_ack(delivered.delivery_tag, wait=False)
        return _offset_of(last.waiting[-1])

    async def _reported_length(self) -> int:
        """Return the length according to RabbitMQ, which lags by seconds."""
        queue = await self._channel.declare_queue(self._name, passive=True)
        return queue.declaration_result.message_count or 0

    async def _consume(self, start: datetime | int | str, arrivals: Arrivals) -> str:
        return await arrivals.consume(self._name, {_OFFSET: start})

    def _silence_error(self) -> BrokerError:
        return BrokerError(f"RabbitMQ sent nothing of {self._name} for {_MAX_SILENCE_S:g} s.")


@contextlib.asynccontextmanager
async def opened(
    connection: AbstractConnection, name: str, start: datetime | int | None
) -> AsyncIterator[HistoryStream]:
    """Read a stream; see `HistoryStream.open` for where it starts."""
    async with connection.channel() as channel:
        await channel.set_qos(prefetch_count=_PREFETCH)
        stream = HistoryStream(channel, name)
        await stream.open(start)
        yield stream


def _history_message(delivered: Any) -> HistoryMessage:
    properties = delivered.header.properties
    offset = properties.headers.pop(_OFFSET)  # RabbitMQ added it
    return HistoryMessage(offset, delivered.routing_key, properties, delivered.body)


def _offset_of(delivered: Any) -> int:
    offset: int = delivered.header.properties.headers[_OFFSET]
    return offset
