"""Publishing with confirms: a connection that always comes back, many messages in flight.

`exchange.publish` of aio-pika waits for one message at a time and marshals frame by frame. Here
a whole batch is one write, and confirms are counted by delivery tag. What an outcome means for
an event is not decided here: the publisher reports it, the forwarder decides.
"""

import asyncio
import contextlib
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import aiormq.exceptions
import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractConnection as WireConnection
from aiormq.abc import ChannelFrame, ConfirmationFrameType
from pamqp import commands
from pamqp.header import ContentHeader

from relay import amqp, broker, topology
from relay.envelope import Message
from relay.errors import BrokerError, TopologyError
from relay.metrics import BrokerMetrics

_WATCH_S = 0.5
_FIRST_RETRY_S, _LAST_RETRY_S, _TOPOLOGY_RETRY_S = 0.2, 15.0, 60.0
_CHANNEL_NUMBER = 1
_FRAME_BUFFER = 1000  # confirms that may wait to be read
_CLOSE_TIMEOUT_S = 5

log = structlog.get_logger("relay.publisher")


class HasMessage(Protocol):
    """Whatever a caller tracks: it holds the message to publish."""

    @property
    def message(self) -> Message:
        """The message."""


T = TypeVar("T", bound=HasMessage)


class State(StrEnum):
    """The broker connection as readiness and metrics show it."""

    DISCONNECTED = "disconnected"
    CONNECTED = "connected"
    BLOCKED = "blocked"  # a memory or disk alarm: the broker takes nothing for now


class Outcome(NamedTuple, Generic[T]):
    """What became of some messages. `failed` ones were nacked or returned, and are not routed."""

    confirmed: list[T]
    failed: list[T]


