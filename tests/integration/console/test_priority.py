"""The console gives way to receivers on the same machine."""

import asyncio
import os
import platform
import sys
from pathlib import Path

import pytest

from deploy.local.private_server import free_port
from tests.integration.console import sandboxed
from tests.support.eventually import eventually
from tests.support.relay_process import NOWHERE
from tests.support.servers.console import SOURCE
from tests.support.servers.ports import is_taken

LOWER = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)


def threads_of(pid: int) -> list[int]:
    return [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]


async def scheduling(directory: Path, module: str) -> tuple[int, list[int]]:
    """Run a console, and return its priority and how each of its threads is scheduled."""
    port = free_port()
    config = directory / "relay.toml"
    config.write_text(f'[console]\nport = {port}\n[broker]\nurls = ["{NOWHERE}"]\n{SOURCE}')
    command = ("-m", module, "console", "--config", str(config))
    process = await asyncio.create_subprocess_exec(sys.executable, *command)
    await eventually(lambda: is_taken(port))
    priority = os.getpriority(os.PRIO_PROCESS, process.pid)
    policies = [*map(os.sched_getscheduler, threads_of(process.pid))]
    process.terminate()
    assert await process.wait() == 0
    return priority, policies


async def test_it_runs_at_a_lower_priority_and_interrupts_nobody(tmp_path: Path) -> None:
    priority, policies = await scheduling(tmp_path, "relay")

    assert priority == LOWER
    assert set(policies) == {os.SCHED_BATCH}


@pytest.mark.skipif(
    platform.machine() not in sandboxed.NUMBERS,
    reason="The number of the system call is not known on this machine.",
)
async def test_it_runs_where_that_is_refused(tmp_path: Path) -> None:
    priority, policies = await scheduling(tmp_path, sandboxed.__name__)

    assert priority == LOWER
    assert set(policies) == {os.SCHED_OTHER}
