"""The messages of a queue, fetched without using them up, faster than one by one.

A quorum queue commits every `basic.get`. A consumer gets many at once, but never more than its
prefetch without an ack; so one consumer is added after the other, each with room for as many as
16 MiB hold. RabbitMQ requeues what was not acked when the connection closes.
"""

import asyncio
from collections.abc import AsyncIterator

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from relay.errors import RelayError

_MAX_BYTES_AT_ONCE = 16 * 1024 * 1024
_FIRST_PREFETCH, _MAX_PREFETCH = 4, 200
_IDLE_S = 1.0
"""Somebody else may have taken what was counted."""


async def browse(
    connection: AbstractConnection, name: str
) -> AsyncIterator[tuple[int, AbstractIncomingMessage]]:
    """Yield how many messages wait in a queue, and each of them; nobody else sees them meanwhile.

    What arrives meanwhile is left alone.

    Raises:
        RelayError: there is no such queue.
    """
    channel = await connection.channel()
    try:
        queue = await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity as error:
        raise RelayError(
            f"There is no queue {name}; the relay and its services declare theirs at start."
        ) from error
    total = queue.declaration_result.message_count or 0
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def keep(message: AbstractIncomingMessage) -> None:
        arrived.put_nowait(message)

    room, size = 0, 0
    for seen in range(total):
        if not room:
            average = size // seen + 1 if seen else _MAX_BYTES_AT_ONCE // _FIRST_PREFETCH
            room = max(1, min(_MAX_BYTES_AT_ONCE // average, _MAX_PREFETCH))
            await channel.set_qos(prefetch_count=room)
            await queue.consume(keep)
        try:
            message = await asyncio.wait_for(arrived.get(), _IDLE_S)
        except TimeoutError:
            return
        room, size = room - 1, size + len(message.body)
        yield total, message