class _ConfirmChannel(aiormq.Channel):
    """A channel that hands confirms and returns on as they come.

    aiormq keeps a future per message and walks all of them for each `multiple` ack; with
    thousands in flight that is the largest cost there is. It also matches returns by message id
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
    """One connection in confirm mode: publish, and hear what became of each message.

    Only one task may publish. Delivery tags count from 1 in the order of publishing
    (https://www.rabbitmq.com/docs/confirms#publisher-confirms).

    Args:
        connection: an open one, for this session alone.
        exchanges: names of the exchange for events and of the one for quarantined deliveries.
        confirm_timeout_s: how long a message may be unconfirmed while the broker is not blocked.
        metrics: where outcomes are counted.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        *,
        exchanges: tuple[str, str],
        confirm_timeout_s: float,
        metrics: BrokerMetrics,
    ) -> None:
        if connection.transport is None:
            raise BrokerError("The connection was lost before it was used.")
        self._connection = connection.transport.connection
        self._exchanges = exchanges
        self._confirm_timeout_s = confirm_timeout_s
        self._metrics = metrics
        self._channel = _ConfirmChannel(self._connection, self._confirm, self._note_return)
        self._frame_max = self._connection.connection_tune.frame_max
        self._next_tag = 1
        self._in_flight: dict[int, T] = {}
        self._returned: set[int] = set()
        self._sent: deque[tuple[int, float]] = deque()  # (last tag of a batch, when)
        self._clock_starts_at = 0.0
        self.in_flight_bytes = 0
        self.is_blocked = False
        self.on_outcome: Callable[[Outcome[T]], None] = lambda _: None

    async def open(self) -> None:
        """Open the channel and put it into confirm mode."""
        self._connection.channels[_CHANNEL_NUMBER] = self._channel
        await self._channel.open(timeout=broker.CONNECT_TIMEOUT_S)

    @property
    def in_flight(self) -> int:
        """How many messages wait for their confirm."""
        return len(self._in_flight)

    def unsettled(self) -> list[T]:
        """Return what was published without an outcome, in order; used once the session ended."""
        left = list(self._in_flight.values())
        self._in_flight.clear()
        return left

    async def publish(self, batch: Sequence[T]) -> None:
        """Write a batch in one go. Waits only while the broker is blocked.

        Raises:
            BrokerError: the session has ended; the batch is among what is `unsettled`.
        """
        for tag, it in enumerate(batch, self._next_tag):
            self._in_flight[tag] = it
        self._next_tag += len(batch)
        self.in_flight_bytes += sum([len(it.message.body) for it in batch])
        await self._connection.ready()
        if self._channel.is_closed:
            raise BrokerError("The channel is closed.")
        named = [(self._exchanges[it.message.is_quarantined], it.message) for it in batch]
        payload = amqp.publish_frames(named, channel=_CHANNEL_NUMBER, frame_max=self._frame_max)
        self._sent.append((self._next_tag - 1, asyncio.get_running_loop().time()))
        await self._connection.write_queue.put(ChannelFrame(payload=payload, should_close=False))

    async def watch(self) -> None:
        """Return never; raise BrokerError when the session has ended or does not answer."""
        closing = {self._channel.closing, self._connection.closing}
        while True:
            done, _ = await asyncio.wait(
                closing, timeout=_WATCH_S, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                raise BrokerError(f"The connection was lost: {_reason(done)}.")
            await self._note_blocked()
            self._check_confirms()

    # Confirms.

    def _confirm(self, frame: ConfirmationFrameType) -> None:
        settled = [(tag, self._in_flight.pop(tag)) for tag in self._settled_by(frame)]
        self.in_flight_bytes -= sum([len(it.message.body) for _, it in settled])
        if not isinstance(frame, commands.Basic.Ack):
            outcome = Outcome([], [it for _, it in settled])
            self._metrics.nacked.inc(len(settled))
        elif self._returned:
            returned = [it for tag, it in settled if tag in self._returned]
            confirmed = [it for tag, it in settled if tag not in self._returned]
            self._returned.difference_update([tag for tag, _ in settled])
            outcome = Outcome(confirmed, returned)
            self._metrics.returned.inc(len(returned))
        else:
            outcome = Outcome([it for _, it in settled], [])
        self._metrics.confirmed.inc(len(outcome.confirmed))
        self.on_outcome(outcome)

    def _settled_by(self, frame: ConfirmationFrameType) -> list[int]:
        tag = frame.delivery_tag or 0
        if getattr(frame, "multiple", False):  # all up to and including tag; they lie in order
            return list(itertools.takewhile(lambda it: it <= tag, self._in_flight))
        return [tag] if tag in self._in_flight else []

    def _note_return(self, message_id: str) -> None:
        """Remember that a message had no route. Its ack follows, and must not count.

        Two copies of one event may be in flight; then both are sent again, since a duplicate is
        harmless and a loss is not.
        """
        self._returned.update(
            tag for tag, it in self._in_flight.items() if it.message.id == message_id
        )

    # Watching.

    async def _note_blocked(self) -> None:
        was_blocked, self.is_blocked = self.is_blocked, await self._is_blocked()
        if self.is_blocked != was_blocked:
            log.warning("broker blocked" if self.is_blocked else "broker unblocked")
        if self.is_blocked:
            self._clock_starts_at = asyncio.get_running_loop().time()

    async def _is_blocked(self) -> bool:
        """Ask aiormq, which offers no flag: `ready` returns at once unless blocked."""
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
        waited_since = max(self._sent[0][1], self._clock_starts_at)
        if asyncio.get_running_loop().time() - waited_since > self._confirm_timeout_s:
            raise BrokerError(
                f"{self.in_flight} messages were not confirmed within {self._confirm_timeout_s} s."
            )


class Publisher:
    """Keep a session with one of the brokers open, for ever.

    Args:
        urls: brokers, tried in turn.
        exchange: name of the events' exchange.
        wanted: what must be there before anything is published.
        declare_topology: whether to declare it; if not, it is only checked.
        heartbeat_s: AMQP heartbeat.
        confirm_timeout_s: see Session.
        metrics: where outcomes and connects are counted.
    """

    def __init__(  # noqa: PLR0913  one per setting of [broker]
        self,
        *,
        urls: Sequence[str],
        exchange: str,
        wanted: topology.Topology,
        declare_topology: bool,
        heartbeat_s: int,
        confirm_timeout_s: float,
        metrics: BrokerMetrics,
    ) -> None:
        self._urls = urls
        self._exchanges = (exchange, topology.quarantine_exchange(exchange))
        self._wanted = wanted
        self._declare_topology = declare_topology
        self._heartbeat_s = heartbeat_s
        self._confirm_timeout_s = confirm_timeout_s
        self._metrics = metrics
        self._session: Session[Any] | None = None
        self.reason: str | None = "not connected yet"

    @property
    def state(self) -> State:
        """The connection now. `reason` says why when it is DISCONNECTED."""
        if self._session is None:
            return State.DISCONNECTED
        return State.BLOCKED if self._session.is_blocked else State.CONNECTED

    @property
    def is_connected(self) -> bool:
        """Tell whether a session is open, blocked or not."""
        return self._session is not None

    async def run(self, use: Callable[[Session[T]], Awaitable[None]]) -> None:
        """Open a session, give it to use, and begin anew whenever it ends."""
        delay_s = 0.0
        for url in itertools.cycle(self._urls):
            try:
                async with contextlib.AsyncExitStack() as stack:
                    session: Session[T] = await self._open(url, stack)
                    delay_s = 0.0
                    self._note_connected(url, session)
                    await self._serve(session, use)
            except (BrokerError, *broker.ERRORS) as error:
                self._note_lost(error)
                delay_s = _next_delay(delay_s, error)
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.5))  # noqa: S311  jitter

    async def _open(self, url: str, stack: contextlib.AsyncExitStack) -> Session[T]:
        connection = await broker.connect(url, heartbeat_s=self._heartbeat_s)
        stack.push_async_callback(_close, connection)
        await broker.declare(connection, self._wanted, passive=not self._declare_topology)
        session: Session[T] = Session(
            connection,
            exchanges=self._exchanges,
            confirm_timeout_s=self._confirm_timeout_s,
            metrics=self._metrics,
        )
        await session.open()
        return session

    async def _serve(
        self, session: Session[T], use: Callable[[Session[T]], Awaitable[None]]
    ) -> None:
        """Let use publish until it or the session ends."""
        user = asyncio.ensure_future(use(session))
        watcher = asyncio.ensure_future(session.watch())
        try:
            await asyncio.wait((user, watcher), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._session = None
            user.cancel()
            watcher.cancel()
            results = await asyncio.gather(user, watcher, return_exceptions=True)
        _raise_first(results)

    def _note_connected(self, url: str, session: Session[T]) -> None:
        self._session = session
        self.reason = None
        self._metrics.connects.inc()
        log.info("broker connected", address=broker.public_address(url))

    def _note_lost(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        if reason != self.reason:  # once, however often it is tried
            log.error("broker unavailable", reason=reason)
        self.reason = reason
        self._metrics.failures.inc()


def _raise_first(results: Iterable[object]) -> None:
    for result in results:
        if isinstance(result, Exception):
            raise result


def _next_delay(previous_s: float, error: Exception) -> float:
    if isinstance(error, TopologyError):
        return _TOPOLOGY_RETRY_S  # a person has to mend it
    return min(max(previous_s * 2, _FIRST_RETRY_S), _LAST_RETRY_S)


def _reason(closed: Iterable[asyncio.Future[None]]) -> str:
    for future in closed:
        if not future.cancelled() and (error := future.exception()):
            return str(error).rstrip(".") or type(error).__name__
    return "closed"


async def _close(connection: AbstractConnection) -> None:
    """Close politely, but not for long: a dead peer never answers."""
    with contextlib.suppress(TimeoutError, *broker.ERRORS):
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await connection.close()
