"""One connection of the public listener: bytes in, requests to the receiver, answers in order.

A connection handles one request at a time and is in one of these states. The functions that leave
them are its transitions; all of them are below, in this order.

    state    waits for                   left by      for
    HEAD     the head of a request       _begin       BODY, or ANSWER if the body came along
    BODY     the rest of its body        _collect     ANSWER
                                         _refuse      ANSWER, without the body
    ANSWER   the receiver's answer       _answer      HEAD, or DISCARD amid a body
    DISCARD  the end of a refused body   _discard     HEAD
    CLOSED   nothing

`_expire` ends HEAD, BODY and DISCARD when they take too long, `_reject` when what comes is no HTTP,
or ends amid a head. The receiver hears of each head that has begun, even if it never ends.
After the last answer there is CLOSED instead of HEAD. What a caller sends before its turn waits in
the parser, and meanwhile nothing more is read from that caller.
"""

import asyncio
import enum
import math
import time
from typing import cast

from aiohttp.http import HttpVersion10

from relay.errors import BodyTooSlow, HeadTooSlow, Refused, ServiceUnavailable
from relay.ingress import http_response
from relay.ingress.http_body import MemoryBudget, Reservation, check_size
from relay.ingress.http_response import Response
from relay.ingress.limits import Limits
from relay.ingress.lingering import linger
from relay.ingress.receiver import Receiver
from relay.ingress.request_context import Head, RequestContext, without_head
from relay.ingress.request_parser import RequestParser

_DISCARD_S = 10.0
"""How long a caller may go on sending a refused body, or leave its last answer unread."""
_LONG_READ_BYTES = 128 * 1024
"""From a caller who sends so much at once, uvloop reads up to 8 MB in a row, and then from the next
one: with several of them, everyone else waits for 40 ms."""
_ENDED = "the connection ended amid a head"


class State(enum.Enum):
    """What a connection waits for; see above."""

    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()
    DISCARD = enum.auto()
    CLOSED = enum.auto()


HEAD, BODY, ANSWER, DISCARD, CLOSED = State


