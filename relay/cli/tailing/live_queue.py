"""Events from a queue of our own, and, where an archive is at hand, those from before it.

The queue is exclusive: it is gone with its connection, and so are the events of an outage, unless
they are in the archive.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection

from relay.broker.connection import declare
from relay.cli.replay.arrivals import Arrivals
from relay.cli.tailing.connecting import LostTime, TailedEvent
from relay.cli.tailing.seen_ids import SeenIds
from relay.errors import RelayError
from relay.events.topology import MAX_ROUTING_KEY_BYTES, Exchange, Topology

_PREFETCH = 100
_MAX_QUEUE_MESSAGES = 10_000
"""A tail that can't keep up loses the oldest events instead of filling the broker."""
_CLOCKS_DIFFER = timedelta(seconds=10)

PastEvents = Callable[[datetime], Sequence[tuple[str, TailedEvent]]]
"""Returns the archived events since a time, each with its id."""


class LiveQueue:
    """Gives the events whose routing keys match.

    Args:
        exchanges: of the events.
        patterns: of routing keys.
        report: tells a person what happens.
        past: looks into the archive, if there is one.
        since: from when on the archive is asked for.
    """

    def __init__(
        self,
        exchanges: Sequence[str],
        patterns: Sequence[str],
        report: Callable[[str], None],
        *,
        past: PastEvents | None = None,
        since: datetime | None = None,
    ) -> None:
        self._exchanges = exchanges
        self._patterns = patterns
        self._report = report
        self._past = past
        self._since = since
        self._seen = SeenIds()

    @contextlib.asynccontextmanager
    async def opened(
        self, connection: AbstractConnection, outage: LostTime | None
    ) -> AsyncIterator[AsyncIterator[TailedEvent]]:
        """Bind a queue, then look into the archive: so nothing falls between the two.

        Reported are the outage and what it may have cost.
        """
        channel = await connection.channel()
        arrivals = Arrivals(channel)
        await self._bind(connection, channel, arrivals)
        archived: Sequence[tuple[str, TailedEvent]] = ()
        if self._past and self._since:
            since = outage.lost_at - _CLOCKS_DIFFER if outage else self._since
            archived = await asyncio.to_thread(self._past, since)
        if outage is None:
            exchanges = ", ".join(self._exchanges)
            self._report(f"Waiting for {' '.join(self._patterns)} on {exchanges}.")
        elif self._past and self._since:
            self._report(f"Connected again. RabbitMQ was away {outage}; the archive is asked.")
        else:
            self._report(
                f"Connected again. RabbitMQ was away {outage}: events of that time may be missing."
            )
        yield self._events(channel, arrivals, archived)

    async def _bind(
        self, connection: AbstractConnection, channel: AbstractChannel, arrivals: Arrivals
    ) -> None:
        """Consume a queue that lives as long as the connection, bound with all patterns."""
        names = self._exchanges
        needed = Topology(exchanges=tuple([Exchange(name=name, kind="topic") for name in names]))
        await declare(connection, needed, passive=True)
        await channel.set_qos(prefetch_count=_PREFETCH)
        arguments: dict[str, Any] = {"x-max-length": _MAX_QUEUE_MESSAGES}
        queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments=arguments)
        for pattern in self._patterns:
            for exchange in names:
                await queue.bind(exchange, pattern)
        await arrivals.consume(queue.name)

    async def _events(
        self,
        channel: AbstractChannel,
        arrivals: Arrivals,
        archived: Sequence[tuple[str, TailedEvent]],
    ) -> AsyncIterator[TailedEvent]:
        for event_id, event in archived:
            if self._seen.add(event_id):
                yield event
        wire = await channel.get_underlay_channel()
        while True:
            await arrivals.wait_for_any(None)
            delivered = arrivals.waiting.popleft()
            event_id = delivered.header.properties.message_id or ""
            if self._since is None or self._seen.add(event_id):
                yield TailedEvent(delivered.routing_key or "", delivered.body)
            await wire.basic_ack(delivered.delivery_tag)


def check_patterns(patterns: Sequence[str]) -> None:
    """Raise RelayError for a pattern that AMQP can't hold."""
    if any(len(pattern.encode()) > MAX_ROUTING_KEY_BYTES for pattern in patterns):
        raise RelayError(f"A pattern has at most {MAX_ROUTING_KEY_BYTES} bytes.")
