"""Events for as long as somebody wants them: connects again, and says what that cost."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from aio_pika.abc import AbstractConnection

from relay.broker.reconnect import explaining_odd_ends
from relay.cli.connection import watching
from relay.errors import RelayError
from relay.process import backoff
from relay.settings import BrokerSettings

_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 10.0


class TailedEvent(NamedTuple):
    """A message as it was published."""

    routing_key: str
    body: bytes


class LostTime(NamedTuple):
    """When the connection was lost, and how long ago that was."""

    lost_at: datetime
    seconds: float

    def __str__(self) -> str:
        return f"from {self.lost_at:%H:%M:%S} UTC on, for {self.seconds:.0f} s"


class EventFeed(Protocol):
    """Where events come from, one connection after the other."""

    def opened(
        self, connection: AbstractConnection, outage: LostTime | None
    ) -> AbstractAsyncContextManager[AsyncIterator[TailedEvent]]:
        """Listen while the context is open, and give the events; see there what is reported.

        An event that was asked for is done once the next one is asked for.

        Args:
            connection: to use.
            outage: before it, if there was one.

        Raises:
            RelayError: the connection is lost, or what is needed is not there.
        """
        ...


async def tailed(
    settings: BrokerSettings, feed: EventFeed, report: Callable[[str], None]
) -> AsyncGenerator[TailedEvent, None]:
    """Yield events forever. A lost connection is made again, and reported.

    Args:
        settings: of the broker.
        feed: where the events come from.
        report: shows a person the state of the connection.

    Raises:
        RelayError: it can't even begin.
    """
    attempt, has_begun, reason = 0, False, ""
    lost_at: datetime | None = None
    lost_clock_s = 0.0
    while True:
        try:
            async with _connected(settings) as connection:
                outage = LostTime(lost_at, time.monotonic() - lost_clock_s) if lost_at else None
                async with feed.opened(connection, outage) as events:
                    attempt, has_begun, lost_at = 0, True, None
                    async for event in events:
                        yield event
        except RelayError as error:
            if not has_begun:
                raise
            if lost_at is None:
                lost_at, lost_clock_s = datetime.now(UTC), time.monotonic()
                report(f"Lost RabbitMQ at {lost_at:%H:%M:%S} UTC; connecting again.")
            elif str(error) != reason:
                reason = str(error)
                report(f"Still without RabbitMQ: {reason}")
        attempt += 1
        await asyncio.sleep(backoff.delay_s(attempt, first_s=_FIRST_RETRY_S, last_s=_LAST_RETRY_S))


@contextlib.asynccontextmanager
async def _connected(settings: BrokerSettings) -> AsyncIterator[AbstractConnection]:
    with explaining_odd_ends():
        async with watching(settings) as connection:
            yield connection
