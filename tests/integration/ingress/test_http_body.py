"""A body whose caller goes away is nobody's bug, and gives back the memory it had reserved."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from relay.ingress.http_server import Server
from relay.ingress.limits import Limits
from relay.ingress.request_context import RequestContext
from tests.support.eventually import LIMIT_S, eventually

LIMIT = 1000
HEAD = b"POST /in/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = b"abc"


class Desk:
    """A receiver of bodies that do not come to their end."""

    def __init__(self) -> None:
        self.requests: list[RequestContext] = []

    def admit(self, request: RequestContext) -> None:
        self.requests.append(request)

    def handle(self, *_: object) -> None:
        raise AssertionError("no body comes to its end here")

    refuse = handle


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def server(desk: Desk) -> AsyncIterator[Server]:
    limits = Limits(
        body_bytes=LIMIT,
        bodies_bytes=LIMIT,
        connections=1,
        head_timeout_s=LIMIT_S,
        body_timeout_s=LIMIT_S,
    )
    return Server(desk, limits)


@pytest.fixture
async def writer(desk: Desk, server: Server) -> AsyncIterator[asyncio.StreamWriter]:
    """Return a connection over which a chunked body has begun."""
    runner = server.runner(shutdown_timeout_s=LIMIT_S)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(HEAD + b"%x\r\n%b" % (len(PIECE), PIECE))
    await eventually(lambda: desk.requests)
    yield writer
    writer.close()
    await runner.cleanup()


@pytest.mark.parametrize("half", [False, True], ids=["cut", "half-closed"])
async def test_a_caller_who_goes_amid_the_body_takes_no_memory_along(
    server: Server, writer: asyncio.StreamWriter, *, half: bool
) -> None:
    with pytest.raises(Exception, match="fill"):
        server.budget.take(LIMIT)

    if half:
        writer.write_eof()
    else:
        writer.transport.abort()
    await eventually(lambda: not server.connections)

    server.budget.take(LIMIT)
