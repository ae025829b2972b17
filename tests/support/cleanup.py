"""Takes the queues of a test down, even those that RabbitMQ is deleting by itself."""

import asyncio
import time
from collections.abc import Iterable

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from relay.events.topology import Queue
from tests.support.eventually import LIMIT_S


async def delete_queues(
    connection: AbstractConnection, queues: Iterable[Queue], *, limit_s: float = LIMIT_S
) -> None:
    """Delete queues; those that are not there are passed over.

    A queue with `x-expires` may end at the same moment. RabbitMQ 3.10 then closes the channel with
    404, "its master replica ... may be stopping or being demoted", though a queue that is not there
    is deleted without an error. So it is asked again, for at most limit_s in all.
    """
    deadline = time.monotonic() + limit_s
    for queue in queues:
        while not await _is_deleted(connection, queue.name):
            assert time.monotonic() < deadline, f"{queue.name} was not deleted within {limit_s} s"
            await asyncio.sleep(0.1)


async def _is_deleted(connection: AbstractConnection, name: str) -> bool:
    async with connection.channel() as channel:
        try:
            await channel.queue_delete(name)
        except ChannelNotFoundEntity:
            return False
    return True
