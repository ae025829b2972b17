"""Bytes that are no HTTP, or a body without end: refused, and nothing of them is kept."""

import contextlib
import gc
import re

import pytest
from aiohttp.http_exceptions import HttpProcessingError

from relay.errors import Refused
from relay.ingress.limits import Limits
from relay.ingress.request_parser import RequestParser
from tests.integration.ingress.conftest import LIMIT_BYTES, Connect, Desk, chunked, whole


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
    await desk.answer_next()
    assert len(await other.body()) == 32 * 10_001


async def test_short_lines_that_speak_of_chunked_are_no_crumbs(
    desk: Desk, connect: Connect
) -> None:
    body = b"chunked\r\n" + b"short\r\n" * 1200
    caller = await connect()
    for headers in (b"", b"X-Note: not chunked\r\n"):
        caller.send(whole(body, headers))
        await desk.answer_next()

        assert await caller.body() == body


@pytest.mark.parametrize(
    "start",
    [b"zz\r\n\r\n", chunked(b"x")[:-7] + b"zz\r\n", whole(b"x", version=b"2.0"), b"\x16\x03\x01"],
)
async def test_of_a_bad_request_nothing_is_kept(start: bytes, connect: Connect, desk: Desk) -> None:
    """An error that refers to itself keeps what was read until the collector comes, which may
    be hundreds of megabytes later."""
    caller = await connect()
    gc.collect()
    gc.disable()
    try:
        caller.send(start)
        assert (await caller.rest()).startswith(b"HTTP/1.1 400 ")
        desk.refused.clear()
        errors = (HttpProcessingError, Refused)
        assert not [found for found in gc.get_objects() if isinstance(found, errors)]
    finally:
        gc.enable()


@pytest.mark.parametrize("framing", [b"1;", b"0"])
async def test_framing_without_end_is_cut(framing: bytes, desk: Desk, connect: Connect) -> None:
    head = b"POST /in/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    caller = await connect()
    caller.send(head, framing, b"0" * LIMIT_BYTES)

    with contextlib.suppress(ConnectionResetError):  # it may overtake the answer
        assert (await caller.rest()).startswith(b"HTTP/1.1 413 ")
    assert desk.waiting == []


async def test_large_bodies_one_after_the_other_are_no_body_without_end(
    desk: Desk, connect: Connect
) -> None:
    caller = await connect()
    body = b"a" * LIMIT_BYTES
    for _ in range(4):
        caller.send(chunked(body))
        await desk.answer_next()
        assert await caller.body() == body
    caller.send(whole(b"x"))
    await desk.answer_next()

    assert await caller.body() == b"x"


@pytest.mark.parametrize(
    "body", [b"\r\n" * 100_000, b"a" * 33_000, b"a" * 32_769, b"ab\r\n" * 9000]
)
@pytest.mark.parametrize("behind", [b"", whole(b"next"), whole(b"") * 2000])
async def test_of_a_body_of_known_length_all_that_came_is_parsed_at_once(
    body: bytes, behind: bytes
) -> None:
    limits = Limits(
        body_bytes=len(body), bodies_bytes=0, connections=1, head_timeout_s=1, body_timeout_s=1
    )
    parser = RequestParser(limits)
    parser.received = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    parser.parse()
    parser.next_request()
    parser.received = body + behind

    parser.parse()

    assert parser.received == behind
    assert not parser.requests
    assert parser.take_body() == (body, True)
