"""An event as a signed HTTP request: sent, redirected, answered or not.

Neither URLs nor responses are logged: both may contain tokens.
"""

import asyncio
import contextlib
import io
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from yarl import URL

from consumers.forward.networks import Network, is_allowed
from consumers.forward.response import (
    REDIRECTS,
    DeliveryResult,
    ResultKind,
    redirect_target,
    result_of,
)
from consumers.forward.signature import signed_headers
from consumers.kit import Event, Reject
from relay.events.traceparent import traceparent_of

_HEADERS = {"User-Agent": "relay"}
_MAX_REDIRECTS = 3
# Less than the 5 s of Node.js and uvicorn: a request on a connection that is being closed fails.
_KEEPALIVE_S = 4.0
# How much of a response is read, so that its connection can be used again.
_MAX_RESPONSE_BYTES, _MAX_READ_S = 65_536, 1.0


def open_http(*, connections: int, allowed: Sequence[Network]) -> aiohttp.ClientSession:
    """Return an HTTP client for one endpoint, to be closed by the caller.

    It checks each address when it connects to it, whatever the name resolved to before. It keeps
    no cookies.

    Args:
        connections: at most open at the same time.
        allowed: private networks that it may call.
    """

    def open_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not is_allowed(str(address[0]), allowed):
            raise PermissionError(_refusal(str(address[0])))
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(
        limit=connections, keepalive_timeout=_KEEPALIVE_S, socket_factory=open_socket
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(),  # none: EventSender has one for all its requests
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where events are sent, and how.

    Args:
        url: http or https.
        content_type: of the body, as the receiver wants it called.
        headers: more of them. A redirect takes them to no other origin: they may be credentials.
        proxy: an HTTP proxy to go through.
        allowed: private networks that may be called.
    """

    url: URL
    content_type: str
    headers: Mapping[str, str]
    proxy: URL | None
    allowed: Sequence[Network]

    def headers_for(self, url: URL) -> dict[str, str]:
        """Return the headers to send to url, without those that sign."""
        own = self.headers if url.origin() == self.url.origin() else {}
        return {"Content-Type": self.content_type, **own}


class EventSender:
    """Sends events to one URL, each as a signed POST.

    Args:
        destination: where.
        keys: each signs every request.
        http: see `open_http`.
        timeout_s: for a request and its redirects, until the head of the last response.
    """

    def __init__(
        self,
        *,
        destination: Destination,
        keys: Sequence[bytes],
        http: aiohttp.ClientSession,
        timeout_s: float,
    ) -> None:
        self._destination = destination
        self._keys = tuple(keys)
        self._http = http
        self._timeout_s = timeout_s

    def headers(self, event: Event) -> dict[str, str]:
        """Return the headers of an event's request, signed now.

        Raises:
            Reject: the event's id can't be sent.
        """
        try:
            headers = signed_headers(event.id, event.body, keys=self._keys, now=time.time())
        except ValueError as error:
            raise Reject(str(error)) from error
        if traceparent := traceparent_of({"traceparent": event.traceparent}):
            headers["traceparent"] = traceparent
        return headers

    async def send(self, body: bytes, headers: dict[str, str]) -> DeliveryResult:
        """Make the request, and return what it came to, also when there is no response."""
        try:
            return await self._post(body, headers)
        except TimeoutError:
            reason = f"did not answer within {self._timeout_s:g} s"
        except aiohttp.ClientProxyConnectionError as error:
            reason = f"can't be reached through its proxy: {error.__cause__}"
        except aiohttp.ClientHttpProxyError as error:
            reason = f"can't be reached through its proxy, which answered {error.status}"
        except aiohttp.ClientConnectorError as error:
            reason = f"can't be reached: {error.__cause__}"
        except PermissionError as error:
            reason = f"can't be reached: {error}"
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            # Its text may contain the URL. A host name that is too long is a UnicodeError.
            reason = f"broke off: {type(error).__name__}"
        return DeliveryResult(kind=ResultKind.DOWN, reason=reason)

    async def _post(self, body: bytes, headers: dict[str, str]) -> DeliveryResult:
        url, proxy = self._destination.url, self._destination.proxy
        async with asyncio.timeout(self._timeout_s) as limit:
            for _ in range(1 + _MAX_REDIRECTS):
                if proxy:
                    await self._check_address(url)
                request = self._http.post(
                    url,
                    data=io.BytesIO(body),
                    headers=self._destination.headers_for(url) | headers,
                    allow_redirects=False,
                    proxy=proxy,
                )
                async with request as response:
                    if response.status not in REDIRECTS:
                        limit.reschedule(None)  # the status counts, even if the body never ends
                        await _read_body(response)
                        retry_after = response.headers.get("Retry-After")
                        return result_of(response.status, retry_after, now=time.time())
                    target = redirect_target(url, response.headers.get("Location"))
                if isinstance(target, DeliveryResult):
                    return target
                url = target
        return DeliveryResult(
            kind=ResultKind.FAILED, reason=f"redirected more than {_MAX_REDIRECTS} times"
        )

    async def _check_address(self, url: URL) -> None:
        """Check where a proxy would connect to: it is the proxy that resolves the name.

        A name that can't be resolved here is left to the proxy.

        Raises:
            PermissionError: it is a private address.
        """
        try:
            found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port)
        except OSError:
            return
        for *_, address in found:
            if not is_allowed(str(address[0]), self._destination.allowed):
                raise PermissionError(_refusal(str(address[0])))


def _refusal(address: str) -> str:
    return f"{address} is private, and allow_private does not have it"


async def _read_body(response: aiohttp.ClientResponse) -> None:
    """Read a response, if it is not long and does not take long; else its connection is closed."""
    left = _MAX_RESPONSE_BYTES
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(_MAX_READ_S):
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
