"""What a run has on the broker: all that the relay declares, and a queue that gets every event."""

import contextlib
from collections.abc import Callable, Iterable, Mapping

import aio_pika

from relay.broker.connection import CONNECTION_ERRORS, declare
from relay.events import topology
from relay.events.topology import Binding, Queue, Topology
from tests.faults.harness.invariant import QUARANTINE

MAX_LENGTH = 1_000_000
_CONNECT_S = 5.0


class Queues:
    """The topology of one exchange. The broker may be away whenever it is looked at.

    Args:
        url: returns where the broker is now.
        exchange: of the events.
        arguments: of the queue that gets every event.
        quarantine_max_length: of the relay's settings.
    """

    def __init__(
        self,
        url: Callable[[], str],
        exchange: str,
        arguments: Mapping[str, object],
        *,
        quarantine_max_length: int = MAX_LENGTH,
    ) -> None:
        self._url = url
        self.exchange = exchange
        self.all = f"{exchange}.all"
        self.labels = {
            self.all: "events",
            topology.unrouted_exchange(exchange): "unrouted",
            topology.quarantine_exchange(exchange): QUARANTINE,
        }
        wanted = topology.topology(
            exchange,
            unrouted_max_length=MAX_LENGTH,
            quarantine_max_length=quarantine_max_length,
        )
        every = Queue(name=self.all, arguments={"x-queue-type": "quorum", **arguments})
        self.topology = Topology(
            exchanges=wanted.exchanges,
            queues=(*wanted.queues, every),
            bindings=(
                *wanted.bindings,
                Binding(exchange=exchange, pattern="#", to=self.all),
            ),
        )

    async def declare(self) -> None:
        async with await aio_pika.connect(self._url()) as connection:
            await declare(connection, self.topology, passive=False)

    async def delete(self, others: Iterable[str]) -> None:
        """Leave the broker as it was, if it is still there; with other queues of the run."""
        with contextlib.suppress(OSError, *CONNECTION_ERRORS):
            async with await aio_pika.connect(self._url(), timeout=_CONNECT_S) as connection:
                channel = await connection.channel()
                for name in (*[queue.name for queue in self.topology.queues], *others):
                    await channel.queue_delete(name)
                for exchange in self.topology.exchanges:
                    await channel.exchange_delete(exchange.name)

    async def are_empty(self) -> bool:
        with contextlib.suppress(OSError, *CONNECTION_ERRORS):
            async with await aio_pika.connect(self._url(), timeout=_CONNECT_S) as connection:
                channel = await connection.channel()
                counts = [
                    (await channel.declare_queue(queue.name, passive=True)).declaration_result
                    for queue in self.topology.queues
                ]
            return not any(count.message_count for count in counts)
        return False
