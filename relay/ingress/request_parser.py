"""aiohttp's request parser, a bounded part of what was received at a time.

The only module that knows the parser, which aiohttp does not document: see `check_parser`.
"""

import asyncio
import re
from collections import deque
from collections.abc import Sequence

from aiohttp import StreamReader
from aiohttp.http import HttpRequestParser, HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from relay.errors import BodyTooLarge, HeadTooLarge, Refused
from relay.ingress.limits import Limits
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
_MAX_METHOD_BYTES = 16
_OTHER_PROTOCOLS = {
    b"\x16": "the connection speaks TLS, and this port plain HTTP",
    b"PRI * HTTP/2": "the connection speaks HTTP/2 without TLS",
    b"PROXY ": "the connection begins with the PROXY protocol",
    b"\r\n\r\n\x00\r\nQUIT\n": "the connection begins with the PROXY protocol",
}
"""What a balancer or a caller that is set up wrongly begins with.

https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2, for the last two."""
_REPEATED_FIELD = re.compile(r"Duplicate '([A-Za-z-]{1,40})' header found\.")
_TOO_MANY_FIELDS = "Too many headers received"
"""What the parser says of these; the name of the field is one of a few that it knows."""


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
        limits: of a head, and of a body. A body far beyond it, or in tiny chunks, ends the
            connection.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = _new_parser(limits)
        self.received = b""  # and is still to be parsed; whoever receives more appends it
        self.requests: deque[tuple[RawRequestMessage, StreamReader]] = deque()
        self._body: StreamReader | None = None
        self._is_chunked = False
        self._content_length = ""  # of the body, "" if it is chunked
        self._wire_bytes = 0  # of the body, framing included, from its second part on
        self._head_bytes = 0  # parsed, and perhaps of a head that has not ended
        self._other_bytes = 0  # of these, at the beginning: perhaps of what was before that head
        self._head_start = b""

    def clear(self) -> None:
        """Forget everything that was received."""
        self.received = b""
        self.requests.clear()
        self._body = None
        self._head_start = b""

    def next_request(self) -> RawRequestMessage:
        """Return the next request; its body is what `take_body` returns from now on."""
        message, self._body = self.requests.popleft()
        self._is_chunked = message.chunked
        self._content_length = message.headers.get("content-length", "")
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

    @property
    def method(self) -> str:
        """The method of a request whose head has begun and not ended; "" if there is none."""
        method, space, _ = self._head_start.partition(b" ")
        return method.decode("ascii", "replace") if space else ""

    @property
    def is_amid_head(self) -> bool:
        """Whether a head has begun and not ended. One behind other requests may go unseen."""
        return bool(self._head_start)

    def parse(self) -> None:
        """Parse the next part of what was received.

        Raises:
            Refused: it is no HTTP, or without end. Nothing behind it can be understood.
        """
        if len(self.received) <= _MAX_UNCOUNTED_BYTES:  # nearly always
            part, self.received = self.received, b""
        else:
            part = self._next_part()
            self.received = self.received[len(part) :]
        self._head_bytes += len(part)
        if self._body is not None and self._is_endless(self._body, len(part)):
            raise BodyTooLarge("the body has too much framing")
        messages: Sequence[tuple[RawRequestMessage, StreamReader]] = ()
        refusal: Refused | None = None
        try:
            messages, _, _ = self._parser.feed_data(part)
        except HttpProcessingError as error:
            refusal = self._refusal(error, part)
        if self._head_bytes > self._limits.head_bytes and self._has_large_head(messages):
            refusal = self._head_too_large()
        for message, _ in messages:
            if message.version not in _VERSIONS:
                refusal = Refused("the request is neither HTTP/1.0 nor HTTP/1.1")
        if refusal:  # raised above, it would keep the parser's error, and so all that was read
            self._head_start = self._head_start or part.lstrip(b"\r\n")[:_MAX_METHOD_BYTES]
            try:
                raise refusal
            finally:
                del refusal  # its traceback has this frame: a cycle with all that was read
        self.requests.extend(messages)
        if messages or self._body is not None:
            self._head_bytes = self._other_bytes = len(part)
            self._head_start = b""
        elif not self._head_start:
            self._begin_head(part)

    def _begin_head(self, part: bytes) -> None:
        """Note how a head begins; empty lines before it do not count (RFC 9112, 2.2)."""
        self._head_start = part.lstrip(b"\r\n")[:_MAX_METHOD_BYTES]
        if not self._head_start:
            self._head_bytes = self._other_bytes = 0

    def _has_large_head(self, messages: Sequence[tuple[RawRequestMessage, StreamReader]]) -> bool:
        """Return whether a head is too large, be it one that has ended or not.

        White space around values counts only while the head has not ended.
        """
        head_bytes = max(map(_head_bytes, messages), default=0)
        if not messages and self._body is None:
            head_bytes = self._head_bytes - self._other_bytes
        return head_bytes > self._limits.head_bytes

    def _head_too_large(self) -> HeadTooLarge:
        return HeadTooLarge(f"the head has more than {self._limits.head_bytes} bytes")

    def _refusal(self, error: HttpProcessingError, part: bytes) -> Refused:
        """Return what to answer to an error of the parser. Its own text may quote the request."""
        if isinstance(error, LineTooLong):
            return self._head_too_large()
        if error.message == _TOO_MANY_FIELDS:
            return HeadTooLarge(f"the head has more than {self._limits.head_fields} fields")
        if repeated := _REPEATED_FIELD.fullmatch(error.message):
            return Refused(f"the request has the field {repeated[1]} twice")
        for start, reason in _OTHER_PROTOCOLS.items():
            if part.startswith(start):
                return Refused(reason)
        return Refused("the request is no HTTP, or its framing is broken")

    def _next_part(self) -> bytes:
        """Return what to parse at once: of a chunked body, nothing in crumbs (RFC 9112, 7.1).

        A chunk of one byte costs as much to parse as a whole request. A body of known length is
        taken as it is, all that has come of it.
        """
        if self._body is not None and self._content_length:
            rest_bytes = int(self._content_length) - self._body.total_bytes
            if rest_bytes > _MAX_PARSED_BYTES:
                return self.received[:rest_bytes]
        part = self.received[:_MAX_PARSED_BYTES]
        if part.count(b"\r\n") * _MIN_BYTES_PER_LINE < len(part):
            return part
        if self._body is None:  # so this begins with a head, which says how the body is framed
            head, end, _ = part.partition(_END_OF_HEAD)
            return head + end
        if self._is_chunked:
            raise Refused("the chunks of the body are too small")
        return part

    def _is_endless(self, body: StreamReader, part_bytes: int) -> bool:
        """Return whether a body is beyond its limit, framing for each byte of it included.

        Nothing else bounds sizes, extensions and trailers of chunks (RFC 9112, 7.1), which are no
        bytes of the body, nor what still comes of a body that was refused already.
        """
        self._wire_bytes += part_bytes
        length_bytes = min(body.total_bytes, self._limits.body_bytes)
        return self._wire_bytes > 2 * length_bytes + _MAX_FRAMING_BYTES


