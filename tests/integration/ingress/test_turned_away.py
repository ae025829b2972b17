"""Callers beyond the limit of connections hear of it, and are no way around the limit."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from relay.ingress.http_server import Server
from relay.ingress.turned_away import MAX_LINGERING
from tests.integration.ingress.conftest import MAX_CONNECTIONS, Connect, Desk, chunked, whole
from tests.support.eventually import LIMIT_S, eventually

LARGE = 3_000_000


@pytest.fixture(autouse=True)
async def full(desk: Desk, connect: Connect) -> AsyncIterator[None]:
    """All connections that there may be are taken."""
    callers = [await connect() for _ in range(MAX_CONNECTIONS)]
    for caller in callers:
        caller.send(whole(b"a"))
    await eventually(lambda: len(desk.waiting) == MAX_CONNECTIONS)
    yield
    while desk.waiting:
        desk.answer()


@pytest.fixture
async def sockets() -> AsyncIterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def _call(runner: web.ServerRunner, sockets: contextlib.ExitStack) -> socket.socket:
    """Connect as the kernel alone does: the server has accepted nothing meanwhile."""
    caller = sockets.enter_context(socket.create_connection(runner.addresses[0]))
    caller.setblocking(False)
    return caller


async def _heard(caller: socket.socket) -> bytes:
    """Return all that comes until the other side ends it."""
    loop, heard = asyncio.get_running_loop(), b""
    async with asyncio.timeout(LIMIT_S):
        while part := await loop.sock_recv(caller, 65_536):
            heard += part
    return heard


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _is_told(answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: " in answer


@pytest.mark.parametrize(
    "sent",
    [b"", b"P", whole(b"x"), chunked(b"x"), whole(b"x" * 10_000), b"\x16\x03\x01", b"\0" * 9],
)
async def test_whoever_sent_before_it_was_accepted_hears_the_answer(
    runner: web.ServerRunner, sockets: contextlib.ExitStack, sent: bytes
) -> None:
    callers = [_call(runner, sockets) for _ in range(5)]
    for caller in callers:
        caller.send(sent)

    assert all([_is_told(await _heard(caller)) for caller in callers])


@pytest.mark.parametrize("request_", [whole(b"x" * LARGE), chunked(b"x" * LARGE)])
async def test_whoever_sends_all_of_a_large_body_first_hears_the_answer(
    runner: web.ServerRunner, sockets: contextlib.ExitStack, request_: bytes
) -> None:
    caller = _call(runner, sockets)

    await asyncio.get_running_loop().sock_sendall(caller, request_)

    assert _is_told(await _heard(caller))


async def test_whoever_sends_byte_by_byte_hears_the_answer_in_the_end(
    runner: web.ServerRunner, sockets: contextlib.ExitStack, server: Server
) -> None:
    caller = _call(runner, sockets)

    for byte in whole(b"slow"):
        await asyncio.get_running_loop().sock_sendall(caller, bytes([byte]))
        await asyncio.sleep(0)
    caller.shutdown(socket.SHUT_WR)
    await eventually(lambda: not server.turned_away)

    assert _is_told(await _heard(caller))


async def test_a_caller_who_never_stops_is_cut(
    runner: web.ServerRunner, sockets: contextlib.ExitStack
) -> None:
    caller = _call(runner, sockets)

    with pytest.raises(ConnectionError):
        await _send_for_ever(caller)


async def _send_for_ever(caller: socket.socket) -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            await asyncio.get_running_loop().sock_sendall(caller, b"x" * LARGE)


async def test_a_flood_of_callers_who_stay_leaves_few_open_and_each_new_one_hears(
    runner: web.ServerRunner, sockets: contextlib.ExitStack, server: Server
) -> None:
    files_before = _open_files()
    callers = 4 * MAX_LINGERING
    for _ in range(callers):
        _call(runner, sockets).send(whole(b"x"))
        await asyncio.sleep(0)
    await eventually(lambda: _open_files() <= files_before + callers + MAX_LINGERING)
    late = _call(runner, sockets)
    late.send(whole(b"x"))

    assert _is_told(await _heard(late))
    assert server.turned_away <= MAX_LINGERING


async def test_the_end_of_the_relay_does_not_wait_for_them(
    runner: web.ServerRunner, sockets: contextlib.ExitStack, server: Server, desk: Desk
) -> None:
    caller = _call(runner, sockets)
    await eventually(lambda: server.turned_away)
    while desk.waiting:
        desk.answer()

    async with asyncio.timeout(LIMIT_S):
        await runner.cleanup()
    await eventually(lambda: not server.turned_away)

    assert caller.fileno() >= 0
