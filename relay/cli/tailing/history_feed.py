"""Events from the history: those that are past, those that come, and those of an outage.

Each has an offset in the stream, so after an outage it goes on exactly where it was.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta

from aio_pika.abc import AbstractConnection

from relay.cli import service_queue
from relay.cli.replay import history_stream
from relay.cli.replay.history_stream import HistoryMessage, HistoryStream
from relay.cli.replay.topic_pattern import matcher
from relay.cli.tailing.connecting import LostTime, TailedEvent
from relay.cli.tailing.seen_ids import SeenIds

_MAX_BATCH_EVENTS = 100
_CLOCKS_DIFFER = timedelta(seconds=60)
"""The stream is searched by the broker's clock, events are chosen by the relay's."""
_NO_HISTORY = "There is no history {name} yet; `relay topology --apply` makes it, as does a relay."


class HistoryFeed:
    """Gives the events whose routing keys match.

    Args:
        name: of the stream.
        patterns: of routing keys.
        report: tells a person what happens.
        since: from when on; None for now. From there on no event comes twice, if it is published
            twice, neither.
    """

    def __init__(
        self,
        name: str,
        patterns: Sequence[str],
        report: Callable[[str], None],
        since: datetime | None = None,
    ) -> None:
        self._name = name
        self._patterns = patterns
        self._matchers = [matcher(pattern) for pattern in patterns]
        self._report = report
        self._since = since.replace(microsecond=0) if since else None  # AMQP's times are seconds
        self._seen = SeenIds()
        self._next_offset: int | None = None

    @contextlib.asynccontextmanager
    async def opened(
        self, connection: AbstractConnection, outage: LostTime | None
    ) -> AsyncIterator[AsyncIterator[TailedEvent]]:
        """Read the stream. Reported are an outage and how many events came meanwhile."""
        await service_queue.require(connection, self._name, otherwise=_NO_HISTORY)
        start: datetime | int | None = self._next_offset
        if start is None and self._since:
            start = max(self._since - _CLOCKS_DIFFER, datetime.fromtimestamp(0, UTC))
        async with history_stream.opened(connection, self._name, start) as stream:
            if outage is None:
                self._report(f"Waiting for {' '.join(self._patterns)} on {self._name}.")
            else:
                self._report(f"Connected again. RabbitMQ was away {outage}; {self._cost(stream)}.")
            if self._next_offset is None or self._next_offset > stream.last_offset + 1:
                first = stream.next_offset
                self._next_offset = stream.last_offset + 1 if first is None else first
            yield self._events(stream)

    def _cost(self, stream: HistoryStream) -> str:
        """Return how many events came during an outage, in words."""
        expected = self._next_offset or 0
        if stream.last_offset + 1 < expected:
            return "the history was made anew: events may be missing"
        came = stream.last_offset + 1 - expected
        if not came:
            return "0 events were missed"
        words = f"{came:,} events came meanwhile; those that match follow"
        gone = (stream.next_offset or 0) - expected
        return f"{words}, but for {gone:,} that the history has dropped" if gone > 0 else words

    async def _events(self, stream: HistoryStream) -> AsyncIterator[TailedEvent]:
        async for batch in stream.endless_batches(max_count=_MAX_BATCH_EVENTS):
            for message in batch:
                if self._is_wanted(message):
                    yield TailedEvent(message.routing_key, message.body)
                self._next_offset = message.offset + 1

    def _is_wanted(self, message: HistoryMessage) -> bool:
        if not any(matches(message.routing_key) for matches in self._matchers):
            return False
        if self._since is None:
            return True
        recorded_at = message.properties.timestamp
        is_recent = recorded_at is None or recorded_at >= self._since
        return is_recent and self._seen.add(message.properties.message_id or "")
