"""A server whose receiver is a test, and callers whose bytes a test writes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from relay.errors import Refused
from relay.ingress import http_response
from relay.ingress.http_response import Response
from relay.ingress.http_server import Server
from relay.ingress.limits import Limits
from relay.ingress.request_context import RequestContext
from tests.support.eventually import LIMIT_S

MAX_CONNECTIONS = 3
LIMIT_BYTES = 1_000_000


@dataclass
class Desk:
    """A receiver whose answers a test gives when it likes; refusals are answered at once."""

    waiting: list[RequestContext] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def admit(self, _: RequestContext) -> None:
        pass

    def handle(self, request: RequestContext) -> None:
        self.waiting.append(request)
        self._came.set()

    def refuse(self, request: RequestContext, error: Refused) -> None:
        self.refused.append(error)
        request.reservation.release()
        request.reply(http_response.problem_response(error, request.id))

    def answer(self, **changes: bool) -> None:
        request = self.waiting.pop(0)
        request.reservation.release()
        request.reply(Response(request.body, **changes))

    async def answer_next(self, **changes: bool) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not self.waiting:
                self._came.clear()
                await self._came.wait()
        self.answer(**changes)


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

    async def head_alone(self) -> bytes:
        """Read an answer that has no body."""
        async with asyncio.timeout(LIMIT_S):
            return await self._reader.readuntil(b"\r\n\r\n")

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
def server(desk: Desk) -> Server:
    limits = Limits(
        body_bytes=LIMIT_BYTES,
        bodies_bytes=5 * LIMIT_BYTES,
        connections=MAX_CONNECTIONS,
        head_timeout_s=0.2,
        body_timeout_s=LIMIT_S,
        keepalive_s=0.2,
    )
    return Server(desk, limits)


@pytest.fixture
async def runner(server: Server) -> AsyncIterator[web.ServerRunner]:
    runner = server.runner(shutdown_timeout_s=LIMIT_S)
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
