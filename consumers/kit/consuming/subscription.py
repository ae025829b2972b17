"""One consumer's connection to its queue, made anew for ever."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog

from consumers.kit.consumer import Consumer
from consumers.kit.consuming.handler_pool import HandlerPool
from consumers.kit.consuming.inbox import Inbox
from consumers.kit.queues import bindings
from relay.broker import connection as broker
from relay.broker import reconnect
from relay.errors import BrokerError, TopologyError
from relay.events.topology import Exchange, Topology


class Subscription:
    """Declare a consumer's queues, consume, and begin anew whenever the connection is lost.

    Args:
        consumer: its name and its bindings.
        workers: makes the workers of a connection, given `restore`; see HandlerPool.
        urls: brokers, tried in turn.
        exchange: the events' exchange, which the relay declares.
        queues: what the consumer needs on the broker.
        declare_topology: whether to declare and bind; if not, it is only checked.
        heartbeat_s: AMQP heartbeat.
        prefetch: messages in hand at the same time.
    """

    def __init__(  # noqa: PLR0913  one per setting
        self,
        consumer: Consumer,
        *,
        workers: Callable[..., HandlerPool],
        urls: Sequence[str],
        exchange: str,
        queues: Topology,
        declare_topology: bool,
        heartbeat_s: int,
        prefetch: int,
    ) -> None:
        self.name = consumer.name
        self.reason: str | None = "not connected yet"
        self._patterns = consumer.bindings
        self._new_workers = workers
        self._urls = urls
        self._exchange = exchange
        self._queues = queues
        self._declare_topology = declare_topology
        self._heartbeat_s = heartbeat_s
        self._prefetch = prefetch
        self._are_bindings_replaced = False
        self._is_closing = False
        self._workers: HandlerPool | None = None
        self._inbox: Inbox | None = None
        self._log = structlog.get_logger("consumers").bind(consumer=self.name)

    @property
    def is_consuming(self) -> bool:
        """Tell whether the queue is consumed now. `reason` says why not."""
        return self._inbox is not None and self._inbox.is_open

    @property
    def in_hand(self) -> int:
        """How many messages are delivered and not settled."""
        return self._inbox.in_hand if self._inbox else 0

    @property
    def waiting_for(self) -> str | None:
        """What the handler waits for, if anything."""
        return self._workers.waiting_for if self._workers else None

    async def run(self) -> None:
        """Consume for ever."""
        await reconnect.run_forever(self._urls, self._consume, on_lost=self._note_lost)

    async def finish(self, grace_s: float) -> None:
        """Take nothing any more and finish what is being handled, within a grace time."""
        self._is_closing = True
        if self._workers:
            await self._workers.finish(grace_s)

    async def _consume(self, url: str) -> None:
        async with contextlib.AsyncExitStack() as stack:
            connection = await broker.connect(url, heartbeat_s=self._heartbeat_s)
            stack.push_async_callback(broker.close, connection)
            await self._prepare(connection)
            workers = self._new_workers(restore=lambda: self._declare_queues(connection))
            if connection.transport is None:
                raise BrokerError("The connection was lost before it was used.")
            inbox = Inbox(connection.transport.connection, workers.receive)
            await inbox.consume(self.name, prefetch=self._prefetch)
            reconnect.raise_if_cancelled()
            if self._is_closing:
                await asyncio.Event().wait()  # until this is cancelled; what came is given back
            self._workers, self._inbox, self.reason = workers, inbox, None
            self._log.info("consuming", address=broker.public_address(url))
            try:
                await workers.run(inbox)
            finally:
                self._inbox = None

    async def _prepare(self, connection: broker.Connection) -> None:
        """Declare the queues, and make the bindings those of the code.

        Only the first connection of a process removes bindings. An older version that is still
        running then keeps its own when it has to reconnect, but can't take away the new ones.
        """
        await self._declare_queues(connection)
        await self._require_exchange(connection)
        if not self._declare_topology:
            return
        removed = await bindings.update(
            connection,
            service=self.name,
            exchange=self._exchange,
            patterns=self._patterns,
            is_removing=not self._are_bindings_replaced,
        )
        self._are_bindings_replaced = True
        if removed:
            self._log.info("bindings removed", patterns=sorted(removed))

    async def _declare_queues(self, connection: broker.Connection) -> None:
        await broker.declare(connection, self._queues, passive=not self._declare_topology)

    async def _require_exchange(self, connection: broker.Connection) -> None:
        needed = Topology(exchanges=(Exchange(name=self._exchange, kind="topic"),))
        try:
            await broker.declare(connection, needed, passive=True)
        except TopologyError as error:
            # Nothing to mend, perhaps: the relay declares it when it first connects.
            raise BrokerError(str(error)) from error

    def _note_lost(self, error: BrokerError) -> None:
        reason = str(error)
        if reason != self.reason:  # once, however often it is tried
            self._log.error("not consuming", reason=reason)
        self.reason = reason
