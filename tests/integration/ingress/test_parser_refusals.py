"""What the HTTP parser refuses is answered, counted and logged like any other request."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from relay import vendors
from tests.integration.conftest import Running, Start, problem, source
from tests.integration.ingress.conftest import Caller
from tests.support.eventually import eventually

TEXT = vendors.samples("swiftsell")[1].read_bytes()
TOKEN = "s3cret-token"
LINE = b"POST /in/swiftsell HTTP/1.1\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(TEXT)
HEAD = LINE + b"Host: a\r\nAuthorization: " + TOKEN.encode() + b"\r\n" + LENGTH
SECRET = b"a-secret-value"
CLIENT_HELLO = bytes.fromhex("160301020001 0001fc0303") + bytes(range(256)) * 2
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs() as lines:
        yield lines


Call = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    """Connect to a relay and send it parts, one after the other."""
    callers: list[Caller] = []

    async def call(relay: Running, *parts: bytes) -> Caller:
        caller = Caller(*await asyncio.open_connection("127.0.0.1", relay.port))
        callers.append(caller)
        for part in parts:
            caller.send(part)
            await caller.writer.drain()
        return caller

    yield call
    for caller in callers:
        caller.writer.close()


def padded(length: int, head: bytes = HEAD) -> bytes:
    """Return a request whose head has that length."""
    missing = length - len(head) - len(b"X-Pad: \r\n\r\n")
    return head + b"X-Pad: " + b"x" * missing + b"\r\n\r\n" + TEXT


def many(fields: int) -> bytes:
    """Return a request with so many fields."""
    more = [
        b"X-%d: %d\r\n" % (number, number) for number in range(fields - HEAD.count(b"\r\n") + 1)
    ]
    return HEAD + b"".join(more) + b"\r\n" + TEXT


def the_line(lines: Lines) -> MutableMapping[str, Any]:
    (line,) = [line for line in lines if line["event"] == "delivery"]
    return line


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (HEAD + b"Content-Type: a/b\r\nContent-Type: " + SECRET, "the field Content-Type twice"),
        (HEAD + LENGTH + b"X: " + SECRET, "is no HTTP"),
        (LINE + b"Host: a\r\nHost: " + SECRET + b"\r\nX: y", "twice"),
        (LINE + b"X: " + SECRET, "is no HTTP"),  # no Host
        (HEAD + b"X: \x00" + SECRET, "is no HTTP"),
        (HEAD + b"X " + SECRET, "is no HTTP"),
        (LINE.replace(b"1.1", b"2.0") + b"Host: " + SECRET, "neither HTTP/1.0 nor HTTP/1.1"),
        (b"post-" + SECRET, "is no HTTP"),
        (b"\r\n\r\n<xml>" + SECRET, "is no HTTP"),
        (b"\x00\x01\x02\x03", "is no HTTP"),
        (CLIENT_HELLO, "TLS"),
        (b"PRI * HTTP/2.0\r\n\r\nSM", "HTTP/2"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2", "PROXY protocol"),
        (PROXY_V2 + HEAD, "PROXY protocol"),
    ],
)
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["", "second"])
async def test_what_is_no_http_is_a_400(
    start: Start, call: Call, lines: Lines, *, before: bytes, sent: bytes, reason: str
) -> None:
    relay = await start(source("swiftsell", TOKEN))
    caller = await call(relay)
    if before:
        caller.send(before)
        await caller.body()
        lines.clear()

    caller.send(sent, b"\r\n\r\n")
    body = await caller.body()

    line = the_line(lines)
    assert caller.head.startswith(b"HTTP/1.1 400 ")
    assert b"Content-Type: application/problem+json\r\n" in caller.head
    assert await caller.rest() == b""
    assert (line["source"], line["status"], line["client"]) == ("unknown", 400, "127.0.0.1")
    assert reason in line["reason"]
    assert line["request_id"] == problem(body)["request_id"]
    assert relay.counted("relay_requests_total", source="unknown", status="400") == 1
    assert SECRET.decode() not in str(lines)


@pytest.mark.parametrize(
    "sent",
    [
        padded(32_768),
        padded(8200, HEAD + b"Cookie: "),
        HEAD + b"X: " + b"x" * 8200 + b"\r\n\r\n" + TEXT,
        LINE.replace(b" HTTP", b"?" + b"q" * 8200 + b" HTTP") + HEAD[len(LINE) :] + b"\r\n" + TEXT,
        many(140),
        many(200),
    ],
    ids=["32 KiB", "cookie", "a field", "the request line", "140 fields", "200 fields"],
)
@pytest.mark.parametrize("reads", [1, 2])
async def test_a_head_within_the_limits_is_accepted(
    start: Start, call: Call, sent: bytes, reads: int
) -> None:
    relay = await start(source("swiftsell", TOKEN))
    caller = await call(relay)
    for _ in range(2):
        for part in (sent,) if reads == 1 else (sent[:200], sent[200:]):
            caller.send(part)
            await caller.writer.drain()
        await caller.body()

        assert caller.head.startswith(b"HTTP/1.1 200 "), caller.head


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (padded(32_769), "more than 32768 bytes"),
        (padded(100_000), "more than 32768 bytes"),
        (padded(40_000, HEAD + b"Y: " + b"y" * 20_000 + b"\r\n"), "more than 32768 bytes"),
        (LINE.replace(b" HTTP", b"?" + b"q" * 40_000 + b" HTTP") + HEAD[len(LINE) :], "bytes"),
        (HEAD + b"X" * 40_000, "more than 32768 bytes"),  # without end
        (HEAD + b"X: y\r\n" * 190 + b"Y: " + b" " * 90_000, "more than 32768 bytes"),
        (many(201), "more than 200 fields"),
        (many(2000), "more than 200 fields"),
    ],
)
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["", "second"])
async def test_a_head_beyond_the_limits_is_a_431(
    start: Start, call: Call, lines: Lines, *, before: bytes, sent: bytes, reason: str
) -> None:
    relay = await start(source("swiftsell", TOKEN))
    caller = await call(relay)
    if before:
        caller.send(before)
        await caller.body()
        lines.clear()

    caller.send(sent)
    body = await caller.body()

    assert caller.head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert problem(body)["type"] == "head-too-large"
    line = the_line(lines)
    assert (line["source"], line["status"]) == ("unknown", 431)
    assert reason in line["reason"]
    assert relay.counted("relay_requests_total", source="unknown", status="431") == 1


async def test_the_limits_of_a_head_are_settings(start: Start, call: Call) -> None:
    relay = await start(source("swiftsell", TOKEN), head_bytes=1000, head_fields=10)
    heads = []
    for sent in (padded(1000), padded(1001), many(10), many(11)):
        caller = await call(relay, sent)
        await caller.body()
        heads.append(caller.head[9:12])

    assert heads == [b"200", b"431", b"200", b"431"]


async def test_pipelined_heads_are_measured_one_by_one(start: Start, call: Call) -> None:
    relay = await start(source("swiftsell", TOKEN), head_bytes=1000)
    caller = await call(relay, padded(900) * 100)

    for _ in range(100):
        await caller.body()
        assert caller.head.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"P", b"POST /in/swift", HEAD, b"\r\n" + LINE])
@pytest.mark.parametrize("end", ["half-closed", "cut", "silent"])
async def test_a_head_without_an_end_is_counted_and_logged(
    start: Start, call: Call, lines: Lines, sent: bytes, end: str
) -> None:
    relay = await start(source("swiftsell", TOKEN), head_timeout_s=0.2)
    status = 408 if end == "silent" else 400
    caller = await call(relay, sent)
    if end == "half-closed":
        caller.writer.write_eof()
    elif end == "cut":
        caller.writer.close()

    def is_counted() -> bool:
        return relay.counted("relay_requests_total", source="unknown", status=str(status)) == 1

    await eventually(is_counted)
    assert (the_line(lines)["source"], the_line(lines)["status"]) == ("unknown", status)
    assert TOKEN not in str(lines)


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"\r\n\r\n\n"])
@pytest.mark.parametrize("end", ["half-closed", "cut", "silent"])
async def test_a_connection_that_asks_nothing_is_neither_counted_nor_logged(
    start: Start, call: Call, lines: Lines, sent: bytes, end: str
) -> None:
    """Balancers open such connections to see whether somebody listens."""
    relay = await start(source("swiftsell", TOKEN), head_timeout_s=0.2)
    caller = await call(relay, sent)
    if end == "half-closed":
        caller.writer.write_eof()
    elif end == "cut":
        caller.writer.close()
    else:
        assert await caller.rest() == b""
    await (await call(relay, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).body()

    assert the_line(lines)["status"] == 404


async def test_lines_behind_a_body_are_no_request(start: Start, call: Call, lines: Lines) -> None:
    relay = await start(source("swiftsell", TOKEN))
    caller = await call(relay, padded(500), b"\r\n\r\n")
    await caller.body()
    caller.writer.write_eof()

    assert await caller.rest() == b""
    assert the_line(lines)["status"] == 200


async def test_a_caller_who_sends_on_gets_its_answer(start: Start, call: Call) -> None:
    """Unread bytes would make the system reset the connection, and the answer with it."""
    relay = await start(source("swiftsell", TOKEN))
    caller = await call(relay)
    with contextlib.suppress(ConnectionError):
        for _ in range(50):
            caller.send(b"X" * 100_000)
            await caller.writer.drain()

    await caller.body()
    assert caller.head.startswith(b"HTTP/1.1 400 ")
