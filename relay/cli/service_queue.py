"""The queue of one service, published to directly, past every binding."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from pamqp import commands

from relay.broker.connection import declare
from relay.broker.outcome import PublishOutcome
from relay.broker.session import Session
from relay.cli.connection import connected
from relay.errors import BrokerError, RelayError, TopologyError
from relay.events.message import Message
from relay.events.topology import Exchange, Queue, Topology
from relay.observability.metrics import BrokerMetrics
from relay.process import tasks
from relay.settings import BrokerSettings

_DEFAULT_EXCHANGE = ""


class _Sent(NamedTuple):
    message: Message


class ServiceQueue:
    """A queue to publish to; see `opened`.

    Args:
        name: of the queue.
        session: an open one that nobody else uses.
        watch: the task that ends when the session does.
        timeout_s: how long RabbitMQ may take to confirm.
    """

    def __init__(
        self, name: str, session: Session[_Sent], watch: asyncio.Task[None], timeout_s: float
    ) -> None:
        self._name = name
        self._session = session
        self._watch = watch
        self._timeout_s = timeout_s
        self._left = self._refused = 0
        self._settled = asyncio.Event()
        session.on_outcome = self._count

    async def publish(self, messages: Sequence[tuple[commands.Basic.Properties, bytes]]) -> None:
        """Publish messages, and return once RabbitMQ has confirmed all.

        Args:
            messages: properties and body of each.

        Raises:
            BrokerError: it did not take all; it may have taken some.
            TimeoutError: it did not confirm in time; it may have taken some.
        """
        if not messages:
            return
        self._left, self._refused = len(messages), 0
        self._settled.clear()
        async with asyncio.timeout(self._timeout_s):
            try:
                await self._session.publish([self._addressed(*message) for message in messages])
                await tasks.first(self._settled.wait(), self._watch)
            except BrokerError as error:
                raise BrokerError("The connection to RabbitMQ was lost.") from error
        if self._refused:
            raise BrokerError(
                f"The queue {self._name} did not take {self._refused} of {len(messages)} messages; "
                "it is full, or was deleted meanwhile."
            )

    def _addressed(self, properties: commands.Basic.Properties, body: bytes) -> _Sent:
        message = Message(
            id=properties.message_id or "",
            routing_key=self._name,
            properties=properties.marshal(),
            body=body,
            received_at=time.time(),
        )
        return _Sent(message)

    def _count(self, outcome: PublishOutcome[_Sent]) -> None:
        self._left -= len(outcome.confirmed) + len(outcome.failed)
        self._refused += len(outcome.failed)
        if not self._left:
            self._settled.set()


@contextlib.asynccontextmanager
async def opened(
    settings: BrokerSettings, service: str, exchange: str = _DEFAULT_EXCHANGE
) -> AsyncIterator[ServiceQueue]:
    """Connect to RabbitMQ to publish to a service's queue.

    Args:
        settings: how to reach RabbitMQ.
        service: its name, which is that of its queue.
        exchange: routes by the queue's name. The default one needs a right to write to any queue.

    Raises:
        RelayError: there is no such queue, or no such exchange.
        BrokerError: RabbitMQ can't be reached, or was lost meanwhile.
    """
    async with connected(settings) as connection:
        await require(connection, service)
        await _require_exchange(connection, exchange)
        session: Session[_Sent] = Session(
            connection,
            exchange_of=lambda _: exchange,
            confirm_timeout_s=settings.confirm_timeout_s,
            metrics=BrokerMetrics(None),
        )
        await session.open()
        watch = asyncio.create_task(session.watch(), name="session")
        try:
            yield ServiceQueue(service, session, watch, settings.confirm_timeout_s)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


async def require(
    connection: AbstractConnection,
    name: str,
    *,
    otherwise: str = "There is no queue {name}; a service declares its queues when it starts.",
) -> None:
    """Raise RelayError, with the sentence `otherwise`, unless a queue with this name exists."""
    needed = Topology(queues=(Queue(name=name, arguments={}),))
    try:
        await declare(connection, needed, passive=True)
    except TopologyError as error:
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            raise RelayError(otherwise.format(name=name)) from error
        raise


async def _require_exchange(connection: AbstractConnection, name: str) -> None:
    if name == _DEFAULT_EXCHANGE:
        return
    try:
        await declare(
            connection, Topology(exchanges=(Exchange(name=name, kind="direct"),)), passive=True
        )
    except TopologyError as error:
        text = f"There is no exchange {name}; a service of the kit declares it when it starts."
        raise RelayError(text) from error
