"""Events out of RabbitMQ, from an exclusive queue that can hold nothing back.

It is bound no wider than the filters need, and to the events' exchanges themselves: an exchange in
between would count as a queue, and what that drops would go back to the relay. While the queue is
there, an event that nobody else wants comes here and not into the queue of unrouted ones; with a
history it is bound in front of that, and it makes no difference.

A person reads some rows a second, and to take a thousand costs RabbitMQ and the console as much as
two receivers do. So only some messages are taken, and what has come meanwhile is purged, which says
how many those were. That is right as long as all that the bindings let through is wanted. From the
first message on that is not, all are taken, so that no wanted one is purged among others.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping

from aio_pika.abc import AbstractConnection, AbstractQueue
from aiormq.abc import DeliveredMessage

from relay.broker.reconnect import raise_if_cancelled
from relay.console.deployment import Deployment
from relay.console.feed.allowance import MAX_AT_ONCE, ROWS_PER_S, Allowance
from relay.console.feed.rows import event_row
from relay.console.feed.seen import SeenEvent
from relay.console.watching.queues import ANSWER_TIMEOUT_S
from relay.errors import BrokerError
from relay.events.topology import feed_queue, word
from relay.observability.row_filters import RowFilters
from relay.process import tasks

PAUSE_S = 1.0
"""Between two looks at what a flood has brought; what is no flood is shown as it comes. With four
looks a second, and twice the rows, the console took twice as much CPU and as often a core."""
_TAKEN_PER_PAUSE = int(ROWS_PER_S * PAUSE_S)
_RETRY_S = 3.0
_MAX_TYPE_CHARACTERS = 100


class Tap:
    """Events that meet filters.

    Args:
        deployment: where they are.
        wanted: the filters.
        note: called with each event that is taken.
        skip: called with how many were left out.
        change: called when `error` has changed.
    """

    def __init__(
        self,
        deployment: Deployment,
        wanted: Mapping[str, str],
        *,
        note: Callable[[SeenEvent], None],
        skip: Callable[[int], None],
        change: Callable[[], None],
    ) -> None:
        self.error = "connecting to RabbitMQ"
        self._change = change
        self._deployment = deployment
        self._pattern = binding(wanted, _vendors(deployment))
        self._filters = RowFilters([*wanted.items()])
        self._note = note
        self._skip = skip
        self._token = secrets.token_hex(4)
        self._count = 0
        self._is_mixed = False
        self._allowance = Allowance(time.monotonic())
        self._is_full = asyncio.Event()
        self._held: list[int] = []

    async def run(self) -> None:
        """Take events for ever; a broker that is gone is asked again."""
        while True:
            try:
                async with self._deployment.connecting() as connection:
                    raise_if_cancelled()
                    await self._follow(connection)
                self._say("The connection to RabbitMQ was lost.")
            except (BrokerError, TimeoutError) as error:
                self._say(str(error) or "RabbitMQ did not answer in time.")
            raise_if_cancelled()
            await asyncio.sleep(_RETRY_S)

    def _say(self, error: str) -> None:
        self.error = error
        self._change()

    async def _follow(self, connection: AbstractConnection) -> None:
        """Take events until the channel is closed."""
        self._held = []
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=MAX_AT_ONCE)
            wanted = feed_queue(secrets.token_hex(8))
            queue = await channel.declare_queue(
                wanted.name, exclusive=True, auto_delete=True, arguments=wanted.arguments
            )
            for exchange in self._deployment.feed_exchanges:
                await queue.bind(exchange, self._pattern)
            wire = await channel.get_underlay_channel()  # aio-pika's makes two tasks of a message
            await wire.basic_consume(queue.name, self._take)
        self._say("")
        pause_s = PAUSE_S * secrets.randbelow(100) / 100  # of feeds opened together, each its own
        while not channel.is_closed:
            self._is_full.clear()
            await tasks.is_set_within(self._is_full, pause_s)
            pause_s = PAUSE_S
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                if tag := await self._last_done(queue):
                    await wire.basic_ack(tag, multiple=True)

    async def _take(self, message: DeliveredMessage) -> None:
        self._held.append(message.delivery_tag or 0)
        self._count += 1
        key = message.routing_key or ""
        row = event_row(key, message.body, f"{self._token}-{self._count}")
        if not row or not self._filters.wants(row):
            self._is_mixed = True
        elif self._allowance.left(time.monotonic()):
            self._allowance.take()
            self._note(SeenEvent(row, key, message.body))
        else:
            self._skip(1)
        if self._is_mixed and len(self._held) >= MAX_AT_ONCE // 2:
            self._is_full.set()

    async def _last_done(self, queue: AbstractQueue) -> int:
        """Return up to which message others may come; 0 if there is none.

        What came meanwhile is left out, if there may be so much.
        """
        count = len(self._held)
        if not self._is_mixed:
            if count == MAX_AT_ONCE:
                purged = await queue.purge()
                if purged.message_count:
                    self._skip(purged.message_count)
            count = min(count, _TAKEN_PER_PAUSE)
        done, self._held = self._held[:count], self._held[count:]
        return done[-1] if done else 0


def binding(wanted: Mapping[str, str], vendors: Mapping[str, str]) -> str:
    """Return a pattern for all events that may meet filters.

    Args:
        wanted: the filters.
        vendors: by source. An event has the source of its receiver, and keys that begin with its
            vendor; a source that is not among them may be of any.
    """
    vendor = vendors.get(wanted.get("source", ""))
    words = ["*" if vendor is None else word(vendor)]
    if (name := wanted.get("type")) and len(name) <= _MAX_TYPE_CHARACTERS:  # no key is cut so soon
        words += map(word, name.split("."))
    return "#" if words == ["*"] else ".".join([*words, "#"])


def _vendors(deployment: Deployment) -> Mapping[str, str]:
    return {name: source.origin.vendor for name, source in deployment.sources.items()}
