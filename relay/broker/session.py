"""One connection in confirm mode: publish batches, and report what became of each message.

`exchange.publish` of aio-pika waits for one message at a time and marshals frame by frame. Here
a batch is one write, and confirms are matched by delivery tag. The session only reports outcomes:
what one means for an event is up to the forwarder or the confirm sink.

RabbitMQ closes the channel over a message that it will not take, and forgets all behind it. Then:

    open another channel
    the broker's words name the culprit?  report it, and all they are about, as refused
    else publish the suspects by halves   the one that closes the channel alone is refused
    publish the others, in order          if that closes the channel: once more

Until that is done `publish` waits. What was confirmed before is not published again.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Generic

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import ConfirmationFrameType
from pamqp import commands

from relay.broker import alone
from relay.broker.confirm_channel import ConfirmChannel
from relay.broker.connection import is_blocked, reason_of, wire_of
from relay.broker.nacked_keys import NackedKeys
from relay.broker.outcome import PublishOutcome, T
from relay.broker.refusal import Refusal
from relay.errors import BrokerError
from relay.events.message import Message
from relay.observability.metrics import BrokerMetrics
from relay.process import tasks

if TYPE_CHECKING:
    from relay.observability.tracing import Tracing

_WATCH_S = 0.5
_CHANNEL_NUMBERS = range(1, 32)  # in turn: the broker may not know yet that the last one is free
_ALONE_NUMBERS = range(32, 64)
_REDECLARE_AGAIN_S = 5.0
"""An exchange that is missing again so soon after it was declared is refused."""
log = structlog.get_logger("relay.session")


class Session(Generic[T]):
    """One connection in confirm mode: publish, and report what became of each message.

    `on_outcome` is called with each outcome. Only one task may publish. Delivery tags count from 1
    in the order of publishing (https://www.rabbitmq.com/docs/confirms#publisher-confirms).

    Args:
        connection: an open one, for this session alone.
        exchange_of: returns the exchange of a message.
        confirm_timeout_s: how long a message may be unconfirmed while the broker is not blocked.
        metrics: where outcomes are counted.
        tracing: where confirms become spans, if anywhere.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        *,
        exchange_of: Callable[[Message], str],
        confirm_timeout_s: float,
        metrics: BrokerMetrics,
        tracing: "Tracing | None" = None,
    ) -> None:
        self._connection = wire_of(connection)
        self._exchange_of = exchange_of
        self._confirm_timeout_s = confirm_timeout_s
        self._metrics = metrics
        self._tracing = tracing
        self.redeclare: Callable[[], Awaitable[None]] | None = None
        """Declares the exchanges anew when one was deleted; None if others declare them."""
        self._redeclared_at = -_REDECLARE_AGAIN_S
        self._numbers = itertools.cycle(_CHANNEL_NUMBERS)
        self._alone_numbers = itertools.cycle(_ALONE_NUMBERS)
        self._channel = self._new_channel()
        self._next_tag = 1  # counts on when the channel is another
        self._tags_before = 0  # on the channels before
        self._in_flight: dict[int, T] = {}
        self._held: list[T] = []  # to be published behind those in flight
        self._writing = asyncio.Lock()
        self._nothing_in_flight = asyncio.Event()
        self._returned: set[int] = set()
        self._nacked_keys = NackedKeys(confirm_timeout_s)
        self._sent: deque[tuple[int, float]] = deque()  # (last tag of a batch, time)
        self._unblocked_at = 0.0
        self.in_flight_bytes = 0
        self.is_blocked = False
        self.on_outcome: Callable[[PublishOutcome[T]], None] = lambda _: None

    def _new_channel(self) -> ConfirmChannel:
        return ConfirmChannel(
            self._connection,
            next(self._numbers),
            on_confirm=self._confirm,
            on_return=self._note_return,
        )

    async def open(self) -> None:
        """Open the channel and put it into confirm mode.

        Raises:
            BrokerError: the connection was lost meanwhile.
        """
        await self._channel.begin()

    @property
    def in_flight(self) -> int:
        """The number of messages that wait for their confirm."""
        return len(self._in_flight) + len(self._held)

    def take_unconfirmed(self) -> list[T]:
        """Return what was published and has no outcome, in order, once the session has ended."""
        unconfirmed = [*self._take_in_flight(), *self._held]
        self._held.clear()
        return unconfirmed

    def _take_in_flight(self) -> list[T]:
        taken = list(self._in_flight.values())
        self._in_flight.clear()
        self._returned.clear()
        self._sent.clear()
        return taken

    async def publish_alone(self, item: T) -> PublishOutcome[T]:
        """Publish a message that the broker refused before, on a channel of its own.

        Wait while the broker is blocked: it would take each attempt, and answer none.

        Raises:
            BrokerError: the session has ended, or the broker does not answer.
        """
        await self._connection.ready()
        addressed = (self._exchange_of(item.message), item)
        outcome = await alone.publish(
            self._connection, next(self._alone_numbers), addressed, self._confirm_timeout_s
        )
        if outcome.refusal and outcome.refusal.is_missing and self.redeclare:
            await self.redeclare()
        return outcome

    async def publish(self, batch: Sequence[T]) -> None:
        """Write a batch at once. Wait only while the broker is blocked or has refused a message.

        Raises:
            BrokerError: the session has ended; `take_unconfirmed` returns the batch, too.
        """
        self.in_flight_bytes += sum([len(item.message.body) for item in batch])
        self._held += batch
        async with self._writing:
            await self._write_held()

    async def _write_held(self) -> None:
        batch, self._held = self._held, []
        if batch:
            await self._write(batch)

    async def _write(self, batch: Sequence[T]) -> None:
        """Write a batch, unless the channel is closed over a message: then it stays in flight."""
        self._in_flight.update(enumerate(batch, self._next_tag))
        self._next_tag += len(batch)
        await self._connection.ready()
        channel = self._channel
        if channel.refusal:
            return
        if channel.is_closed:
            raise BrokerError("The channel is closed.")
        exchange_of = self._exchange_of
        addressed = [(exchange_of(item.message), item.message) for item in batch]
        self._sent.append((self._next_tag - 1, asyncio.get_running_loop().time()))
        await channel.write(addressed)

    async def watch(self) -> None:
        """Wait until the session has ended or the broker stops confirming.

        Raises:
            BrokerError: always, and it says which.
        """
        lost = self._connection.closing
        while True:
            closed = self._channel.closing
            await self._watch_until(closed, lost)
            if not self._channel.refusal:
                raise BrokerError(f"The connection was lost: {reason_of([closed])}.")
            async with tasks.task("recovery", self._recover(self._channel.refusal)) as recovery:
                await self._watch_until(recovery, lost)

    async def _watch_until(self, end: asyncio.Future[None], lost: asyncio.Future[None]) -> None:
        while True:
            done, _ = await asyncio.wait(
                {end, lost}, timeout=_WATCH_S, return_when=asyncio.FIRST_COMPLETED
            )
            if lost in done:
                raise BrokerError(f"The connection was lost: {reason_of([lost])}.")
            if done:
                return
            await self._note_blocked()
            self._check_confirms()
            self._nacked_keys.check()

    # Messages the broker closes the channel over.

    async def _recover(self, refusal: Refusal) -> None:
        """Publish all that was in flight again, but for what the broker refuses."""
        async with self._writing:
            await self._reopen()
            if not await self._has_redeclared(refusal) and not self._report_covered(refusal):
                await self._search()
            await self._write_held()

    async def _reopen(self) -> None:
        """Open another channel. What was in flight is to be published on it."""
        self._held = [*self._take_in_flight(), *self._held]
        self._tags_before = self._next_tag - 1
        self._channel = self._new_channel()
        await self._channel.begin()

    async def _has_redeclared(self, refusal: Refusal) -> bool:
        now = asyncio.get_running_loop().time()
        is_again = now - self._redeclared_at < _REDECLARE_AGAIN_S
        if not (refusal.is_missing and self.redeclare) or is_again:
            return False
        log.error("broker unavailable", reason=refusal.reason)  # until the exchange is declared
        await self.redeclare()
        self._redeclared_at = asyncio.get_running_loop().time()
        return True

    def _report_covered(self, refusal: Refusal) -> bool:
        """Report the messages the broker's words are about. Return whether there are any."""
        covered = [
            item
            for item in self._held
            if refusal.covers(self._exchange_of(item.message), item.message)
        ]
        if covered:
            chosen = set(map(id, covered))
            self._held = [item for item in self._held if id(item) not in chosen]
            self._report_refused(covered, refusal)
        return bool(covered)

    async def _search(self) -> None:
        """Find one message that closes the channel, and report it."""
        suspects = len(self._held)  # the first ones
        while suspects:
            count = (suspects + 1) // 2
            tried, self._held = self._held[:count], self._held[count:]
            refusal = await self._try(tried)
            if not refusal:
                suspects -= count
                continue
            suspects = len(self._in_flight)
            await self._reopen()
            if count == 1:
                self._report_refused([self._held.pop(0)], refusal)
                return

    async def _try(self, batch: Sequence[T]) -> Refusal | None:
        """Publish a batch, wait for its confirms, and return why the channel was closed instead."""
        self._nothing_in_flight.clear()
        await self._write(batch)
        await self._channel.wait_for(self._nothing_in_flight)
        if self._channel.is_closed and not self._channel.refusal:
            raise BrokerError("The channel is closed.")
        return self._channel.refusal if self._in_flight else None

    def _report_refused(self, refused: list[T], refusal: Refusal) -> None:
        self.in_flight_bytes -= sum([len(item.message.body) for item in refused])
        self.on_outcome(PublishOutcome([], refused, refusal))

    # Outcomes.

    def _confirm(self, frame: ConfirmationFrameType) -> None:
        """Report the outcome of the messages that an ack or a nack is about."""
        tags = self._tags_of(frame)
        published = [self._in_flight.pop(tag) for tag in tags]
        self.in_flight_bytes -= sum([len(item.message.body) for item in published])
        if not isinstance(frame, commands.Basic.Ack):
            outcome = PublishOutcome([], published)
            self._metrics.nacked.inc(len(published))
            self._nacked_keys.add(published)
        elif self._returned:
            by_tag = dict(zip(tags, published, strict=True))
            confirmed = [item for tag, item in by_tag.items() if tag not in self._returned]
            returned = [item for tag, item in by_tag.items() if tag in self._returned]
            self._returned.difference_update(tags)
            outcome = PublishOutcome(confirmed, returned)
            self._metrics.returned.inc(len(returned))
        else:
            outcome = PublishOutcome(published, [])
        self._note_confirmed(outcome.confirmed)
        self.on_outcome(outcome)
        if not self._in_flight:
            self._nothing_in_flight.set()

    def _tags_of(self, frame: ConfirmationFrameType) -> list[int]:
        tag = self._tags_before + (frame.delivery_tag or 0)
        if getattr(frame, "multiple", False):  # all up to and including tag; _in_flight is in order
            oldest = next(iter(self._in_flight), tag + 1)
            return [number for number in range(oldest, tag + 1) if number in self._in_flight]
        return [tag] if tag in self._in_flight else []

    def _note_confirmed(self, confirmed: Sequence[T]) -> None:
        self._metrics.confirmed.inc(len(confirmed))
        if self._nacked_keys:
            self._nacked_keys.discard(confirmed)
        now = time.time()
        for item in confirmed:
            self._metrics.confirm_seconds.observe(now - item.message.received_at)
        if self._tracing:
            for item in confirmed:
                self._tracing.note_confirmed(item.message, self._exchange_of(item.message))

    def _note_return(self, message_id: str) -> None:
        """Remember that a message had no route: the ack that follows does not confirm it.

        If two copies of one event are in flight, both are published again: a duplicate is harmless,
        a loss is not.
        """
        self._returned.update(
            tag for tag, item in self._in_flight.items() if item.message.id == message_id
        )

    # Watching.

    async def _note_blocked(self) -> None:
        was_blocked, self.is_blocked = self.is_blocked, await is_blocked(self._connection)
        if self.is_blocked != was_blocked:
            log.warning("broker blocked" if self.is_blocked else "broker unblocked")
        if self.is_blocked:
            self._unblocked_at = asyncio.get_running_loop().time()  # at the earliest

    def _check_confirms(self) -> None:
        oldest = next(iter(self._in_flight), self._next_tag)
        while self._sent and self._sent[0][0] < oldest:
            self._sent.popleft()
        if not self._sent or self.is_blocked:
            return
        waited_since = max(self._sent[0][1], self._unblocked_at)
        if asyncio.get_running_loop().time() - waited_since > self._confirm_timeout_s:
            raise BrokerError(
                f"{self.in_flight} messages were not confirmed within {self._confirm_timeout_s} s."
            )
