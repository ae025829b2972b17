"""aiohttp's low-level server, with a short cut for the request that is there as a whole.

No application, router or middleware: there is one path, and each layer costs as much as the
relay's own work. A small request with its body in one read, which is nearly every webhook, is
answered without a task, a request or a response object either; aiohttp's parser has read it.
Everything else goes aiohttp's own way. What is no HTTP at all is answered by `handle_error`, whose
original would tell versions and repeat bytes of the request.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

import structlog
from aiohttp import StreamReader, web
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from multidict import CIMultiDictProxy

from relay.errors import BodyTooLarge, InternalError, Refused, ServiceUnavailable
from relay.ingress import http_response
from relay.ingress.http_response import Response
from relay.observability.log_throttle import LogThrottle

_KEEPALIVE_S = 75
_TELL_EVERY_S = 10
_LONGEST_UNCOUNTED = 4096
_LEAST_BYTES_PER_LINE = 8  # on average, in a read of a chunked body, framing included
_MOST_FRAMING_BYTES = 512 * 1024  # two reads; what aiohttp holds back for a while looks like it
_NOTHING = ((), False, b"")  # read by the parser
_VERSIONS = (HttpVersion10, HttpVersion11)
_LONGEST_SHORT_BODY = 64 * 1024
"""A body that is larger is read, and maybe understood, at leisure."""

log = structlog.get_logger("relay.ingress")


class Head(NamedTuple):
    """What the first lines of a request say, and who sent it.

    Args:
        method: such as POST.
        raw_path: the request target as sent, query included.
        headers: case-insensitive.
        remote: the address of whoever is connected.
    """

    method: str
    raw_path: str
    headers: CIMultiDictProxy[str]
    remote: str


class Receiver(Protocol):
    """What requests are handed to. Neither method raises anything but ConnectionError."""

    def handle_buffered(self, head: Head, body: bytes, reply: Callable[[Response], None]) -> None:
        """Take a request; call reply once with its answer, now or later."""

    async def handle_streaming(self, head: Head, request: web.BaseRequest) -> Response:
        """Read the rest of a request and return its answer."""
        ...


class _WatchedParser:
    """aiohttp's parser, which first offers what it has read to the short cut."""

    def __init__(
        self,
        parser: Any,
        take: Callable[[RawRequestMessage, StreamReader], bool],
        end_with: Callable[[Refused], None],
        body_limit_bytes: int,
    ) -> None:
        self._parser = parser
        self._take = take
        self._end_with = end_with
        self._body_limit_bytes = body_limit_bytes
        self.left_to_aiohttp = 0  # requests it has not answered yet
        self._body_bytes = 0  # of the latest body, framing included, from the second read on
        self._body: StreamReader | None = None
        self._is_chunked = False

    @property
    def is_amid_body(self) -> bool:
        """Tell whether what comes next belongs to a body."""
        return self._body is not None and not self._body.is_eof()

    @property
    def is_amid_chunks(self) -> bool:
        return self._is_chunked and self.is_amid_body

    def _is_endless(self, body: StreamReader) -> bool:
        """Tell whether a body is beyond its limit, framing for each byte of it included.

        Nothing else bounds sizes, extensions and trailers of chunks (RFC 9112, 7.1), which are no
        bytes of the body, nor what still comes of a body that was refused already.
        """
        length = min(body.total_bytes, self._body_limit_bytes)
        return self._body_bytes > 2 * length + _MOST_FRAMING_BYTES

    def feed_data(self, data: bytes) -> Any:
        if self._body is not None and not self._body.is_eof():
            if self._is_endless(self._body):
                self._end_with(BodyTooLarge())
                return _NOTHING
            self._body_bytes += len(data)
        try:
            found = self._parser.feed_data(data)
        except HttpProcessingError:
            if self.left_to_aiohttp and not self.is_amid_body:
                raise  # aiohttp tells it after the answers that are still to come
            self._end_with(Refused())  # aiohttp keeps the error, and so all that was read, for long
            return _NOTHING
        messages, is_upgraded, _ = found
        if len(messages) == 1 and not is_upgraded and self._take(*messages[0]):
            self._parser.message_consumed()
            return _NOTHING
        if any(it.version not in _VERSIONS for it, _ in messages):
            raise BadHttpMessage("neither HTTP/1.0 nor HTTP/1.1")  # aiohttp would repeat it
        self.left_to_aiohttp += len(messages)
        if messages:
            latest, self._body = messages[-1]
            self._is_chunked = latest.chunked
            self._body_bytes = 0
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


