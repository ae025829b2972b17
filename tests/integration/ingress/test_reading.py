"""How much is read from one caller before the others have their turn."""

import asyncio
import socket
import threading
from collections.abc import Callable

import pytest
import uvloop

from relay.ingress.connection import Connection
from relay.ingress.http_body import MemoryBudget
from relay.ingress.limits import Limits
from tests.integration.ingress.conftest import Desk, chunked, whole
from tests.support.eventually import eventually

MIB = 1 << 20
MAX_READ_BYTES = 256 * 1024
"""What uvloop reads at once."""
LIMITS = Limits(
    body_bytes=64 * MIB,
    bodies_bytes=64 * MIB,
    connections=9,
    head_timeout_s=30,
    body_timeout_s=30,
)


class _Turns:
    """Counts what is received in each iteration of the event loop."""

    def __init__(self) -> None:
        self.longest_bytes = 0
        self._bytes = 0

    def add(self, size_bytes: int) -> None:
        if not self._bytes:
            asyncio.get_running_loop().call_soon(self._end)
        self._bytes += size_bytes
        self.longest_bytes = max(self.longest_bytes, self._bytes)

    def _end(self) -> None:
        self._bytes = 0


async def _receive(request: bytes) -> tuple[int, int]:
    """Receive a request from a caller who sends it as fast as it can.

    Returns:
        The size of its body, and how much was read of it at most in one iteration.
    """
    desk, turns = Desk(), _Turns()
    connections: set[Connection] = set()

    class Counted(Connection):
        def data_received(self, data: bytes) -> None:
            turns.add(len(data))
            super().data_received(data)

    def connection() -> Connection:
        return Counted(desk, LIMITS, MemoryBudget(LIMITS.bodies_bytes), connections)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as caller:
        sending = threading.Thread(target=caller.sendall, args=[request])
        sending.start()
        await eventually(lambda: desk.waiting)
        await asyncio.to_thread(sending.join)
    server.close()
    for each in list(connections):
        each.abort()
        await each.ended
    return len(desk.waiting[0].body), turns.longest_bytes


@pytest.mark.parametrize("size", [300_000, 5 * MIB, 40 * MIB])
@pytest.mark.parametrize("framed", [whole, chunked])
def test_a_large_body_is_read_in_parts_between_which_others_have_their_turn(
    size: int, framed: Callable[[bytes], bytes]
) -> None:
    received, longest = uvloop.run(_receive(framed(b"a" * size)))

    assert received == size
    assert longest <= MAX_READ_BYTES
