"""One consumer's connection to its queue, renewed whenever it is lost."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from consumers.kit.consumer import Consumer
from consumers.kit.consuming.handler_pool import HandlerPool
from consumers.kit.consuming.inbox import Inbox, Intake
from consumers.kit.consuming.republisher import Restore
from consumers.kit.queues import bindings
from relay.broker import reconnect
from relay.broker.connection import (
    Connection,
    close,
    connect,
    declare,
    public_address,
    wire_of,
)
from relay.errors import BrokerError, TopologyError
from relay.events.topology import Exchange, Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBroker:
    """Where a consumer gets its events.

    Args:
        urls: brokers, tried in turn.
        exchange: the events' exchange, which the relay declares.
        declare_topology: whether to declare and bind; if not, it is only checked.
        heartbeat_s: AMQP heartbeat.
    """

    urls: Sequence[str]
    exchange: str
    declare_topology: bool
    heartbeat_s: int


class Subscription:
    """Declare a consumer's queues, consume, and begin again whenever the connection is lost.

    Args:
        consumer: its name and its bindings.
        new_pool: makes the handlers of a connection, given how to restore its queues.
        broker: where it gets its events.
        queues: what the consumer needs on the broker.
        intake: how messages come in.
    """

    def __init__(
        self,
        consumer: Consumer,
        *,
        new_pool: Callable[[Restore], HandlerPool],
        broker: EventBroker,
        queues: Topology,
        intake: Intake,
    ) -> None:
        self.name = consumer.name
        self.reason: str | None = "not connected yet"
        self._patterns = consumer.bindings
        self._new_pool = new_pool
        self._broker = broker
        self._queues = queues
        self._intake = intake
        self._are_bindings_replaced = False
        self._is_closing = False
        self._pool: HandlerPool | None = None
        self._inbox: Inbox | None = None
        self._log = structlog.get_logger("consumers").bind(consumer=self.name)

    @property
    def is_consuming(self) -> bool:
        """Whether the queue is consumed now. `reason` says why not."""
        return self._inbox is not None and self._inbox.is_open

    @property
    def in_hand(self) -> int:
        """How many messages are delivered and not acknowledged."""
        return self._inbox.in_hand if self._inbox else 0

    @property
    def waiting_for(self) -> str | None:
        """What the handlers wait for, if anything."""
        return self._pool.waiting_for if self._pool else None

    async def run(self) -> None:
        """Consume forever."""
        await reconnect.run_forever(self._broker.urls, self._consume, on_lost=self._note_lost)

    async def finish(self, grace_s: float) -> None:
        """Take no more messages, and let running handlers finish within a grace time."""
        self._is_closing = True
        if self._pool:
            await self._pool.finish(grace_s)

    async def _consume(self, url: str) -> None:
        async with contextlib.AsyncExitStack() as stack:
            connection = await connect(url, heartbeat_s=self._broker.heartbeat_s)
            stack.push_async_callback(close, connection)
            await self._prepare(connection)
            pool = self._new_pool(lambda: self._declare_queues(connection))
            inbox = Inbox(wire_of(connection), pool.receive)
            await inbox.consume(self.name, self._intake)
            reconnect.raise_if_cancelled()
            if self._is_closing:
                await asyncio.Event().wait()  # until cancelled; what was delivered is returned
            self._pool, self._inbox, self.reason = pool, inbox, None
            self._log.info("consuming", address=public_address(url))
            try:
                await pool.run(inbox)
            finally:
                self._inbox = None

    async def _prepare(self, connection: Connection) -> None:
        """Declare the queues, and make the bindings those of the code.

        Only the first connection of a process removes bindings. An older version that is still
        running then keeps its own when it has to reconnect, but can't take away the new ones.
        """
        await self._declare_queues(connection)
        await self._require_exchange(connection)
        if not self._broker.declare_topology:
            return
        removed = await bindings.update(
            connection,
            service=self.name,
            exchange=self._broker.exchange,
            patterns=self._patterns,
            is_removing=not self._are_bindings_replaced,
        )
        self._are_bindings_replaced = True
        if removed:
            self._log.info("bindings removed", patterns=sorted(removed))

    async def _declare_queues(self, connection: Connection) -> None:
        is_passive = not self._broker.declare_topology
        await declare(connection, self._queues, passive=is_passive)

    async def _require_exchange(self, connection: Connection) -> None:
        needed = Topology(exchanges=(Exchange(name=self._broker.exchange, kind="topic"),))
        try:
            await declare(connection, needed, passive=True)
        except TopologyError as error:
            # Not fatal: the relay declares it when it first connects.
            raise BrokerError(str(error)) from error

    def _note_lost(self, error: BrokerError) -> None:
        reason = str(error)
        if reason != self.reason:  # logged once, however often it is tried
            self._log.error("not consuming", reason=reason)
        self.reason = reason
