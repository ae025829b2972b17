"""The queues of a service that does not run, for tests of its dead letters."""

import time
from typing import Any

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from pamqp.commands import Basic

from consumers.kit.queues import headers, topology
from relay.broker.connection import declare
from relay.cli import service_queue
from relay.settings import BrokerSettings
from tests.support.cleanup import delete_queues

KEY = "swiftsell.message.created.text"


class IdleService:
    """The queues of a service that does not run."""

    def __init__(self, connection: AbstractConnection, name: str) -> None:
        self._connection = connection
        self.name = name
        self.dead_name = topology.dead_queue(name)
        self._declared = topology.topology(name, retry_delays_s=[1], dead_max_length=100)

    async def declare(self) -> None:
        await declare(self._connection, self._declared, passive=False)

    async def delete(self) -> None:
        await delete_queues(self._connection, self._declared.queues)

    async def put(
        self, queue: str, body: bytes = b"{}", exchange: str = "", **properties: Any
    ) -> None:
        async with self._connection.channel() as channel:
            wire = await channel.get_underlay_channel()
            await wire.basic_publish(
                body,
                exchange=exchange,
                routing_key=queue,
                properties=Basic.Properties(**properties),
                mandatory=True,
            )

    async def bury(self, event_id: str, *, age_s: float = 0, **changed: Any) -> None:
        """Put an event among the dead letters, as the kit does."""
        properties = Basic.Properties(
            message_id=event_id,
            message_type="message.created",
            content_type="application/cloudevents+json",
            app_id="relay",
            headers={"vendor": "swiftsell", **changed.pop("headers", {})},
        )
        dead = headers.dead_letter_properties(
            properties,
            attempts=5,
            routing_key=KEY,
            reason=changed.pop("reason", "ValueError: no such contact"),
            died_at=time.time() - age_s,
        )
        body = changed.pop("body", b'{"id":"%s"}' % event_id.encode())
        await self.put(self.dead_name, body, **dict(dead))

    async def bury_nameless(self, body: bytes, url: str, **properties: Any) -> None:
        """Put a message without an id among the dead letters; aiormq would give it one."""
        async with service_queue.opened(BrokerSettings(urls=[url]), self.dead_name) as queue:
            await queue.publish([(Basic.Properties(**properties), body)])

    async def take(self, queue: str, *, is_acked: bool = True) -> list[AbstractIncomingMessage]:
        """Return what is in a queue now."""
        found = []
        async with self._connection.channel() as channel:
            source = await channel.declare_queue(queue, passive=True)
            while message := await source.get(fail=False):
                found.append(message)
                if is_acked:
                    await message.ack()
        return found

    async def holds(self, *event_ids: str) -> bool:
        """Return whether the dead letters are exactly these; they are put back."""
        found = await self.take(self.dead_name, is_acked=False)
        return sorted(message.message_id or "" for message in found) == sorted(event_ids)

    async def is_waiting(self, count: int) -> bool:
        """Return whether so many messages wait in the service's queue."""
        async with self._connection.channel() as channel:
            queue = await channel.declare_queue(self.name, passive=True)
        return queue.declaration_result.message_count == count


def headers_of(message: AbstractIncomingMessage) -> dict[str, Any]:
    """Return the headers but for what a quorum queue counts."""
    return {name: value for name, value in message.headers.items() if name != "x-delivery-count"}