def _head_bytes(request: tuple[RawRequestMessage, StreamReader]) -> int:
    """Return how long a head is: the request line, all fields, and the empty line."""
    message, _ = request
    line = f"{message.method} {message.path} HTTP/1.1\r\n".encode(errors="surrogateescape")
    fields = [len(name) + len(value) + len(": \r\n") for name, value in message.raw_headers]
    return len(line) + sum(fields) + len("\r\n")


def _new_parser(limits: Limits) -> HttpRequestParser:
    return HttpRequestParser(
        _NoFlowControl(),  # type: ignore[arg-type]  # it has all that a parser uses
        asyncio.get_running_loop(),
        _PAUSE_BYTES,
        max_line_size=limits.head_bytes,
        max_field_size=limits.head_bytes,
        max_headers=limits.head_fields,
        auto_decompress=False,  # http_body does, within its limit
    )


def check_parser() -> None:
    """Let the parser read a request. Needs a running event loop.

    Raises:
        UnfitLibrary: this release of aiohttp reads it otherwise; its parser is not documented.
    """
    try:
        is_fit = _reads_a_request_in_parts() and _counts_fields()
    except (AttributeError, LookupError, TypeError, ValueError, Refused):
        is_fit = False
    if not is_fit:
        raise libraries.unfit("aiohttp", "its parser reads requests in another way")


_TRIED = Limits(
    body_bytes=100,
    bodies_bytes=100,
    connections=1,
    head_timeout_s=1,
    body_timeout_s=1,
    head_fields=2,
)


def _reads_a_request_in_parts() -> bool:
    head = b"POST /a?b HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n"
    parser = RequestParser(_TRIED)
    parser.received = head + b"2\r\nde\r\n"
    parser.parse()
    message = parser.next_request()
    parts = [parser.take_body()]
    parser.received = b"0\r\n\r\n"
    parser.parse()
    parts.append(parser.take_body())
    found = (message.method, message.path, message.headers["host"], message.should_close, parts)
    return found == ("POST", "/a?b", "c", False, [(b"de", False), (b"", True)])


def _counts_fields() -> bool:
    parser = RequestParser(_TRIED)
    parser.received = b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\n\r\n"
    try:
        parser.parse()
    except HeadTooLarge:
        return True
    return False
