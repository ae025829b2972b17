"""`ack_after = "confirm"`: straight to the broker, for receivers without a durable disk.

Takes the outbox's place before the ingress and the forwarder's behind the publisher. A delivery is
done when the broker has confirmed all of its events, and fails when one of them was refused.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from relay.envelope import Message
from relay.errors import Unavailable
from relay.session import Outcome, Session

_BATCH = 500


class _Delivery:
    """The events of one request, and how many of them are still to be confirmed."""

    __slots__ = ("done", "left")

    def __init__(self, left: int, done: asyncio.Future[None]) -> None:
        self.left = left
        self.done = done


class Waiting(NamedTuple):
    """A message whose sender waits for the confirm."""

    message: Message
    delivery: _Delivery


class Direct:
    """Publish each delivery and answer it with the broker's confirm.

    Args:
        max_in_flight: messages queued or published and not yet confirmed.
        confirm_timeout_s: how long a delivery may wait, also for a broker that is blocked.
    """

    def __init__(self, *, max_in_flight: int, confirm_timeout_s: float) -> None:
        self._max_in_flight = max_in_flight
        self._confirm_timeout_s = confirm_timeout_s
        self._queue: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._session: Session[Waiting] | None = None

    @property
    def is_drained(self) -> bool:
        """Tell whether nothing waits for a confirm."""
        return not self._queue and not (self._session and self._session.in_flight)

    def append(self, messages: Sequence[Message]) -> asyncio.Future[None]:
        """Queue messages for the broker.

        Returns:
            A future that is done once all are confirmed. Its exception is Unavailable if one was
            refused or its outcome is unknown; some of the messages may have arrived then.

        Raises:
            Unavailable: there is no broker, it is blocked, or too much is unconfirmed; nothing
                was published.
        """
        session = self._check()
        if session.in_flight + len(self._queue) >= self._max_in_flight:
            raise Unavailable("Too many events are unconfirmed; try again later.")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        limit = loop.call_later(self._confirm_timeout_s, _fail, done)
        done.add_done_callback(lambda _: limit.cancel())
        delivery = _Delivery(len(messages), done)
        self._queue.extend([Waiting(message, delivery) for message in messages])
        self._wake.set()
        return done

    async def check_writable(self) -> None:
        """Raise Unavailable unless a delivery made now would be published."""
        self._check()

    def _check(self) -> Session[Waiting]:
        if self._session is None:
            raise Unavailable("RabbitMQ is not connected; try again later.")
        if self._session.is_blocked:
            raise Unavailable("RabbitMQ is blocked by an alarm; try again later.")
        return self._session

    async def forward(self, session: Session[Waiting]) -> None:
        """Publish through session until it ends; what it leaves unconfirmed is answered 503."""
        session.on_outcome = self._settle
        self._session = session
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    count = min(_BATCH, len(self._queue))
                    await session.publish([self._queue.popleft() for _ in range(count)])
        finally:
            self._session = None
            for _, delivery in [*session.unsettled(), *self._queue]:
                _fail(delivery.done)
            self._queue.clear()

    def _settle(self, outcome: Outcome[Waiting]) -> None:
        for _, delivery in outcome.confirmed:
            delivery.left -= 1
            if not delivery.left and not delivery.done.done():
                delivery.done.set_result(None)
        for _, delivery in outcome.failed:
            _fail(delivery.done)


def _fail(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_exception(Unavailable("RabbitMQ did not confirm the event; try again later."))
