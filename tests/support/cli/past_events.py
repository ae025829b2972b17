"""A history with events of any age in it, and services to replay them to."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple, Self

from aio_pika.abc import AbstractConnection
from prometheus_client import CollectorRegistry

from consumers.kit.queues import topology as kit_topology
from relay.broker.connection import close, connect, declare
from relay.broker.outcome import PublishOutcome
from relay.broker.session import Session
from relay.events import topology
from relay.events.envelope import encode_events
from relay.events.event import NormalizedEvent
from relay.events.message import Message, Origin
from relay.observability.metrics import BrokerMetrics
from tests.support.cleanup import delete_queues
from tests.support.eventually import LIMIT_S

ORIGIN = Origin(vendor="swiftsell", source="acme")
_BATCH = 1000


def past_events(
    numbers: Iterable[int], *, age_s: float = 0, event_type: str = "message.created"
) -> list[Message]:
    """Return events of a relay, each with a number of its own, recorded so long ago."""
    received_at = time.time() - age_s
    return [
        encode_events(
            [
                NormalizedEvent(
                    type=event_type, vendortype="x", data={}, raw=b'{"number":%d}' % number
                )
            ],
            origin=ORIGIN,
            received_at=received_at,
            delivery_id="d1",
            traceparent=f"00-4bf92f3577b34da6a3ce929d0e0e4736-{number + 1:016x}-01",
        )[0]
        for number in numbers
    ]


class _Sent(NamedTuple):
    message: Message


class PastEvents:
    """The history of an exchange, and queues of services that do not run."""

    def __init__(
        self,
        connection: AbstractConnection,
        url: str,
        exchange: str,
        *,
        max_bytes: int = 1_000_000_000,
    ) -> None:
        self._connection, self._url = connection, url
        self.exchange = exchange
        self.name = topology.history_exchange(exchange)
        declared = topology.topology(
            exchange,
            unrouted_max_length=1000,
            quarantine_max_length=1000,
            history=topology.History(max_age_s=86_400, max_bytes=max_bytes),
        )
        # Past events reach the history alone, as if all services had had them long ago.
        past = topology.Exchange(name=f"{exchange}.past", kind="fanout")
        binding = topology.Binding(exchange=past.name, pattern="", to=self.name)
        self._past = past.name
        self._declared = replace(
            declared,
            exchanges=(*declared.exchanges, past),
            bindings=(*declared.bindings, binding),
        )
        self._services: list[topology.Topology] = []

    async def __aenter__(self) -> Self:
        await self.declare()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        async with self._connection.channel() as channel:
            for declared in (self._declared, *self._services):
                await delete_queues(self._connection, declared.queues)
                for exchange in declared.exchanges:
                    await channel.exchange_delete(exchange.name)

    async def declare(self) -> None:
        await declare(self._connection, self._declared, passive=False)

    async def service(self, name: str) -> str:
        """Declare a service that wants every event, and return the name of its queue."""
        name = f"{self.exchange}-{name}"
        declared = kit_topology.topology(name, retry_delays_s=[1], dead_max_length=100)
        self._services.append(declared)
        await declare(self._connection, declared, passive=False)
        async with self._connection.channel() as channel:
            queue = await channel.declare_queue(name, passive=True)
            await queue.bind(self.exchange, "#")
        return name

    async def put(self, messages: Sequence[Message]) -> None:
        """Put events into the history, and into no service's queue."""
        done = asyncio.Event()
        confirmed = 0

        def count(outcome: PublishOutcome[_Sent]) -> None:
            nonlocal confirmed
            assert not outcome.failed
            confirmed += len(outcome.confirmed)
            if confirmed == len(messages):
                done.set()

        connection = await connect(self._url, heartbeat_s=60)
        session: Session[_Sent] = Session(
            connection,
            exchange_of=lambda _: self._past,
            confirm_timeout_s=LIMIT_S,
            metrics=BrokerMetrics(CollectorRegistry()),
        )
        session.on_outcome = count
        await session.open()
        for start in range(0, len(messages), _BATCH):
            await session.publish([_Sent(message) for message in messages[start : start + _BATCH]])
        await asyncio.wait_for(done.wait(), LIMIT_S)
        await close(connection)

    async def length(self, queue: str) -> int:
        """Return how many messages wait in a queue."""
        async with self._connection.channel() as channel:
            found = await channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0

    async def take(self, queue: str, count: int) -> list[Any]:
        """Take so many messages out of a queue, all at once; they are aiormq's."""
        found: list[Any] = []
        done = asyncio.Event()

        async def note(message: Any) -> None:
            found.append(message)
            if len(found) == count:
                done.set()

        async with self._connection.channel() as channel:
            wire = await channel.get_underlay_channel()
            await wire.basic_consume(queue, note, no_ack=True)
            await asyncio.wait_for(done.wait(), 4 * LIMIT_S)
        return found


def ids_of(messages: Iterable[Any]) -> list[str]:
    """Return the ids of aiormq's messages, or of the relay's."""
    return [
        message.id if isinstance(message, Message) else message.header.properties.message_id
        for message in messages
    ]
