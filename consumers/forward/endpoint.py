"""One HTTP endpoint: the request, its failures, and the breaker that pauses what is down.

Neither URLs nor answers are shown anywhere: both may hold tokens.
"""

import asyncio
import contextlib
import io
import math
import socket
import time
from collections.abc import Sequence

import aiohttp
import structlog
from prometheus_client import Gauge
from yarl import URL

from consumers.forward.breaker import CircuitBreaker, State
from consumers.forward.networks import Network, is_allowed
from consumers.forward.response import REDIRECTS, Outcome, Verdict, outcome_of, redirected
from consumers.forward.signature import signed_headers
from consumers.kit import Event, Reject, Unavailable
from relay.errors import RelayError
from relay.events.traceparent import traceparent_of

_HEADERS = {"Content-Type": "application/cloudevents+json", "User-Agent": "relay"}
_MOST_REDIRECTS = 3
# Less than the 5 s of Node.js and uvicorn: a request on a connection that is being closed fails.
_KEEPALIVE_S = 4.0
# What is read of an answer, so that its connection can be used again; a longer one costs that.
_MOST_ANSWER_BYTES, _ANSWER_REST_S = 65_536, 1.0
# An event that failed lets the others that wait go first: it may be what breaks the endpoint.
_AFTER_THE_OTHERS_S = 1.0


class NotDelivered(RelayError):
    """The endpoint did not take the event; another attempt may succeed."""


def open_http(*, connections: int, allowed: Sequence[Network]) -> aiohttp.ClientSession:
    """Return an HTTP client for one endpoint, to be closed by the caller.

    The very address it is about to connect to is checked, whatever the name resolved to before.
    It keeps no cookies and asks no proxy.

    Args:
        connections: at most open at the same time.
        allowed: networks it may call though they are private.
    """

    def open_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not is_allowed(str(address[0]), allowed):
            raise PermissionError(f"{address[0]} is private, and allow_private does not have it")
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(
        limit=connections, keepalive_timeout=_KEEPALIVE_S, socket_factory=open_socket
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(),  # none here: `_post` has one for all it does
    )


class Endpoint:
    """An endpoint that gets each event as a signed POST.

    Args:
        name: how the log and the errors call it.
        url: http or https.
        keys: each signs every request.
        http: see `open_http`.
        timeout_s: for a request and its redirects, until the head of the last answer.
        breaker: pauses the endpoint.
        is_paused: set to 1 while the breaker is not closed.
    """

    def __init__(  # noqa: PLR0913  an endpoint has these parts
        self,
        *,
        name: str,
        url: str,
        keys: Sequence[bytes],
        http: aiohttp.ClientSession,
        timeout_s: float,
        breaker: CircuitBreaker,
        is_paused: Gauge,
    ) -> None:
        self._name = name
        self._url = URL(url)
        self._keys = tuple(keys)
        self._http = http
        self._timeout_s = timeout_s
        self._breaker = breaker
        self._is_paused = is_paused
        self._is_paused.set(0)
        self._noted = State.CLOSED
        self._reason = ""
        self._log = structlog.get_logger("forward").bind(endpoint=name)

    async def deliver(self, event: Event) -> None:
        """Post an event.

        Raises:
            Reject: the endpoint will never take it.
            NotDelivered: it did not take it this time.
            Unavailable: it is down, and left alone for a while.
        """
        headers = self._headers(event)
        call = self._breaker.admit(time.monotonic())
        self._note_state()
        if call is None:
            raise self._unavailable()
        try:
            outcome = await self._attempt(event.body, headers)
        except BaseException:
            self._breaker.abandoned(call, time.monotonic())
            raise
        self._tell_breaker(call, event, outcome)
        match outcome.verdict:
            case Verdict.DELIVERED:
                return
            case Verdict.REJECTED:
                raise Reject(f"{self._name} {outcome.reason}")
            case Verdict.DOWN | Verdict.GONE if self._breaker.state is not State.CLOSED:
                raise self._unavailable(later_s=_AFTER_THE_OTHERS_S)
            case _:
                raise NotDelivered(f"{self._name} {outcome.reason}")

    # The request.

    def _headers(self, event: Event) -> dict[str, str]:
        try:
            headers = signed_headers(event.id, event.body, keys=self._keys, now=time.time())
        except ValueError as error:
            raise Reject(str(error)) from error
        if traceparent := traceparent_of({"traceparent": event.traceparent}):
            headers["traceparent"] = traceparent
        return headers

    async def _attempt(self, body: bytes, headers: dict[str, str]) -> Outcome:
        """Make the request; return what came of it, also when there is no answer."""
        try:
            return await self._post(body, headers)
        except TimeoutError:
            reason = f"did not answer within {self._timeout_s:g} s"
        except aiohttp.ClientConnectorError as error:
            reason = f"can't be reached: {error.__cause__}"
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            # Its text may hold the URL. A host name that is too long is a UnicodeError.
            reason = f"broke off: {type(error).__name__}"
        return Outcome(verdict=Verdict.DOWN, reason=reason)

    async def _post(self, body: bytes, headers: dict[str, str]) -> Outcome:
        url = self._url
        async with asyncio.timeout(self._timeout_s) as limit:
            for _ in range(1 + _MOST_REDIRECTS):
                request = self._http.post(
                    url, data=io.BytesIO(body), headers=headers, allow_redirects=False
                )
                async with request as response:
                    if response.status not in REDIRECTS:
                        limit.reschedule(None)  # its status stands, whatever becomes of the rest
                        await _read_rest(response)
                        retry_after = response.headers.get("Retry-After")
                        return outcome_of(response.status, retry_after, now=time.time())
                    target = redirected(url, response.headers.get("Location"))
                if isinstance(target, Outcome):
                    return target
                url = target
        return Outcome(
            verdict=Verdict.FAILED, reason=f"redirected more than {_MOST_REDIRECTS} times"
        )

    # The breaker.

    def _tell_breaker(self, call: int, event: Event, outcome: Outcome) -> None:
        """Tell what came of a call: who rejects an event is up, and understands."""
        match outcome.verdict:
            case Verdict.DOWN:
                pause_s = outcome.retry_after_s
                self._breaker.failed(call, time.monotonic(), pause_s=pause_s)
            case Verdict.GONE:
                self._breaker.failed(call, time.monotonic(), pause_s=math.inf)
            case Verdict.FAILED:
                self._breaker.refused(call, time.monotonic(), event.id)
            case _:
                self._breaker.succeeded(call)
        self._note_state(outcome.reason)

    def _note_state(self, reason: str = "") -> None:
        state = self._breaker.state
        if state is self._noted:
            return
        self._noted = state
        self._is_paused.set(state is not State.CLOSED)
        match state:
            case State.CLOSED:
                self._log.info("endpoint back")
            case State.HALF_OPEN:
                self._log.info("endpoint probed")
            case State.OPEN:
                self._reason = reason
                for_s = round(self._breaker.wait_s(time.monotonic()), 3)
                self._log.warning("endpoint paused", reason=reason, for_s=for_s)

    def _unavailable(self, later_s: float = 0) -> Unavailable:
        wait_s = self._breaker.wait_s(time.monotonic()) + later_s
        return Unavailable(f"{self._name} is paused: it {self._reason}", retry_after_s=wait_s)


async def _read_rest(response: aiohttp.ClientResponse) -> None:
    """Read what is left of an answer, if it is not much and does not take long."""
    left = _MOST_ANSWER_BYTES
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(_ANSWER_REST_S):
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
