"""Each system as a process, from its start to the end of a block."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from deploy.local.private_server import free_port
from tests.bench.harness import workload
from tests.bench.harness.bench_harness import Candidate
from tests.bench.peers.systems import System
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess
from tests.support.servers.ports import is_taken

_STOP_LIMIT_S = 5.0
"""Some go on trying to deliver for a minute; whatever was to be counted is counted by then."""
_LOG_END_CHARS = 2_000


@contextlib.asynccontextmanager
async def started(
    system: System, *, url: str, exchange: str, directory: Path
) -> AsyncIterator[Candidate]:
    """Start a system that publishes to an exchange, which exists; yield once it takes requests.

    Raises:
        SystemExit: it ended instead; with the end of its log.
    """
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    if system.settings is None:
        run = _program(system, url=url, exchange=exchange, directory=directory)
    else:
        run = _relay(system, url=url, exchange=exchange, directory=directory)
    async with run as candidate:
        yield candidate


@contextlib.asynccontextmanager
async def _relay(
    system: System, *, url: str, exchange: str, directory: Path
) -> AsyncIterator[Candidate]:
    settings = {name: dict(values) for name, values in (system.settings or {}).items()}
    async with RelayProcess(
        directory, broker_url=url, exchange=exchange, vendors=workload.NAMES, **settings
    ) as relay:
        await eventually(lambda: _is_ready(relay))
        yield Candidate(name=system.name, pid=relay.process.pid, port=relay.port)


async def _is_ready(relay: RelayProcess) -> bool:
    return (await relay.readiness())[0] == 200


@contextlib.asynccontextmanager
async def _program(
    system: System, *, url: str, exchange: str, directory: Path
) -> AsyncIterator[Candidate]:
    port = free_port()
    log = directory / "output.log"
    command = _command(system, port=port, url=url, exchange=exchange, directory=directory)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        await eventually(lambda: _has_begun(process, port))
        if process.returncode is not None:
            end = (await asyncio.to_thread(log.read_text, errors="replace"))[-_LOG_END_CHARS:]
            raise SystemExit(f"{system.name} ended with {process.returncode}:\n{end}")
        yield Candidate(name=system.name, pid=process.pid, port=port)
    finally:
        await _end(process)


async def _has_begun(process: asyncio.subprocess.Process, port: int) -> bool:
    return process.returncode is not None or await is_taken(port)


def _command(
    system: System, *, port: int, url: str, exchange: str, directory: Path
) -> tuple[str, ...]:
    if system.program is None:
        module = "tests.bench.candidates.plain_relay"
        return (sys.executable, "-m", module, system.plain, str(port), url, exchange)
    file = directory / system.template.name
    file.write_text(
        system.configuration(port=port, url=url, exchange=exchange, directory=directory)
    )
    arguments = [each.format(configuration=file) for each in system.program.arguments]
    return (system.program.name, *arguments)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_LIMIT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
