"""Connections beyond the limit: asked to come again, and closed.

A caller may have sent its request before it was accepted, or sends on. So each lingers for a while,
and few do at a time: with one more, whoever has had the most time is cut.
"""

import asyncio
import time
from typing import cast

from relay.errors import ServiceUnavailable
from relay.ingress import http_response
from relay.ingress.http_body import MemoryBudget, Reservation
from relay.ingress.http_response import Response
from relay.ingress.lingering import linger
from relay.ingress.receiver import Receiver
from relay.ingress.request_context import without_head

MAX_LINGERING = 64
_LINGER_S = 10.0


class TurnedAway(asyncio.Protocol):
    """One caller too many.

    Args:
        receiver: what refuses it.
        budget: of the bodies, of which it gets nothing.
        lingering: all of these that are open, the oldest first; this one is among them while it is.
    """

    def __init__(
        self, receiver: Receiver, budget: MemoryBudget, lingering: "dict[TurnedAway, None]"
    ) -> None:
        self._receiver = receiver
        self._budget = budget
        self._lingering = lingering
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer, and make room for one that lingers."""
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(_LINGER_S, self.abort)
        if len(self._lingering) >= MAX_LINGERING:
            next(iter(self._lingering)).abort()
        self._lingering[self] = None
        remote = (transport.get_extra_info("peername") or ("",))[0]
        request = without_head("", remote, Reservation(self._budget), self._answer)
        self._receiver.refuse(request, ServiceUnavailable("there are too many connections"))

    def _answer(self, response: Response) -> None:
        self._transport.write(http_response.encode(response, int(time.time()), "close"))
        linger(self._transport, self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Linger no more."""
        self._lingering.pop(self, None)
        self._timer.cancel()

    def abort(self) -> None:
        """Cut the connection; its answer was sent long ago."""
        self._lingering.pop(self, None)
        self._transport.abort()
