"""A service run within the test, on the real broker, and what to publish to it."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractConnection
from prometheus_client import CollectorRegistry

from consumers.kit import Consumer, ConsumerSettings
from consumers.kit.service import Service
from consumers.kit.settings import SharedSettings
from relay.settings import BrokerSettings
from tests.support.eventually import eventually

KEY = "swiftsell.message.created.text"


def body(text: str = "", *, event_id: str | None = None, conversation: str = "") -> bytes:
    """Return an event as the relay would publish it."""
    data: dict[str, Any] = {"message": {"kind": "text", "text": text}, "raw": {}}
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id or uuid.uuid4().hex,
        "source": "/swiftsell/acme",
        "type": "message.created",
        "vendor": "swiftsell",
        "recordedtime": "2026-11-20T16:00:00.123456Z",
        "data": data,
    }
    if conversation:
        document["partitionkey"] = conversation
    return orjson.dumps(document)


class Exchange:
    """Publishes to the exchange of the test."""

    def __init__(self, channel: AbstractChannel, name: str) -> None:
        self._channel = channel
        self.name = name

    async def publish(self, *bodies: bytes, key: str = KEY) -> None:
        exchange = await self._channel.get_exchange(self.name, ensure=False)
        await asyncio.gather(
            *[
                exchange.publish(
                    aio_pika.Message(
                        each,
                        message_id=_id_of(each),
                        type="message.created",
                        content_type="application/cloudevents+json",
                        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    ),
                    routing_key=key,
                )
                for each in bodies
            ]
        )


def _id_of(text: bytes) -> str | None:
    with contextlib.suppress(orjson.JSONDecodeError, TypeError, KeyError):
        return orjson.loads(text)["id"]
    return None


class Running:
    """A service that runs."""

    def __init__(self, service: Service, stop: asyncio.Event, registry: CollectorRegistry) -> None:
        self.service = service
        self.stop = stop
        self._registry = registry

    def count(self, consumer: str, outcome: str) -> float:
        """Return how many events came out so."""
        labels = {"consumer": consumer, "outcome": outcome}
        return self._registry.get_sample_value("relay_consumer_events_total", labels) or 0.0

    async def is_consuming(self) -> None:
        await eventually(
            lambda: all(subscription.is_consuming for subscription in self.service.subscriptions)
        )


@contextlib.asynccontextmanager
async def running(
    *consumers: Consumer,
    url: str,
    exchange: str,
    seen: str | Path = "",
    declare_topology: bool = True,
    hold_limit_s: float = 600,
    **settings: Any,
) -> AsyncIterator[Running]:
    """Run consumers as one service until the end of the block, which stops it in order."""
    broker = BrokerSettings(
        urls=[url],
        exchange=exchange,
        declare_topology=declare_topology,
        heartbeat_s=2,
        confirm_timeout_s=5,
    )
    shared = SharedSettings.model_construct(broker=broker)
    registry, stop = CollectorRegistry(), asyncio.Event()
    given = ConsumerSettings(seen=f"sqlite:{seen}" if seen else "", **settings)
    service = Service("test", shared, given, registry, hold_limit_s=hold_limit_s)
    async with contextlib.AsyncExitStack() as stack:
        for consumer in consumers:
            await service.add(consumer, stack)
        task = asyncio.create_task(service.run(stop))
        try:
            run = Running(service, stop, registry)
            await run.is_consuming()
            yield run
        finally:
            stop.set()
            await task


async def length(connection: AbstractConnection, queue: str) -> int:
    """Return how many messages of a queue are ready."""
    async with connection.channel() as channel:
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def take(connection: AbstractConnection, queue: str) -> aio_pika.abc.AbstractIncomingMessage:
    """Take the next message out of a queue, waiting for it."""
    async with connection.channel() as channel:
        declared = await channel.get_queue(queue, ensure=False)
        found: list[aio_pika.abc.AbstractIncomingMessage] = []

        async def has_come() -> bool:
            if message := await declared.get(fail=False):
                found.append(message)
            return bool(found)

        await eventually(has_come)
        await found[0].ack()
        return found[0]
