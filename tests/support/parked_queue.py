"""A durable queue that gets every event, for tests in which the broker goes away and comes back."""

import aio_pika

from relay.events import topology
from tests.support.eventually import eventually


class ParkedQueue:
    """Declare with `create`, let the broker suffer, then look at what `read` finds."""

    def __init__(self, url: str, exchange: str, name: str) -> None:
        self._url, self._exchange, self._name = url, exchange, name

    async def create(self, **arguments: object) -> "ParkedQueue":
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange(
                self._exchange,
                "topic",
                durable=True,
                arguments={"alternate-exchange": topology.unrouted_exchange(self._exchange)},
            )
            queue = await channel.declare_queue(
                self._name, durable=True, arguments={"x-queue-type": "quorum", **arguments}
            )
            await queue.bind(exchange, "#")
        return self

    async def read(self) -> list[str]:
        """Take all messages out and return their ids, oldest first."""
        found: list[str] = []
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(self._name)
            count = queue.declaration_result.message_count or 0
            if count:
                await channel.set_qos(prefetch_count=count)  # no more than are acknowledged below
                async with queue.iterator() as messages:
                    while len(found) < count:
                        message = await anext(messages)
                        found.append(message.message_id or "")
                await message.ack(multiple=True)
        return found

    async def holds(self, ids: set[str]) -> list[str]:
        """Wait until all of ids have arrived; return everything that did, duplicates too."""
        found: list[str] = []

        async def have_arrived() -> bool:
            found.extend(await self.read())
            return ids <= set(found)

        await eventually(have_arrived)
        return found