class _Handler(web.RequestHandler):
    """One connection. Its requests are answered one after the other, in order."""

    __slots__ = (
        "_head_timeout_s",
        "_held",
        "_is_last",
        "_is_on_short_cut",
        "_receiver",
        "_remote",
        "_watched",
    )

    def __init__(
        self,
        receiver: Receiver,
        manager: web.Server,
        *,
        body_limit_bytes: int,
        head_timeout_s: float,
        **options: Any,
    ) -> None:
        super().__init__(manager, **options)
        self._receiver = receiver
        self._head_timeout_s = head_timeout_s
        self._is_on_short_cut = False
        self._is_last = False
        self._held = b""
        self._remote = ""
        self._watched = _WatchedParser(self._parser, self._take, self._end_with, body_limit_bytes)
        self._parser = self._watched  # type: ignore[assignment]  # it has all that a parser has

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._remote = (transport.get_extra_info("peername") or ("",))[0]
        if self._keepalive_handle:  # aiohttp's, for as long as a connection may be idle later on
            self._keepalive_handle.cancel()
        self._next_keepalive_close_time = self._loop.time() + self._head_timeout_s
        self._keepalive_handle = self._loop.call_at(
            self._next_keepalive_close_time, self._process_keepalive
        )

    def data_received(self, data: bytes) -> None:
        if self._is_on_short_cut:
            self._hold(data)
        elif len(data) > _LONGEST_UNCOUNTED and self._is_mere_framing(data):
            self._end_with(Refused())
        else:
            super().data_received(data)

    def _is_mere_framing(self, data: bytes) -> bool:
        """Tell whether a chunked body (RFC 9112, 7.1) comes in crumbs.

        A chunk of one byte costs as much to parse as a whole request: in one read there is room
        for so many of them that everyone else would wait for a third of a second.
        """
        if data.count(b"\r\n") * _LEAST_BYTES_PER_LINE < len(data):
            return False
        is_begun = self._watched.is_amid_chunks
        return is_begun or b"chunked" in data[: self.max_field_size].lower()

    def _end_with(self, error: Refused) -> None:
        is_answered = self._watched.is_amid_body and not self._watched.left_to_aiohttp
        if self.transport is not None and not is_answered:
            answer = http_response.problem_response(error, "none")
            self.transport.write(http_response.encode(answer, int(time.time()), is_last=True))
        self.force_close()  # once all is written

    # The short cut. aiohttp's own loop for this connection goes on waiting for a request meanwhile.

    def _take(self, message: RawRequestMessage, body: StreamReader) -> bool:
        """Take the short cut, or return False for a request that needs more than that."""
        headers = message.headers
        if (
            self._watched.left_to_aiohttp
            or self._paused  # the caller does not read its answers
            or message.chunked
            or message.version != HttpVersion11
            or not body.is_eof()
            or body.total_bytes > _LONGEST_SHORT_BODY
            or "content-encoding" in headers
        ):
            return False
        self._is_on_short_cut = self._request_in_progress = True
        self._is_last = message.should_close
        head = Head(message.method, message.path, headers, self._remote)
        self._receiver.handle_buffered(head, body.read_nowait(), self._reply)
        return True

    def _reply(self, answer: Response) -> None:
        self._is_on_short_cut = self._request_in_progress = False
        if self._handler_waiter is not None:  # shutdown waits for this
            self._handler_waiter.set_result(None)
        if self.transport is None:
            return  # the caller has gone
        is_last = self._is_last or answer.is_last or self._force_close
        self.transport.write(http_response.encode(answer, int(time.time()), is_last=is_last))
        if is_last:
            self.force_close()  # once all is written
            return
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._held:
            self._release()

    def _hold(self, data: bytes) -> None:
        """Keep what a caller sent before it had its answer; it sends no more until then."""
        self._held += data
        if self.transport is not None:
            self.transport.pause_reading()

    def _release(self) -> None:
        held, self._held = self._held, b""
        if self.transport is not None:
            self.transport.resume_reading()
        self.data_received(held)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002  aiohttp's
        if self._reading_paused or self._buffer_paused:  # aiohttp calls this for each body
            super().resume_reading(resume_parser)

    def _process_keepalive(self) -> None:
        if self._is_on_short_cut:  # not idle, as aiohttp would have it
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    # aiohttp's own way.

    async def finish_response(self, *arguments: Any) -> tuple[web.StreamResponse, bool]:
        try:
            return await super().finish_response(*arguments)
        finally:
            self._watched.left_to_aiohttp -= 1

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002  aiohttp's signature
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        error = InternalError() if status >= InternalError.status else Refused()
        response = _response(http_response.problem_response(error, "none"))
        response.force_close()
        return response


class _TurnedAway(asyncio.Protocol):
    """A connection too many: told to come again, and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writer = cast("asyncio.Transport", transport)
        answer = http_response.problem_response(ServiceUnavailable(), "none")
        writer.write(http_response.encode(answer, int(time.time()), is_last=True))
        writer.close()


class Server(web.Server):
    """A server whose requests all go to one receiver.

    Args:
        receiver: answers requests.
        body_limit_bytes: of a body; far beyond that a connection ends, even if nobody reads it.
        max_connections: how many there may be; one more is answered 503 and closed.
        head_timeout_s: within which a new connection sends the head of its first request.
        keepalive_s: within which it sends the head of each further one.
    """

    def __init__(
        self,
        receiver: Receiver,
        *,
        body_limit_bytes: int,
        max_connections: int,
        head_timeout_s: float,
        keepalive_s: float = _KEEPALIVE_S,
    ) -> None:
        super().__init__(self._receive)
        self._receiver = receiver
        self._max_connections = max_connections
        self._tells = LogThrottle(_TELL_EVERY_S)
        self._options: dict[str, Any] = {
            "body_limit_bytes": body_limit_bytes,
            "head_timeout_s": head_timeout_s,
            "access_log": None,  # it would hold query strings, and these hold tokens
            "auto_decompress": False,  # http_body does, within its limit
            "keepalive_timeout": keepalive_s,
        }

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override]  # all that asyncio asks for
        """Return the protocol of a new connection."""
        if len(self._connections) < self._max_connections:
            return _Handler(self._receiver, self, loop=self._loop, **self._options)
        if self._tells.should_log():
            log.warning("too many connections", most=self._max_connections)
        return _TurnedAway()

    async def _receive(self, request: web.BaseRequest) -> web.StreamResponse:
        head = Head(request.method, request.raw_path, request.headers, request.remote or "")
        return _response(await self._receiver.handle_streaming(head, request))


def _response(answer: Response) -> web.Response:
    response = web.Response(
        body=answer.body,
        status=answer.status,
        headers=[("Content-Type", answer.content_type), *answer.headers],
    )
    if answer.is_last:
        response.force_close()
    return response
