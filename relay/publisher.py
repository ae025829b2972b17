"""A session with RabbitMQ that always comes back: connect, declare, publish, begin anew."""

import asyncio
import contextlib
import itertools
import math
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

import structlog

from relay import broker
from relay.errors import BrokerError, TopologyError
from relay.metrics import BrokerMetrics
from relay.session import Session, T
from relay.topology import Topology

_FIRST_RETRY_S, _LAST_RETRY_S, _TOPOLOGY_RETRY_S = 0.2, 15.0, 60.0
_LASTING_S = 5.0

log = structlog.get_logger("relay.publisher")


class State(StrEnum):
    """The broker connection as readiness and metrics show it."""

    DISCONNECTED = "disconnected"
    CONNECTED = "connected"
    BLOCKED = "blocked"  # a memory or disk alarm: the broker takes nothing for now


class Publisher:
    """Keep a session with one of the brokers open, for ever.

    Args:
        urls: brokers, tried in turn.
        exchanges: names of the exchange for events and of the one for quarantined deliveries.
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
        exchanges: tuple[str, str],
        wanted: Topology,
        declare_topology: bool,
        heartbeat_s: int,
        confirm_timeout_s: float,
        metrics: BrokerMetrics,
    ) -> None:
        self._urls = urls
        self._exchanges = exchanges
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
        """Open a session, give it to use, and begin anew whenever it ends.

        An error of use other than BrokerError is a bug of ours and ends this, too.
        """
        loop = asyncio.get_running_loop()
        delay_s = 0.0
        for url in itertools.cycle(self._urls):
            opened_at = math.inf
            try:
                async with contextlib.AsyncExitStack() as stack:
                    session: Session[T] = await self._open(url, stack)
                    _end_if_cancelled()
                    opened_at = loop.time()
                    self._note_connected(url, session)
                    await self._serve(session, use)
            except BrokerError as error:
                _end_if_cancelled()
                self._note_lost(error)
                # A session that ends at once, for want of a right, say, is no reason to hurry.
                if loop.time() - opened_at > _LASTING_S:
                    delay_s = 0.0
                delay_s = _next_delay(delay_s, error)
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.5))  # noqa: S311  jitter

    async def _open(self, url: str, stack: contextlib.AsyncExitStack) -> Session[T]:
        connection = await broker.connect(url, heartbeat_s=self._heartbeat_s)
        stack.push_async_callback(broker.close, connection)
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


def _end_if_cancelled() -> None:
    """Go through with a cancellation that aiormq 7.2 turned into an error of its own, or lost.

    It does so when it is cancelled while connecting. Without this, the relay may never stop.
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


def _raise_first(results: Iterable[object]) -> None:
    for result in results:
        if isinstance(result, Exception):
            raise result


def _next_delay(previous_s: float, error: Exception) -> float:
    if isinstance(error, TopologyError):
        return _TOPOLOGY_RETRY_S  # a person has to mend it
    return min(max(previous_s * 2, _FIRST_RETRY_S), _LAST_RETRY_S)
