"""One connection at a time: its requests in order, its limits, its end."""

import asyncio

import pytest
from aiohttp import web

from relay.ingress.http_server import Server
from tests.integration.ingress.conftest import (
    MAX_CONNECTIONS,
    Connect,
    Desk,
    chunked,
    whole,
)
from tests.support.eventually import eventually


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

    bodies_before = [request.body for request in desk.waiting]
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
    for _ in range(3):
        await desk.answer_next()

    assert [await caller.body() for _ in range(3)] == [b"1", b"2", b"3"]


async def test_a_thousand_requests_sent_together_are_all_answered(
    desk: Desk, connect: Connect
) -> None:
    caller = await connect()
    bodies = [b"%d" % number for number in range(1000)]

    caller.send(*map(whole, bodies))
    for _ in bodies:
        await desk.answer_next()

    assert [await caller.body() for _ in bodies] == bodies


@pytest.mark.parametrize(
    "request_",
    [
        whole(b"x"),
        chunked(b"x"),
        whole(b"x" * 65_537),
        whole(b"x", version=b"1.0"),
        whole(b"x", b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
        whole(b"x", b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
    ],
)
@pytest.mark.parametrize("reads", [1, 2])
async def test_a_body_is_handed_over_whole_however_it_comes(
    desk: Desk, connect: Connect, request_: bytes, reads: int
) -> None:
    caller = await connect()
    if reads > 1:
        caller.send(request_[:-3])
        await caller.writer.drain()
        other = await connect()
        other.send(whole(b"x"))
        await desk.answer_next()  # so the head of the first has been read
        request_ = request_[-3:]

    caller.send(request_)
    await desk.answer_next()

    assert set(await caller.body()) == {ord("x")}


async def test_a_caller_of_http_10_is_told_that_its_connection_stays(
    desk: Desk, connect: Connect
) -> None:
    caller = await connect()
    for _ in range(2):
        caller.send(whole(b"x", b"Connection: keep-alive\r\n", version=b"1.0"))
        await desk.answer_next()

        assert await caller.body() == b"x"
        assert b"Connection: keep-alive" in caller.head


async def test_a_caller_who_sends_no_more_gets_all_its_answers(
    desk: Desk, connect: Connect
) -> None:
    caller = await connect()
    caller.send(whole(b"1"), whole(b"2"), chunked(b"3"))
    caller.writer.write_eof()
    for _ in range(3):
        await desk.answer_next()

    assert [await caller.body() for _ in range(3)] == [b"1", b"2", b"3"]
    assert await caller.rest() == b""


async def test_of_a_caller_who_reads_no_answers_no_request_is_begun(
    desk: Desk, connect: Connect, server: Server
) -> None:
    caller = await connect()
    await eventually(lambda: server.connections)
    (connection,) = server.connections
    connection.pause_writing()
    caller.send(whole(b"1"), chunked(b"2"))
    other = await connect()
    other.send(whole(b"from another"))
    await desk.answer_next()
    assert await other.body() == b"from another"

    connection.resume_writing()
    for _ in range(2):
        await desk.answer_next()

    assert [await caller.body() for _ in range(2)] == [b"1", b"2"]


@pytest.mark.parametrize(("headers", "is_last"), [(b"Connection: close\r\n", False), (b"", True)])
async def test_the_last_answer_closes_the_connection(
    desk: Desk, connect: Connect, headers: bytes, *, is_last: bool
) -> None:
    caller = await connect()
    caller.send(whole(b"x", headers))
    await desk.answer_next(is_last=is_last)

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
    desk: Desk, connect: Connect, server: Server, runner: web.ServerRunner
) -> None:
    caller, idle = await connect(), await connect()
    caller.send(whole(b"x"))
    await eventually(lambda: desk.waiting)

    ending = asyncio.create_task(runner.cleanup())
    assert await idle.rest() == b""
    assert len(server.connections) == 1
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
    callers = [await connect() for _ in range(MAX_CONNECTIONS)]
    for caller in callers:
        caller.send(whole(b"a"))
    await eventually(lambda: len(desk.waiting) == MAX_CONNECTIONS)

    told = await (await connect()).rest()
    for caller in callers:
        desk.answer(is_last=True)
        await caller.rest()
    later = await connect()
    later.send(whole(b"later"))
    await eventually(lambda: desk.waiting)
    desk.answer()

    assert told.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in told
    assert await later.body() == b"later"