class Connection(asyncio.Protocol):
    """One caller. Its requests are answered one after the other.

    Args:
        receiver: answers them.
        limits: for this connection.
        budget: the memory for the bodies of all connections.
        connections: all that are open; this one is among them while it is.
    """

    def __init__(
        self,
        receiver: Receiver,
        limits: Limits,
        budget: MemoryBudget,
        connections: "set[Connection]",
    ) -> None:
        self._receiver = receiver
        self._limits = limits
        self._budget = budget
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = RequestParser(limits)
        self._transport: asyncio.Transport
        self._remote = ""
        self._state = HEAD
        self._request: RequestContext
        self._body = bytearray()  # what has come of it
        self._is_amid_body = False
        self._is_http_10 = False
        self._is_last = False  # whether the connection ends after the next answer
        self._lingers = False  # whether the caller may send on after the last answer
        self._has_ended = False  # whether the caller sends no more
        self._is_reading = True
        self._is_writable = True
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self.ended: asyncio.Future[None] = self._loop.create_future()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._remote = (transport.get_extra_info("peername") or ("",))[0]
        self._connections.add(self)
        self._enter(HEAD, self._limits.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        """Take what the caller sent."""
        self._parser.received += data
        self._advance()
        if len(data) >= _LONG_READ_BYTES and self._is_reading:
            self._toggle_reading()  # others' turn
            self._loop.call_soon(self._advance)

    def eof_received(self) -> bool:
        """Return whether to keep the connection open: requests that came whole are answered."""
        self._has_ended = True
        self._advance()
        return self._state is not CLOSED

    def pause_writing(self) -> None:
        """Begin no further request: the caller does not read its answers."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """Go on with the requests that wait."""
        self._is_writable = True
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Forget the connection; what is under way is finished for nobody."""
        self._close()
        self._connections.discard(self)
        self.ended.set_result(None)
        if self._timer:
            self._timer.cancel()

    def _advance(self) -> None:
        """Work on what was received, as far as that is possible now."""
        parser = self._parser
        while self._is_writable:
            if self._state is HEAD and parser.requests:
                self._begin()
            elif parser.received and self._state is not ANSWER and self._state is not CLOSED:
                self._parse()
            else:
                break
        if self._has_ended and self._state is not ANSWER and not self._has_work():
            self._end_early()
        elif self._is_reading is bool(parser.received):
            self._toggle_reading()

    def _has_work(self) -> bool:
        return bool(self._parser.received or self._parser.requests)

    def _toggle_reading(self) -> None:
        if self._state is CLOSED or self._has_ended:
            return
        self._is_reading = not self._is_reading
        if self._is_reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _parse(self) -> None:
        try:
            self._parser.parse()
        except Refused as error:
            self._reject(error)
            return
        if self._state is BODY:
            self._collect()
        elif self._state is DISCARD:
            self._discard()

    # The transitions.

    def _begin(self) -> None:
        """Leave HEAD: for ANSWER if the body is there, else for BODY."""
        message = self._parser.next_request()
        head = Head(message.method, message.path, message.headers, self._remote)
        self._request = request = RequestContext(head, Reservation(self._budget), self._answer)
        self._is_http_10 = message.version == HttpVersion10
        if message.should_close or message.upgrade:  # behind an upgrade the parser reads no more
            self._is_last = True
        part, is_over = self._parser.take_body()
        if is_over:
            self._hand_over(part)
            return
        self._is_amid_body = True
        self._enter(BODY, self._limits.body_timeout_s)
        try:
            self._receiver.admit(request)
            check_size(int(head.headers.get("content-length", 0)), self._limits.body_bytes)
        except Refused as error:
            self._refuse(error)
            return
        if head.headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._add(part)

    def _collect(self) -> None:
        """Take what has come of the body; leave BODY when that is all, or too much."""
        part, is_over = self._parser.take_body()
        self._is_amid_body = not is_over
        if self._add(part) and is_over:
            self._hand_over(bytes(self._body))

    def _add(self, part: bytes) -> bool:
        """Add a part of the body and return True; refuse the request if there is no room."""
        try:
            check_size(len(self._body) + len(part), self._limits.body_bytes)
            self._request.reservation.grow(len(part))
        except Refused as error:
            self._refuse(error)
            return False
        self._body += part
        return True

    def _hand_over(self, body: bytes) -> None:
        """Enter ANSWER: the body is whole."""
        self._state, self._deadline = ANSWER, math.inf
        self._body = bytearray()
        self._request.body = body
        self._receiver.handle(self._request)

    def _refuse(self, error: Refused) -> None:
        """Enter ANSWER, which is left at once: the rest of the body is not wanted."""
        self._state = ANSWER
        self._body = bytearray()
        self._receiver.refuse(self._request, error)

    def _answer(self, response: Response) -> None:
        """Leave ANSWER: for DISCARD amid a body, else for HEAD."""
        is_to_head = self._request.head.method == "HEAD"
        del self._request  # it refers to this connection, and would stay for the collector
        if self._state is CLOSED:
            return  # the caller has gone
        self._is_last = self._is_last or response.is_last
        connection = "close" if self._is_last else "keep-alive" if self._is_http_10 else ""
        now_s = int(time.time())
        encoded = http_response.encode(response, now_s, connection, is_to_head=is_to_head)
        self._transport.write(encoded)
        if self._is_amid_body:
            self._enter(DISCARD, _DISCARD_S)
        else:
            self._end_request()

    def _discard(self) -> None:
        """Drop what has come of a refused body; leave DISCARD when that is all."""
        _, is_over = self._parser.take_body()
        if is_over:
            self._is_amid_body = False
            self._end_request()

    def _end_request(self) -> None:
        """Enter HEAD, or CLOSED after the last answer."""
        if self._is_last:
            self._close()
            return
        self._enter(HEAD, self._limits.keepalive_s)
        if self._has_work() or self._has_ended:
            self._loop.call_soon(self._advance)

    def _reject(self, error: Refused) -> None:
        """Enter CLOSED: answer what has no end, unless its request was answered before."""
        self._is_amid_body, self._is_last = False, True
        if self._state is HEAD:
            self._begin_headless()
        if self._state is BODY or self._state is HEAD:
            self._lingers = not self._has_ended
            self._refuse(error)
        self._close()

    def _end_early(self) -> None:
        """Enter CLOSED: the caller sends no more, and no request waits."""
        if self._state is HEAD and self._parser.is_amid_head:
            self._reject(Refused(_ENDED))
        self._close()

    def _begin_headless(self) -> None:
        """Make a request of a head that will not end, for the receiver to refuse."""
        reservation = Reservation(self._budget)
        method = self._parser.method
        self._request = without_head(method, self._remote, reservation, self._answer)

    def _close(self, error: Refused | None = None) -> None:
        """Enter CLOSED, once all is written. A request under way gets no answer any more.

        Args:
            error: what the receiver hears of a head that has begun.
        """
        if self._state is CLOSED:
            return
        left, self._state = self._state, CLOSED
        if left is BODY:
            self._request.reservation.release()
            del self._request
        elif left is HEAD and self._parser.is_amid_head:
            self._begin_headless()
            self._receiver.refuse(self._request, error or Refused(_ENDED))
        self._body = bytearray()
        self._parser.clear()
        if self._lingers:
            linger(self._transport, self)
        else:
            self._transport.close()
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(_DISCARD_S, self._transport.abort)

    def close_after_answers(self) -> None:
        """Close the connection: at once if it is idle, else after the answer under way."""
        self._is_last = True
        if self._state is CLOSED:
            self._transport.close()  # a caller who goes on sending has no part in the shutdown
        elif self._state is HEAD and not self._has_work():
            self._close()

    def abort(self) -> None:
        """Close the connection, whatever is under way or still to be written."""
        self._close(ServiceUnavailable("the relay shuts down"))
        self._transport.abort()

    # What the transitions are made of.

    def _enter(self, state: State, limit_s: float) -> None:
        """Enter a state that may last so long."""
        self._state = state
        self._deadline = self._loop.time() + limit_s
        if self._deadline < self._timer_at:  # most often a timer is set for an earlier time
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer_at = self._deadline
        self._timer = self._loop.call_at(self._timer_at, self._expire)

    def _expire(self) -> None:
        self._timer, self._timer_at = None, math.inf
        if self._loop.time() < self._deadline:
            if self._deadline < math.inf:
                self._set_timer()
        elif self._state is BODY:
            limit_s = self._limits.body_timeout_s
            self._refuse(BodyTooSlow(f"the body did not arrive within {limit_s} s"))
        else:
            self._close(HeadTooSlow("the head did not arrive in time"))
