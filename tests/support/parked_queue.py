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
            queue = await (await connection.channel()).get_queue(self._name)
            while message := await queue.get(fail=False):
                await message.ack()
                found.append(message.message_id or "")
        return found

    async def holds(self, ids: set[str]) -> list[str]:
        """Wait until all of ids have arrived; return everything that did, duplicates too."""
        found: list[str] = []

        async def have_arrived() -> bool:
            found.extend(await self.read())
            return ids <= set(found)

        await eventually(have_arrived)
        return found
