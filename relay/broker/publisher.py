"""A session with RabbitMQ that always comes back: connect, declare, publish, begin again."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from relay.broker import reconnect
from relay.broker.connection import Connection, close, connect, declare, public_address
from relay.broker.outcome import T
from relay.broker.session import Session
from relay.errors import BrokerError, TopologyError
from relay.events.message import Message
from relay.events.topology import Topology
from relay.observability.metrics import BrokerMetrics

if TYPE_CHECKING:
    from relay.observability.tracing import Tracing

log = structlog.get_logger("relay.publisher")


class ConnectionState(StrEnum):
    """The broker connection as readiness and metrics show it."""

    DISCONNECTED = "disconnected"
    CONNECTED = "connected"
    BLOCKED = "blocked"  # by a memory or disk alarm: the broker accepts no messages for now


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """How to connect and publish.

    Args:
        urls: brokers, tried in turn.
        declare_topology: whether to declare what is needed; if not, what is missing is logged.
        heartbeat_s: AMQP heartbeat.
        confirm_timeout_s: see Session.
    """

    urls: Sequence[str]
    declare_topology: bool
    heartbeat_s: int
    confirm_timeout_s: float


class Publisher:
    """Keep a session with one of the brokers open.

    Args:
        options: where to connect, and how.
        exchange_of: see Session.
        topology: what must exist before anything is published.
        metrics: where outcomes and connects are counted.
        tracing: see Session.
    """

    def __init__(
        self,
        options: BrokerOptions,
        *,
        exchange_of: Callable[[Message], str],
        topology: Topology,
        metrics: BrokerMetrics,
        tracing: "Tracing | None" = None,
    ) -> None:
        self._options = options
        self._exchange_of = exchange_of
        self._topology = topology
        self._metrics = metrics
        self._tracing = tracing
        self._session: Session[Any] | None = None
        self._topology_problem: str | None = None
        self.reason: str | None = "not connected yet"

    @property
    def state(self) -> ConnectionState:
        """The connection now. `reason` says why when it is DISCONNECTED."""
        if self._session is None:
            return ConnectionState.DISCONNECTED
        return ConnectionState.BLOCKED if self._session.is_blocked else ConnectionState.CONNECTED

    @property
    def is_connected(self) -> bool:
        """Return whether a session is open, blocked or not."""
        return self._session is not None

    async def run(self, use: Callable[[Session[T]], Awaitable[None]]) -> None:
        """Open a session, call use with it, and begin again whenever the session ends.

        An error of use other than BrokerError is a bug of ours, and is raised.
        """
        await reconnect.run_forever(
            self._options.urls, partial(self._run, use), on_lost=self._note_lost
        )

    async def _run(self, use: Callable[[Session[T]], Awaitable[None]], url: str) -> None:
        """Open a session with one broker and let use publish until it ends."""
        async with contextlib.AsyncExitStack() as stack:
            session: Session[T] = await self._open(url, stack)
            reconnect.raise_if_cancelled()
            self._note_connected(url, session)
            await self._use(use, session)

    async def _open(self, url: str, stack: contextlib.AsyncExitStack) -> Session[T]:
        connection = await connect(url, heartbeat_s=self._options.heartbeat_s)
        stack.push_async_callback(close, connection)
        redeclare = partial(declare, connection, self._topology, passive=False)
        if self._options.declare_topology:
            await redeclare()
        else:
            await self._check_topology(connection)
        session: Session[T] = Session(
            connection,
            exchange_of=self._exchange_of,
            confirm_timeout_s=self._options.confirm_timeout_s,
            metrics=self._metrics,
            tracing=self._tracing,
        )
        if self._options.declare_topology:
            session.redeclare = redeclare
        await session.open()
        return session

    async def _check_topology(self, connection: Connection) -> None:
        """Log what is missing. Whatever can't go out for lack of it is parked."""
        try:
            await declare(connection, self._topology, passive=True)
        except TopologyError as error:
            if str(error) != self._topology_problem:
                log.warning("topology incomplete", reason=str(error))
            self._topology_problem = str(error)

    async def _use(self, use: Callable[[Session[T]], Awaitable[None]], session: Session[T]) -> None:
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
        log.info("broker connected", address=public_address(url))

    def _note_lost(self, error: BrokerError) -> None:
        reason = str(error)
        if reason != self.reason:  # log it once, however often it happens in a row
            log.error("broker unavailable", reason=reason)
        self.reason = reason
        self._metrics.failures.inc()


def _raise_first(results: Iterable[object]) -> None:
    for result in results:
        if isinstance(result, Exception):
            raise result
