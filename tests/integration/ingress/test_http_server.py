"""The short cut and aiohttp's own way take turns on one connection, and no caller can tell."""

import asyncio
import contextlib
import gc
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from relay.ingress.http_response import Response
from relay.ingress.http_server import Head, Server
from tests.support.eventually import LIMIT_S, eventually

_MOST = 3  # connections
_LIMIT_BYTES = 1_000_000


@dataclass
class Desk:
    """A receiver whose answers a test gives when it likes; its long way answers at once."""

    waiting: list[tuple[bytes, Callable[[Response], None]]] = field(default_factory=list)
    long_way: list[bytes] = field(default_factory=list)

    def handle_buffered(self, _: Head, body: bytes, reply: Callable[[Response], None]) -> None:
        self.waiting.append((body, reply))

    async def handle_streaming(self, _: Head, request: web.BaseRequest) -> Response:
        self.long_way.append(await request.read())
        return Response(self.long_way[-1])

    def answer(self, **changes: bool) -> None:
        body, reply = self.waiting.pop(0)
        reply(Response(body, **changes))


class Caller:
    """One connection, written and read by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, *requests: bytes) -> None:
        self.writer.write(b"".join(requests))

    async def body(self) -> bytes:
        """Read one answer."""
        async with asyncio.timeout(LIMIT_S):
            self.head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(self.head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            return await self._reader.readexactly(length)

    async def rest(self) -> bytes:
        async with asyncio.timeout(LIMIT_S):
            return await self._reader.read()


def whole(body: bytes, headers: bytes = b"", version: bytes = b"1.1") -> bytes:
    head = b"POST /in/a HTTP/%b\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n"
    return head % (version, len(body), headers) + body


def chunked(body: bytes) -> bytes:
    head = b"POST /in/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


@pytest.fixture
def desk() -> Desk:
    return Desk()


Connect = Callable[[], Awaitable[Caller]]


@pytest.fixture
async def runner(desk: Desk) -> AsyncIterator[web.ServerRunner]:
    server = Server(
        desk,
        body_limit_bytes=_LIMIT_BYTES,
        max_connections=_MOST,
        head_timeout_s=0.2,
        keepalive_s=0.2,
    )
    runner = web.ServerRunner(server, shutdown_timeout=LIMIT_S)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner
    await runner.cleanup()


@pytest.fixture
async def connect(runner: web.ServerRunner) -> AsyncIterator[Connect]:
    callers: list[Caller] = []

    async def connect() -> Caller:
        callers.append(Caller(*await asyncio.open_connection(*runner.addresses[0])))
        return callers[-1]

    yield connect
    for caller in callers:
        caller.writer.close()


async def test_a_request_sent_before_the_answer_to_the_last_waits_for_its_turn(
    desk: Desk, connect: Connect
) -> None:
    caller = await connect()
    caller.send(whole(b"first"))
    await eventually(lambda: desk.waiting)
    caller.send(whole(b"second"))
    other = await connect()
    other.send(whole(b"from another"))
    await eventually(lambda: len(desk.waiting) == 2)  # so the second would have been there, too

    bodies_before = [body for body, _ in desk.waiting]
    desk.answer()
    assert await caller.body() == b"first"
    await eventually(lambda: len(desk.waiting) == 2)
    desk.answer()
    desk.answer()

    assert bodies_before == [b"first", b"from another"]
    assert await caller.body() == b"second"
    assert await other.body() == b"from another"


async def test_requests_sent_together_are_answered_in_order(desk: Desk, connect: Connect) -> None:
    caller = await connect()

    caller.send(whole(b"1"), chunked(b"2"), whole(b"3"))

    assert [await caller.body() for _ in range(3)] == [b"1", b"2", b"3"]
    assert desk.long_way == [b"1", b"2", b"3"]


async def test_after_aiohttps_way_the_next_request_takes_the_short_cut(
    desk: Desk, connect: Connect
) -> None:
    caller = await connect()
    for body in (b"1", b"2"):
        caller.send(chunked(body))
        assert await caller.body() == body

        caller.send(whole(b"short " + body))
        await eventually(lambda: desk.waiting)
        desk.answer()
        assert await caller.body() == b"short " + body

    assert desk.long_way == [b"1", b"2"]


@pytest.mark.parametrize(
    "request_",
    [
        chunked(b"x"),
        whole(b"x", version=b"1.0"),
        whole(b"x", b"Content-Encoding: gzip\r\n"),
        whole(b"x" * 65_537),
    ],
)
async def test_what_needs_more_than_a_look_goes_aiohttps_way(
    desk: Desk, connect: Connect, request_: bytes
) -> None:
    caller = await connect()

    caller.send(request_)
    await caller.body()

    assert len(desk.long_way) == 1


async def test_a_body_that_comes_later_goes_aiohttps_way(desk: Desk, connect: Connect) -> None:
    caller = await connect()
    request = whole(b"body")
    caller.send(request[:-4])
    await caller.writer.drain()
    other = await connect()
    other.send(whole(b"x"))
    await eventually(lambda: desk.waiting)  # so the head of the first has been read

    caller.send(request[-4:])

    assert await caller.body() == b"body"
    assert desk.long_way == [b"body"]
    desk.answer()


@pytest.mark.parametrize(("headers", "is_last"), [(b"Connection: close\r\n", False), (b"", True)])
async def test_the_last_answer_closes_the_connection(
    desk: Desk, connect: Connect, headers: bytes, *, is_last: bool
) -> None:
    caller = await connect()
    caller.send(whole(b"x", headers))
    await eventually(lambda: desk.waiting)

    desk.answer(is_last=is_last)

    assert await caller.body() == b"x"
    assert b"Connection: close" in caller.head
    assert await caller.rest() == b""


async def test_an_answer_to_a_caller_who_has_gone_is_dropped(desk: Desk, connect: Connect) -> None:
    caller = await connect()
    caller.send(whole(b"x"))
    await eventually(lambda: desk.waiting)
    caller.writer.transport.abort()
    other = await connect()
    other.send(whole(b"y"))
    await eventually(lambda: len(desk.waiting) == 2)

    desk.answer()
    desk.answer()

    assert await other.body() == b"y"


async def test_an_idle_connection_is_closed_but_not_one_that_waits_for_an_answer(
    desk: Desk, connect: Connect
) -> None:
    idle, busy = await connect(), await connect()
    busy.send(whole(b"x"))
    await eventually(lambda: desk.waiting)

    assert await idle.rest() == b""
    desk.answer()

    assert await busy.body() == b"x"
    assert await busy.rest() == b""


async def test_shutdown_waits_for_the_answer_under_way(
    desk: Desk, connect: Connect, runner: web.ServerRunner
) -> None:
    caller = await connect()
    caller.send(whole(b"x"))
    await eventually(lambda: desk.waiting)

    assert runner.server
    (connection,) = runner.server.connections
    ending = asyncio.create_task(runner.cleanup())
    await eventually(lambda: connection._force_close)
    desk.answer()

    assert await caller.body() == b"x"
    assert b"Connection: close" in caller.head
    await ending


@pytest.mark.parametrize("sent", [b"", b"POST /in/a HTTP/1.1\r\nHost: "], ids=["none", "part"])
async def test_a_connection_without_a_whole_head_is_closed(sent: bytes, connect: Connect) -> None:
    caller = await connect()
    caller.send(sent)

    assert await caller.rest() == b""


async def test_a_connection_too_many_is_told_and_closed(desk: Desk, connect: Connect) -> None:
    callers = [await connect() for _ in range(_MOST)]
    for it in callers:
        it.send(whole(b"a"))
    await eventually(lambda: len(desk.waiting) == _MOST)

    told = await (await connect()).rest()
    for it in callers:
        desk.answer(is_last=True)
        await it.rest()
    later = await connect()
    later.send(whole(b"later"))
    await eventually(lambda: desk.waiting)
    desk.answer()

    assert told.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in told
    assert await later.body() == b"later"


@pytest.mark.parametrize("version", [b"0.9", b"2.0", b"9.9"])
async def test_another_version_of_http_is_a_bad_request(version: bytes, connect: Connect) -> None:
    caller = await connect()
    caller.send(whole(b"a", version=version))

    answer = await caller.rest()
    assert re.match(rb"HTTP/1\.[01] 400 ", answer), answer


async def test_a_chunked_body_in_crumbs_is_a_bad_request(desk: Desk, connect: Connect) -> None:
    head = b"POST /in/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
    caller, other = await connect(), await connect()
    caller.send(head, b"1\r\na\r\n" * 10_000)
    other.send(head, b"20\r\n%b\r\n" % (b"\r\n" * 16))
    other.send(b"20\r\n%b\r\n" % (b"a" * 32) * 10_000, b"0\r\n\r\n")

    assert (await caller.rest()).startswith(b"HTTP/1.1 400 ")
    assert len(await other.body()) == 32 * 10_001
    assert len(desk.long_way) == 1


@pytest.mark.parametrize("start", [b"zz\r\n\r\n", chunked(b"x")[:-7] + b"zz\r\n"])
async def test_of_a_bad_request_nothing_is_kept(start: bytes, connect: Connect) -> None:
    """An error that refers to itself keeps what was read until the collector comes, which may
    be hundreds of megabytes later."""
    caller = await connect()
    gc.collect()
    gc.disable()
    try:
        caller.send(start)
        assert (await caller.rest()).startswith(b"HTTP/1.1 400 ")
        assert not [it for it in gc.get_objects() if isinstance(it, HttpProcessingError)]
    finally:
        gc.enable()


@pytest.mark.parametrize("framing", [b"1;", b"0"])
async def test_framing_without_end_is_cut(framing: bytes, desk: Desk, connect: Connect) -> None:
    head = b"POST /in/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    caller = await connect()
    caller.send(head, framing, b"0" * _LIMIT_BYTES)

    with contextlib.suppress(ConnectionResetError):  # it may overtake the answer
        assert (await caller.rest()).startswith(b"HTTP/1.1 413 ")
    assert desk.long_way == []


async def test_large_bodies_one_after_the_other_are_no_body_without_end(
    desk: Desk, connect: Connect
) -> None:
    caller = await connect()
    body = b"a" * _LIMIT_BYTES
    for _ in range(4):
        caller.send(chunked(body))
        assert await caller.body() == body
    caller.send(whole(b"x"))
    await eventually(lambda: desk.waiting)
    desk.answer()

    assert await caller.body() == b"x"
