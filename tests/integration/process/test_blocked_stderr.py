"""Programs whose stderr is a full pipe that nobody reads, as a stuck log driver leaves it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from deploy.local.private_server import free_port
from tests.support.eventually import eventually


@pytest.fixture
def blocked() -> Iterator[int]:
    """A pipe that takes no more bytes."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"\n" * 4096)
    os.set_blocking(writing, True)
    yield writing
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_relay_answers_and_ends_though_nobody_reads_its_log(
    tmp_path: Path, blocked: int, workers: int
) -> None:
    port, admin_port = free_port(), free_port()
    config = tmp_path / "relay.toml"
    config.write_text(
        f'[ingress]\nhost = "127.0.0.1"\nport = {port}\nworkers = {workers}\n'
        f"[admin]\nport = {admin_port}\n"
        '[broker]\nurls = ["amqp://guest:guest@127.0.0.1:1/"]\n'
        f'[outbox]\ndirectory = "{tmp_path / "outbox"}"\n'
        '[sources.swiftsell]\nvendor = "swiftsell"\nsecrets = ["s3cret"]\n'
    )
    relay = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "serve", "--config", str(config)), stderr=blocked
    )
    try:
        async with aiohttp.ClientSession() as http:

            async def status(url: str) -> int:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(url, timeout=aiohttp.ClientTimeout(5)) as response:
                        return response.status
                return 0

            async def lives() -> bool:
                return await status(f"http://127.0.0.1:{admin_port}/livez") == 200

            async def refuses() -> bool:
                return await status(f"http://127.0.0.1:{port}/nowhere") == 404

            await eventually(lives)
            await eventually(refuses)
            for _ in range(300):  # each is a line
                assert await refuses()
            assert await lives()
        relay.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(relay.wait(), 15) == 0
    finally:
        if relay.returncode is None:
            relay.kill()
            await relay.wait()


async def test_a_program_that_fails_ends_with_its_status_though_nobody_reads_why(
    tmp_path: Path, blocked: int
) -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "serve", "--config", str(tmp_path / "missing.toml")),
        stderr=blocked,
    )
    try:
        assert await asyncio.wait_for(program.wait(), 15) == 2
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
