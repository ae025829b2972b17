"""The public listener: makes the protocol of each connection, counts them, and ends them in order.

No application, router or middleware: there is one path, and each layer costs as much as the
relay's own work. Of aiohttp it takes the sockets and the parser.
"""

import asyncio
from collections.abc import Sequence
from typing import cast

import structlog
from aiohttp import web

from relay.ingress.connection import Connection
from relay.ingress.http_body import MemoryBudget
from relay.ingress.limits import Limits
from relay.ingress.receiver import Receiver
from relay.ingress.request_parser import check_parser
from relay.ingress.turned_away import TurnedAway
from relay.observability.log_throttle import LogThrottle

_LOG_EVERY_S = 10

log = structlog.get_logger("relay.ingress")


class Server:
    """Hands the requests of all connections to one receiver.

    Args:
        receiver: answers requests.
        limits: of connections, in number and in what they cost.
    """

    def __init__(self, receiver: Receiver, limits: Limits) -> None:
        self._receiver = receiver
        self._limits = limits
        self.budget = MemoryBudget(limits.bodies_bytes)
        self._log_throttle = LogThrottle(_LOG_EVERY_S)
        self._open: set[Connection] = set()
        self._turned_away: dict[TurnedAway, None] = {}

    def runner(self, shutdown_timeout_s: float) -> web.ServerRunner:
        """Return what listens for this server. When it ends, so do the connections, in order.

        Raises:
            UnfitLibrary: this release of aiohttp can't be used.
        """
        check_parser()
        server = cast("web.Server", self)  # a runner calls the three methods below, and no other
        return web.ServerRunner(server, shutdown_timeout=shutdown_timeout_s)

    @property
    def connections(self) -> Sequence[Connection]:
        """Those that are open."""
        return list(self._open)

    @property
    def turned_away(self) -> int:
        """How many callers linger that were one too many."""
        return len(self._turned_away)

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        if len(self._open) < self._limits.connections:
            return Connection(self._receiver, self._limits, self.budget, self._open)
        if self._log_throttle.should_log():
            log.warning("too many connections", limit=self._limits.connections)
        return TurnedAway(self._receiver, self.budget, self._turned_away)

    def pre_shutdown(self) -> None:
        """End each connection after the answer under way."""
        for connection in self.connections:
            connection.close_after_answers()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  aiohttp's signature
        """Wait for the connections to end; cut what is left of them after timeout."""
        if self._open:
            await asyncio.wait([connection.ended for connection in self._open], timeout=timeout)
        for connection in self.connections:
            connection.abort()
        for caller in list(self._turned_away):
            caller.abort()
