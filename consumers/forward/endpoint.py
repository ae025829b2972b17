"""One HTTP endpoint: an event is sent to it unless its circuit breaker pauses it."""

import math
import time

import structlog
from prometheus_client import Gauge

from consumers.forward.breaker import BreakerState, CircuitBreaker
from consumers.forward.response import DeliveryResult, ResultKind
from consumers.forward.sender import EventSender
from consumers.kit import Event, Reject, Unavailable
from relay.errors import RelayError

# An event that failed lets others that wait go first: it may be what breaks the endpoint.
_AFTER_THE_OTHERS_S = 1.0


class NotDelivered(RelayError):
    """The endpoint did not take the event; another attempt may succeed."""


class Endpoint:
    """An endpoint that gets each event.

    Args:
        name: in the log and in errors.
        sender: makes the requests.
        breaker: pauses the endpoint.
        is_paused: set to 1 while the breaker is not closed.
    """

    def __init__(
        self, *, name: str, sender: EventSender, breaker: CircuitBreaker, is_paused: Gauge
    ) -> None:
        self._name = name
        self._sender = sender
        self._breaker = breaker
        self._is_paused = is_paused
        self._is_paused.set(0)
        self._logged_state = BreakerState.CLOSED
        self._reason = ""
        self._log = structlog.get_logger("forward").bind(endpoint=name)

    async def deliver(self, event: Event) -> None:
        """Send an event.

        Raises:
            Reject: the endpoint will never take it.
            NotDelivered: it did not take it this time.
            Unavailable: it is down, and paused.
        """
        headers = self._sender.headers(event)
        call = self._breaker.admit(time.monotonic())
        self._log_state()
        if call is None:
            raise self._unavailable()
        try:
            result = await self._sender.send(event.body, headers)
        except BaseException:
            self._breaker.abandoned(call, time.monotonic())
            raise
        self._report(call, event, result)
        match result.kind:
            case ResultKind.DELIVERED:
                return
            case ResultKind.REJECTED:
                raise Reject(f"{self._name} {result.reason}")
            case ResultKind.DOWN | ResultKind.GONE if (
                self._breaker.state is not BreakerState.CLOSED
            ):
                raise self._unavailable(later_s=_AFTER_THE_OTHERS_S)
            case _:
                raise NotDelivered(f"{self._name} {result.reason}")

    def _report(self, call: int, event: Event, result: DeliveryResult) -> None:
        """Report a result to the breaker. Rejecting an event is a success: the endpoint is up."""
        now = time.monotonic()
        match result.kind:
            case ResultKind.DOWN:
                self._breaker.failed(call, now, pause_s=result.retry_after_s)
            case ResultKind.GONE:
                self._breaker.failed(call, now, pause_s=math.inf)
            case ResultKind.FAILED:
                self._breaker.refused(call, now, event.id)
            case _:
                self._breaker.succeeded(call)
        self._log_state(result.reason)

    def _log_state(self, reason: str = "") -> None:
        state = self._breaker.state
        if state is self._logged_state:
            return
        self._logged_state = state
        self._is_paused.set(state is not BreakerState.CLOSED)
        match state:
            case BreakerState.CLOSED:
                self._log.info("endpoint back")
            case BreakerState.HALF_OPEN:
                self._log.info("endpoint probed")
            case BreakerState.OPEN:
                self._reason = reason
                for_s = round(self._breaker.wait_s(time.monotonic()), 3)
                self._log.warning("endpoint paused", reason=reason, for_s=for_s)

    def _unavailable(self, later_s: float = 0) -> Unavailable:
        wait_s = self._breaker.wait_s(time.monotonic()) + later_s
        return Unavailable(f"{self._name} is paused: it {self._reason}", retry_after_s=wait_s)
