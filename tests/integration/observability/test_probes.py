"""The admin port's actions over real sockets, whichever way their bodies come in."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import orjson
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from relay.observability import probes
from relay.process import listeners

HEAD = b"POST /act HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"


async def nothing() -> dict[str, object]:
    return {"ready": True}


async def echo(method: str, query: Mapping[str, str], document: object) -> object:
    return {"method": method, "query": dict(query), "document": document}


async def refresh() -> None:
    """There are no gauges."""


@pytest.fixture
async def port() -> AsyncIterator[int]:
    application = probes.application(
        readiness=nothing, refresh=refresh, registry=CollectorRegistry(), actions={"/act": echo}
    )
    runner = web.AppRunner(application)
    async with listeners.listening(runner, "127.0.0.1", 0, "admin"):
        yield runner.addresses[0][1]


async def post(port: int, *parts: bytes) -> tuple[bytes, object]:
    """Send parts one after the other, and return the status line and the JSON of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        for _ in range(20):  # the server reads it in one of these
            await asyncio.sleep(0)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], orjson.loads(body)


@pytest.mark.parametrize(
    "parts",
    [
        (b'{"a":1}',),
        (b"{", b'"a":1}'),
        (b'{"a"', b":1", b"}"),
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_body_is_read_to_its_end(port: int, parts: tuple[bytes, ...], framing: str) -> None:
    if framing == "chunks":
        head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        sent = [*[b"%x\r\n%b\r\n" % (len(part), part) for part in parts], b"0\r\n\r\n"]
    else:
        head = HEAD + b"Content-Length: %d\r\n\r\n" % sum(map(len, parts))
        sent = list(parts)

    status, answer = await post(port, head, *sent)

    assert status == b"HTTP/1.1 200 OK"
    assert answer == {"method": "POST", "query": {}, "document": {"a": 1}}


@pytest.mark.parametrize("size", [4097, 100_000])
async def test_a_body_that_is_too_long_is_refused(port: int, size: int) -> None:
    body = b'{"a":"%b"}' % (b"x" * (size - len(b'{"a":""}')))

    status, answer = await post(port, HEAD + b"Content-Length: %d\r\n\r\n" % size + body)

    assert status == b"HTTP/1.1 400 Bad Request"
    assert answer == {"type": "bad-request", "detail": "the body has more than 4096 bytes"}


async def test_a_body_of_the_largest_size_is_read(port: int) -> None:
    body = b'{"a":"%b"}' % (b"x" * (4096 - len(b'{"a":""}')))

    status, _ = await post(port, HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    assert status == b"HTTP/1.1 200 OK"
