"""aiohttp's request parser, a bounded part of what was received at a time.

The only module that knows the parser, which aiohttp does not document: see `check_parser`.
"""

import asyncio
from collections import deque

from aiohttp import StreamReader
from aiohttp.http import HttpRequestParser, HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError

from relay.errors import BodyTooLarge, Refused
from relay.process import libraries

_VERSIONS = (HttpVersion11, HttpVersion10)
_MAX_PARSED_BYTES = 32 * 1024
"""Of one call of the parser: some hundred requests at most, which then wait for their turn."""
_MAX_UNCOUNTED_BYTES = 4096
_MIN_BYTES_PER_LINE = 8  # on average, in a chunked body, framing included
_MAX_FRAMING_BYTES = 512 * 1024
_PAUSE_BYTES = 2**30
"""Where the parser would ask for a pause. It never gets there, as bodies are bounded."""
_END_OF_HEAD = b"\r\n\r\n"


class _NoFlowControl:
    """What the parser takes for its connection. It is never full, so there is nothing to do."""

    connected = True
    _reading_paused = False  # looked at before aiohttp 3.14

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self, **_: bool) -> None:
        """Do nothing."""


class RequestParser:
    """The requests in what one caller sends, in order.

    Args:
        body_limit_bytes: of a body. A body far beyond it, or in tiny chunks, ends the connection.
    """

    def __init__(self, body_limit_bytes: int) -> None:
        self._body_limit_bytes = body_limit_bytes
        self._parser = _new_parser()
        self.received = b""  # and is still to be parsed; whoever receives more appends it
        self.requests: deque[tuple[RawRequestMessage, StreamReader]] = deque()
        self._body: StreamReader | None = None
        self._is_chunked = False
        self._wire_bytes = 0  # of the body, framing included, from its second part on

    def clear(self) -> None:
        """Forget everything that was received."""
        self.received = b""
        self.requests.clear()
        self._body = None

    def next_request(self) -> RawRequestMessage:
        """Return the next request; its body is what `take_body` returns from now on."""
        message, self._body = self.requests.popleft()
        self._is_chunked = message.chunked
        self._wire_bytes = 0
        return message

    def take_body(self) -> tuple[bytes, bool]:
        """Return what has come of the body since the last call, and whether that was the end."""
        if self._body is None:
            return b"", True
        part, is_over = self._body.read_nowait(), self._body.is_eof()
        if is_over:
            self._body = None
        return part, is_over

    def parse(self) -> None:
        """Parse the next part of what was received.

        Raises:
            Refused: it is no HTTP, or a body without end. Nothing behind it can be understood.
        """
        if len(self.received) <= _MAX_UNCOUNTED_BYTES:  # nearly always
            part, self.received = self.received, b""
        else:
            part = self._next_part()
            self.received = self.received[len(part) :]
        if self._body is not None:
            self._wire_bytes += len(part)
            if self._is_endless(self._body):
                raise BodyTooLarge("the body has too much framing")
        try:
            messages, _, _ = self._parser.feed_data(part)
        except HttpProcessingError:
            messages = None  # a Refused raised here would keep the error, and so all that was read
        if messages is None:
            raise Refused("the request is no HTTP, or its framing is broken")
        for message, _ in messages:
            if message.version not in _VERSIONS:
                raise Refused("the request is neither HTTP/1.0 nor HTTP/1.1")
        self.requests.extend(messages)

    def _next_part(self) -> bytes:
        """Return what to parse at once: of a chunked body, nothing in crumbs (RFC 9112, 7.1).

        A chunk of one byte costs as much to parse as a whole request.
        """
        part = self.received[:_MAX_PARSED_BYTES]
        if part.count(b"\r\n") * _MIN_BYTES_PER_LINE < len(part):
            return part
        if self._body is None:  # so this begins with a head, which says how the body is framed
            head, end, _ = part.partition(_END_OF_HEAD)
            return head + end
        if self._is_chunked:
            raise Refused("the chunks of the body are too small")
        return part

    def _is_endless(self, body: StreamReader) -> bool:
        """Return whether a body is beyond its limit, framing for each byte of it included.

        Nothing else bounds sizes, extensions and trailers of chunks (RFC 9112, 7.1), which are no
        bytes of the body, nor what still comes of a body that was refused already.
        """
        length_bytes = min(body.total_bytes, self._body_limit_bytes)
        return self._wire_bytes > 2 * length_bytes + _MAX_FRAMING_BYTES


def _new_parser() -> HttpRequestParser:
    return HttpRequestParser(
        _NoFlowControl(),  # type: ignore[arg-type]  # it has all that a parser uses
        asyncio.get_running_loop(),
        _PAUSE_BYTES,
        auto_decompress=False,  # http_body does, within its limit
    )


def check_parser() -> None:
    """Let the parser read a request. Needs a running event loop.

    Raises:
        UnfitLibrary: this release of aiohttp reads it otherwise; its parser is not documented.
    """
    try:
        is_fit = _reads_a_request_in_parts()
    except (AttributeError, LookupError, TypeError, ValueError, Refused):
        is_fit = False
    if not is_fit:
        raise libraries.unfit("aiohttp", "its parser reads requests in another way")


def _reads_a_request_in_parts() -> bool:
    head = b"POST /a?b HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n"
    parser = RequestParser(body_limit_bytes=100)
    parser.received = head + b"2\r\nde\r\n"
    parser.parse()
    message = parser.next_request()
    parts = [parser.take_body()]
    parser.received = b"0\r\n\r\n"
    parser.parse()
    parts.append(parser.take_body())
    found = (message.method, message.path, message.headers["host"], message.should_close, parts)
    return found == ("POST", "/a?b", "c", False, [(b"de", False), (b"", True)])
