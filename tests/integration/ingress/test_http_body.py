"""A body whose caller goes away is nobody's bug, whenever that is noticed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from relay.ingress import http_body
from relay.ingress.http_response import Response
from relay.ingress.http_server import Head, Server
from tests.support.eventually import LIMIT_S, eventually

LIMIT = 1000
HEAD = b"POST /in/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = b"abc"


class Reader:
    """A receiver that reads bodies, and keeps what became of them."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.errors: list[Exception] = []

    def handle_buffered(self, *_: object) -> None:
        raise AssertionError("no body comes as a whole here")

    async def handle_streaming(self, _: Head, request: web.BaseRequest) -> Response:
        self.requests.append(request)
        with http_body.Reservation(http_body.MemoryBudget(LIMIT)) as share:
            try:
                return Response(
                    await http_body.read(request, share, limit=LIMIT, timeout_s=LIMIT_S)
                )
            except Exception as error:
                self.errors.append(error)
                raise

    @property
    def has_begun(self) -> bool:
        return bool(self.requests) and self.requests[0].content.total_bytes == len(PIECE)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
async def writer(reader: Reader) -> AsyncIterator[asyncio.StreamWriter]:
    """Return a connection over which a chunked body has begun."""
    server = Server(reader, body_limit_bytes=LIMIT, max_connections=1, head_timeout_s=LIMIT_S)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(HEAD + b"%x\r\n%b" % (len(PIECE), PIECE))
    await eventually(lambda: reader.has_begun)
    yield writer
    writer.close()
    await runner.cleanup()


async def test_a_caller_who_goes_amid_the_body(
    reader: Reader, writer: asyncio.StreamWriter
) -> None:
    writer.transport.abort()
    await eventually(lambda: reader.errors)

    assert isinstance(reader.errors[0], ConnectionError)


@pytest.mark.usefixtures("writer")
async def test_a_caller_who_goes_while_the_reader_is_woken(reader: Reader) -> None:
    """In one turn of uvloop: a chunk ends, which is no byte more to read, and the connection."""
    protocol = reader.requests[0].protocol

    protocol.data_received(b"\r\n")
    protocol.connection_lost(None)
    await eventually(lambda: reader.errors)

    assert isinstance(reader.errors[0], ConnectionError)
