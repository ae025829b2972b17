"""Answers to HEAD have no body, and what follows them on the connection is framed as ever."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay import vendors
from tests.integration.conftest import Start, source
from tests.integration.ingress.conftest import Caller

TEXT = vendors.samples("swiftsell")[1].read_bytes()
TOKEN = "s3cret-token"
GET = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
FIELDS = b"Host: a\r\nAuthorization: %b\r\nContent-Length: %d\r\n" % (TOKEN.encode(), len(TEXT))
POST = b"POST /in/swiftsell HTTP/1.1\r\n" + FIELDS + b"\r\n" + TEXT


def head(path: bytes, fields: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"HEAD %b HTTP/%b\r\nHost: a\r\n%b\r\n" % (path, version, fields)


@pytest.fixture
async def caller(start: Start) -> AsyncIterator[Caller]:
    relay = await start(source("swiftsell", TOKEN), head_bytes=1000)
    caller = Caller(*await asyncio.open_connection("127.0.0.1", relay.port))
    yield caller
    caller.writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (head(b"/in/swiftsell"), 405),
        (head(b"http://relay.example/in/swiftsell"), 405),
        (head(b"/in/swiftsell", b"Content-Length: 3\r\n") + b"abc", 405),
        (head(b"/in/swiftsell", b"Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n0\r\n\r\n", 405),
        (head(b"/in/swiftsell", b"Upgrade: h2c\r\nConnection: keep-alive\r\n"), 405),
        (head(b"/in/nowhere"), 404),
        (head(b"/in/nowhere", b"Connection: keep-alive\r\n", version=b"1.0"), 404),
        (head(b"/"), 404),
    ],
)
async def test_an_answer_to_head_has_the_length_but_no_body(
    caller: Caller, sent: bytes, status: int
) -> None:
    caller.send(sent, GET, POST)

    answer = await caller.head_alone()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nContent-Type: application/problem+json\r\n" in answer
    assert (b"\r\nAllow: " in answer) is (status == 405)
    length = int(answer.partition(b"Content-Length: ")[2].partition(b"\r")[0])
    assert length > 50  # as of the body that GET gets
    assert b"unknown-source" in await caller.body()
    assert b"accepted" in await caller.body()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (head(b"/in/swiftsell", b"X: " + b"x" * 2000 + b"\r\n"), 431),
        (b"\r\n" + head(b"/in/swiftsell", b"Content-Type: a\r\nContent-Type: b\r\n"), 400),
        (head(b"/in/swiftsell", version=b"2.0"), 400),
        (head(b"/in/swiftsell", b"Connection: close\r\n"), 405),
    ],
)
async def test_so_has_the_last_one(caller: Caller, sent: bytes, status: int) -> None:
    caller.send(sent)

    answer = await caller.head_alone()

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert await caller.rest() == b""
