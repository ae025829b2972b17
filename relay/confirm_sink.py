"""`ack_after = "confirm"`: straight to the broker, for receivers without a durable disk.

Takes the outbox's place before the ingress and the forwarder's behind the publisher. A delivery is
done when the broker has confirmed all of its events, and fails when one of them was refused.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from relay.broker.session import Outcome, Session
from relay.errors import NotDurable
from relay.events.message import Message
from relay.sink import PendingDelivery, Sink

_BATCH = 500


class _Unconfirmed:
    """A delivery, and how many of its messages are still to be confirmed."""

    __slots__ = ("_delivery", "left", "limit")

    def __init__(self, delivery: PendingDelivery) -> None:
        self._delivery: PendingDelivery | None = delivery
        self.left = len(delivery.messages)
        self.limit: asyncio.TimerHandle | None = None

    def note_confirmed(self) -> None:
        """Settle the delivery if this was the last of its messages."""
        self.left -= 1
        if not self.left:
            self._settle(None)

    def give_up(self) -> None:
        """Settle the delivery as not durable, as far as is known."""
        self._settle(NotDurable("RabbitMQ did not confirm the event; try again later."))

    def _settle(self, error: NotDurable | None) -> None:
        delivery, self._delivery = self._delivery, None
        if delivery:  # not settled before
            if self.limit:
                self.limit.cancel()
            delivery.complete(error)


class Waiting(NamedTuple):
    """A message whose sender waits for the confirm."""

    message: Message
    delivery: _Unconfirmed


class ConfirmSink(Sink):
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

    def append_all(self, deliveries: Sequence[PendingDelivery]) -> None:
        """Queue deliveries for the broker.

        Each is settled once all of its messages are confirmed. It is settled with NotDurable when
        there is no broker, it is blocked, or too much is unconfirmed; then nothing of it was
        published. And when one was refused or its outcome is unknown; some may have arrived then.
        """
        for delivery in deliveries:
            try:
                session = self._check()
                if session.in_flight + len(self._queue) >= self._max_in_flight:
                    raise NotDurable("Too many events are unconfirmed; try again later.")  # noqa: TRY301
            except NotDurable as error:
                delivery.complete(error)
            else:
                self._queue_up(delivery)

    def _queue_up(self, delivery: PendingDelivery) -> None:
        unconfirmed = _Unconfirmed(delivery)
        unconfirmed.limit = asyncio.get_running_loop().call_later(
            self._confirm_timeout_s, unconfirmed.give_up
        )
        self._queue.extend([Waiting(message, unconfirmed) for message in delivery.messages])
        self._wake.set()

    async def check_writable(self) -> None:
        """Raise NotDurable unless a delivery made now would be published."""
        self._check()

    def _check(self) -> Session[Waiting]:
        if self._session is None:
            raise NotDurable("RabbitMQ is not connected; try again later.")
        if self._session.is_blocked:
            raise NotDurable("RabbitMQ is blocked by an alarm; try again later.")
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
                delivery.give_up()
            self._queue.clear()

    def _settle(self, outcome: Outcome[Waiting]) -> None:
        for _, delivery in outcome.confirmed:
            delivery.note_confirmed()
        for _, delivery in outcome.failed:
            delivery.give_up()
