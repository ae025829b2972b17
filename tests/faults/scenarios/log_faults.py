"""Nobody reads the relay's log for a while; no sender and no event may notice."""

import asyncio
import contextlib
import os

from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.scenarios.scenario import Scenario
from tests.support.eventually import eventually

_WAIT_LIMIT_S = 2.0
_READ_BYTES = 65_536
_AT_ONCE = 100  # requests in one write
_STRANGER = b"GET /nowhere HTTP/1.1\r\nHost: relay\r\n\r\n" * _AT_ONCE


class _LogPipe:
    """What the relay logs into: a pipe that is read or not."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self.read_bytes = 0

    def resume(self) -> None:
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def pause(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reading)

    def _read(self) -> None:
        self.read_bytes += len(os.read(self._reading, _READ_BYTES))

    async def close(self) -> None:
        self.pause()
        os.close(self._reading)
        os.close(self.writing)


async def _pipe(harness: FaultHarness) -> None:
    harness.log_pipe = _LogPipe()
    harness.log_pipe.resume()
    harness.on_exit(harness.log_pipe.close)
    harness.stderr = harness.log_pipe.writing


async def _dropped(harness: FaultHarness) -> float:
    return await harness.relay.metric("relay_log_lines_dropped_total")


async def _ask_for_nothing(port: int) -> None:
    """Have the relay log a line for each of very many requests, until cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        while True:
            writer.write(_STRANGER)
            for _ in range(_AT_ONCE):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                assert b" 404 " in head
                length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))


async def _block(harness: FaultHarness) -> None:
    """Read nothing until lines are dropped, and for a while; then read until new ones come."""
    before = await _dropped(harness)

    async def has_dropped() -> bool:
        return await _dropped(harness) > before

    harness.log_pipe.pause()
    asking = asyncio.create_task(_ask_for_nothing(harness.relay.port), name="stranger")
    try:
        await eventually(has_dropped, harness.size.settle_s)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await harness.hold()
    await harness.delivers()
    harness.log_pipe.resume()
    read_bytes = harness.log_pipe.read_bytes
    await eventually(lambda: harness.log_pipe.read_bytes > read_bytes)


SCENARIOS = [
    Scenario(
        name="stderr-blocked",
        strike=_block,
        prepare=_pipe,
        settings={"log": {"level": "info"}},
        must_accept_all=True,
        wait_limit_s=_WAIT_LIMIT_S,
    )
]
