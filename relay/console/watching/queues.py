"""What waits in RabbitMQ: the lengths of the queues a person cares about, asked again and again."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from relay.broker.reconnect import raise_if_cancelled
from relay.console.watching.history import POLL_INTERVAL_S
from relay.errors import BrokerError

log = structlog.get_logger("relay")

ANSWER_TIMEOUT_S = 5.0

Connecting = Callable[[], AbstractAsyncContextManager[AbstractConnection]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue: its messages that nobody has in hand, and its consumers; None if there is none."""

    name: str
    messages: int | None
    consumers: int | None


class QueueWatch:
    """Asks RabbitMQ for the lengths of queues.

    Args:
        connecting: opens a connection.
        quarantine: the queue of deliveries that were not understood.
        unrouted: the queue of events that no service wants.
        dead: the queues of what services gave up.
    """

    def __init__(
        self, connecting: Connecting, *, quarantine: str, unrouted: str, dead: Sequence[str]
    ) -> None:
        self.quarantine = quarantine
        self.unrouted = unrouted
        self.dead = dead
        self.states: dict[str, QueueState] = {}
        self.error: str | None = "not asked yet"
        self.reading: set[str] = set()
        """Queues that the console itself has in hand: RabbitMQ would say that they are empty."""
        self._connecting = connecting

    @property
    def names(self) -> Sequence[str]:
        """All of them."""
        return [self.quarantine, self.unrouted, *self.dead]

    async def run(self) -> None:
        """Ask for ever; a broker that is gone is asked again."""
        while True:
            try:
                async with self._connecting() as connection:
                    while True:
                        raise_if_cancelled()
                        async with asyncio.timeout(ANSWER_TIMEOUT_S):
                            await self._ask(connection)
                        self.error = None
                        await asyncio.sleep(POLL_INTERVAL_S)
            except (BrokerError, TimeoutError) as error:
                if self.error != str(error):
                    log.warning("console has no broker", reason=str(error))
                self.error = _words(error)
                self.states = {}
            raise_if_cancelled()
            await asyncio.sleep(POLL_INTERVAL_S)

    async def ask_once(self) -> None:
        """Ask for each queue once; `error` says why that failed, if it did."""
        try:
            async with self._connecting() as connection, asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._ask(connection)
                self.error = None
        except (BrokerError, TimeoutError) as error:
            self.error = _words(error)

    @property
    def waiting(self) -> Mapping[str, int | None]:
        """How many wait in each; see `messages`."""
        return {name: self.messages(name) for name in self.names}

    def messages(self, name: str) -> int | None:
        """Return how many wait in a queue; None if that is not known, or there is no such queue."""
        state = self.states.get(name)
        return state.messages if state else None

    async def _ask(self, connection: AbstractConnection) -> None:
        for name in self.names:
            if name in self.reading:
                continue
            state = await _state(connection, name)
            if name not in self.reading:
                self.states[name] = state


def _words(error: BrokerError | TimeoutError) -> str:
    return str(error) or "RabbitMQ did not answer in time."


async def _state(connection: AbstractConnection, name: str) -> QueueState:
    channel = await connection.channel()  # a queue that is missing closes it
    try:
        queue = await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return QueueState(name=name, messages=None, consumers=None)
    answer = queue.declaration_result
    await channel.close()
    return QueueState(name=name, messages=answer.message_count, consumers=answer.consumer_count)
