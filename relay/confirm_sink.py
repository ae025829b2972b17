"""`ack_after = "confirm"`: straight to the broker, for receivers without a durable disk.

It is the sink of the ingress, as the outbox is otherwise, and it publishes, as the forwarder does.

    ingress -> append_all -> queue -> publish -> RabbitMQ
       ^                                            |
       +---- complete(None or NotDurable) <---------+

What completes a delivery, whichever comes first:

    all of its messages are confirmed           None: durable
    one of its messages is nacked or returned   NotDurable
    confirm_timeout_s is over                   NotDurable
    the session ends                            NotDurable

With NotDurable, RabbitMQ may have taken some of its messages all the same. A delivery that comes
while there is no broker, an alarm blocks it, or too much is unconfirmed is completed with
NotDurable at once, and nothing of it is published.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from relay.broker.outcome import PublishOutcome
from relay.broker.session import Session
from relay.errors import NotDurable
from relay.events.message import Message
from relay.sink import PendingDelivery, Sink, complete_all

_MAX_BATCH = 500


class _UnconfirmedDelivery:
    """A delivery, and the number of its messages that are not confirmed yet."""

    __slots__ = ("_delivery", "_timer", "_unconfirmed")

    def __init__(self, delivery: PendingDelivery, *, timeout_s: float) -> None:
        self._delivery: PendingDelivery | None = delivery  # None once it is completed
        self._unconfirmed = len(delivery.messages)
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self.fail)

    def confirm_one(self) -> None:
        """Count a confirmed message. The last one completes the delivery."""
        self._unconfirmed -= 1
        if not self._unconfirmed:
            self._complete(None)

    def fail(self) -> None:
        """Complete the delivery as not durable, unless it is completed."""
        self._complete(NotDurable("RabbitMQ did not confirm the event; try again later."))

    def _complete(self, error: NotDurable | None) -> None:
        delivery, self._delivery = self._delivery, None
        if delivery:
            self._timer.cancel()
            complete_all([delivery], error)


class UnconfirmedMessage(NamedTuple):
    """A message, and the delivery that waits for its confirm."""

    message: Message
    delivery: _UnconfirmedDelivery


class ConfirmSink(Sink):
    """Publish each delivery, and complete it by the broker's confirms.

    Args:
        max_in_flight: messages queued or published and not yet confirmed.
        confirm_timeout_s: how long a delivery may wait, also for a broker that is blocked.
    """

    def __init__(self, *, max_in_flight: int, confirm_timeout_s: float) -> None:
        self._max_in_flight = max_in_flight
        self._confirm_timeout_s = confirm_timeout_s
        self._queue: deque[UnconfirmedMessage] = deque()
        self._has_queued = asyncio.Event()
        self._session: Session[UnconfirmedMessage] | None = None

    @property
    def is_drained(self) -> bool:
        """Return whether nothing waits for a confirm."""
        return not self._unconfirmed

    @property
    def _unconfirmed(self) -> int:
        return len(self._queue) + (self._session.in_flight if self._session else 0)

    def append_all(self, deliveries: Sequence[PendingDelivery]) -> None:
        """Queue deliveries for the broker, or complete them at once; see the top of this file."""
        for delivery in deliveries:
            reason = self._reason_unavailable()
            if not reason and self._unconfirmed >= self._max_in_flight:
                reason = "Too many events are unconfirmed; try again later."
            if reason:
                complete_all([delivery], NotDurable(reason))
            else:
                self._enqueue(delivery)

    async def check_writable(self) -> None:
        """Raise NotDurable unless the broker accepts messages now."""
        if reason := self._reason_unavailable():
            raise NotDurable(reason)

    def _reason_unavailable(self) -> str | None:
        if self._session is None:
            return "RabbitMQ is not connected; try again later."
        if self._session.is_blocked:
            return "RabbitMQ is blocked by an alarm; try again later."
        return None

    def _enqueue(self, delivery: PendingDelivery) -> None:
        unconfirmed = _UnconfirmedDelivery(delivery, timeout_s=self._confirm_timeout_s)
        self._queue.extend(
            [UnconfirmedMessage(message, unconfirmed) for message in delivery.messages]
        )
        self._has_queued.set()

    async def forward(self, session: Session[UnconfirmedMessage]) -> None:
        """Publish through session until it ends. What is unconfirmed then is not durable."""
        session.on_outcome = self._note_outcome
        self._session = session
        try:
            while True:
                await self._has_queued.wait()
                self._has_queued.clear()
                while self._queue:
                    count = min(_MAX_BATCH, len(self._queue))
                    await session.publish([self._queue.popleft() for _ in range(count)])
        finally:
            self._session = None
            for unconfirmed in [*session.take_unconfirmed(), *self._queue]:
                unconfirmed.delivery.fail()
            self._queue.clear()

    @staticmethod
    def _note_outcome(outcome: PublishOutcome[UnconfirmedMessage]) -> None:
        for confirmed in outcome.confirmed:
            confirmed.delivery.confirm_one()
        for failed in outcome.failed:
            failed.delivery.fail()
