"""One connection in confirm mode: publish batches, and report what became of each message.

`exchange.publish` of aio-pika waits for one message at a time and marshals frame by frame. Here
a batch is one write, and confirms are matched by delivery tag. The session only reports outcomes:
what one means for an event is up to the forwarder or the confirm sink.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

import aiormq.exceptions
import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractConnection as WireConnection
from aiormq.abc import ChannelFrame, ConfirmationFrameType
from pamqp import commands
from pamqp.header import ContentHeader

from relay.broker.connection import CONNECT_TIMEOUT_S, CONNECTION_ERRORS, reason_of
from relay.errors import BrokerError
from relay.events import amqp
from relay.events.message import Message
from relay.observability.metrics import BrokerMetrics
from relay.process import libraries

if TYPE_CHECKING:
    from relay.observability.tracing import Tracing

_WATCH_S = 0.5
_CHANNEL_NUMBER = 1
_FRAME_BUFFER = 1000  # confirms that may wait to be read
_REFUSED_TIMES = 4
"""A routing key may be refused for this many confirm timeouts, without a confirm in between. Then
the session ends, and another begins: if the first message of a channel comes while its quorum queue
elects a leader, RabbitMQ 3.10 refuses messages for as long as the channel lives. A full queue costs
such a reconnect, too."""
_MAX_REFUSED_KEYS = 1000

libraries.require_names(
    aiormq.Channel, "_get_frame", "_on_confirm_frame", "_on_return_frame", "_read_content"
)
libraries.require_names(WireConnection, "channels", "connection_tune", "ready", "write_queue")

log = structlog.get_logger("relay.session")


class HasMessage(Protocol):
    """Something to publish, with whatever else its publisher needs to know of it."""

    @property
    def message(self) -> Message:
        """The message."""


T = TypeVar("T", bound=HasMessage)


class PublishOutcome(NamedTuple, Generic[T]):
    """What became of some messages. Those in `failed` were nacked or returned by the broker."""

    confirmed: list[T]
    failed: list[T]


class _ConfirmChannel(aiormq.Channel):
    """A channel that passes confirms and returns on as they arrive.

    aiormq keeps a future per message and walks all of them for each `multiple` ack: with
    thousands in flight that is the largest cost of all. It also matches returns by message id
    alone, which hides one of two equal messages in flight.
    """

    def __init__(
        self,
        connection: WireConnection,
        on_confirm: Callable[[ConfirmationFrameType], None],
        on_return: Callable[[str], None],
    ) -> None:
        super().__init__(connection, _CHANNEL_NUMBER, frame_buffer=_FRAME_BUFFER)
        self._on_confirm = on_confirm
        self._on_return = on_return

    async def _on_confirm_frame(self, frame: ConfirmationFrameType) -> None:
        self._on_confirm(frame)

    async def _on_return_frame(self, frame: commands.Basic.Return) -> None:
        header = await self._get_frame()
        if not isinstance(header, ContentHeader):  # pragma: no cover  no broker does this
            raise aiormq.exceptions.InvalidFrameError(header)
        message = await self._read_content(frame, header)
        self._on_return(message.header.properties.message_id or "")


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
        if connection.transport is None:
            raise BrokerError("The connection was lost before it was used.")
        self._connection = connection.transport.connection
        self._exchange_of = exchange_of
        self._confirm_timeout_s = confirm_timeout_s
        self._metrics = metrics
        self._tracing = tracing
        self._channel = _ConfirmChannel(self._connection, self._confirm, self._note_return)
        self._frame_max = self._connection.connection_tune.frame_max
        self._next_tag = 1
        self._in_flight: dict[int, T] = {}
        self._returned: set[int] = set()
        self._refused_since: dict[str, float] = {}  # by routing key
        self._sent: deque[tuple[int, float]] = deque()  # (last tag of a batch, time)
        self._unblocked_at = 0.0
        self.in_flight_bytes = 0
        self.is_blocked = False
        self.on_outcome: Callable[[PublishOutcome[T]], None] = lambda _: None

    async def open(self) -> None:
        """Open the channel and put it into confirm mode.

        Raises:
            BrokerError: the connection was lost meanwhile.
        """
        self._connection.channels[_CHANNEL_NUMBER] = self._channel
        try:
            await self._channel.open(timeout=CONNECT_TIMEOUT_S)
        except CONNECTION_ERRORS as error:
            raise BrokerError(f"The channel can't be opened: {error}.") from error

    @property
    def in_flight(self) -> int:
        """The number of messages that wait for their confirm."""
        return len(self._in_flight)

    def take_unconfirmed(self) -> list[T]:
        """Return what was published and has no outcome, in order, once the session has ended."""
        unconfirmed = list(self._in_flight.values())
        self._in_flight.clear()
        return unconfirmed

    async def publish(self, batch: Sequence[T]) -> None:
        """Write a batch at once. Wait only while the broker is blocked.

        Raises:
            BrokerError: the session has ended; `take_unconfirmed` returns the batch, too.
        """
        self._in_flight.update(enumerate(batch, self._next_tag))
        self._next_tag += len(batch)
        self.in_flight_bytes += sum([len(item.message.body) for item in batch])
        await self._connection.ready()
        if self._channel.is_closed:
            raise BrokerError("The channel is closed.")
        exchange_of = self._exchange_of
        addressed = [(exchange_of(item.message), item.message) for item in batch]
        payload = amqp.publish_frames(addressed, channel=_CHANNEL_NUMBER, frame_max=self._frame_max)
        self._sent.append((self._next_tag - 1, asyncio.get_running_loop().time()))
        await self._connection.write_queue.put(ChannelFrame(payload=payload, should_close=False))

    async def watch(self) -> None:
        """Wait until the session has ended or the broker stops confirming.

        Raises:
            BrokerError: always, and it says which.
        """
        closing = {self._channel.closing, self._connection.closing}
        while True:
            done, _ = await asyncio.wait(
                closing, timeout=_WATCH_S, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                raise BrokerError(f"The connection was lost: {reason_of(done)}.")
            await self._note_blocked()
            self._check_confirms()
            self._check_refused()

    # Outcomes.

    def _confirm(self, frame: ConfirmationFrameType) -> None:
        """Report the outcome of the messages that an ack or a nack is about."""
        tags = self._tags_of(frame)
        published = [self._in_flight.pop(tag) for tag in tags]
        self.in_flight_bytes -= sum([len(item.message.body) for item in published])
        if not isinstance(frame, commands.Basic.Ack):
            outcome = PublishOutcome([], published)
            self._metrics.nacked.inc(len(published))
            self._note_refused(published)
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

    def _tags_of(self, frame: ConfirmationFrameType) -> list[int]:
        tag = frame.delivery_tag or 0
        if getattr(frame, "multiple", False):  # all up to and including tag; _in_flight is in order
            oldest = next(iter(self._in_flight), tag + 1)
            return [number for number in range(oldest, tag + 1) if number in self._in_flight]
        return [tag] if tag in self._in_flight else []

    def _note_confirmed(self, confirmed: Sequence[T]) -> None:
        self._metrics.confirmed.inc(len(confirmed))
        if self._refused_since:
            for item in confirmed:
                self._refused_since.pop(item.message.routing_key, None)
        now = time.time()
        for item in confirmed:
            message = item.message
            self._metrics.confirm_seconds.observe(max(0.0, now - message.received_at))
            if self._tracing:
                self._tracing.note_confirmed(message, self._exchange_of(message))

    def _note_refused(self, refused: Sequence[T]) -> None:
        now = asyncio.get_running_loop().time()
        for item in refused:
            if len(self._refused_since) < _MAX_REFUSED_KEYS:
                self._refused_since.setdefault(item.message.routing_key, now)

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
        was_blocked, self.is_blocked = self.is_blocked, await self._is_blocked()
        if self.is_blocked != was_blocked:
            log.warning("broker blocked" if self.is_blocked else "broker unblocked")
        if self.is_blocked:
            self._unblocked_at = asyncio.get_running_loop().time()  # at the earliest

    async def _is_blocked(self) -> bool:
        """Ask aiormq, which has no flag for it: `ready` returns at once unless blocked."""
        try:
            async with asyncio.timeout(0):
                await self._connection.ready()
        except TimeoutError:
            return True
        return False

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

    def _check_refused(self) -> None:
        limit_s = _REFUSED_TIMES * self._confirm_timeout_s
        for routing_key, since in self._refused_since.items():
            if asyncio.get_running_loop().time() - since > limit_s:
                raise BrokerError(f"{routing_key} was refused for {limit_s:g} s.")
