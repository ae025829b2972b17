"""The console gives way to receivers on the same machine."""

import asyncio
import os
import sys
from pathlib import Path

from deploy.local.private_server import free_port
from tests.support.eventually import eventually
from tests.support.relay_process import NOWHERE
from tests.support.servers.console import SOURCE
from tests.support.servers.ports import is_taken


async def test_it_runs_at_a_lower_priority(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "relay.toml"
    config.write_text(f'[console]\nport = {port}\n[broker]\nurls = ["{NOWHERE}"]\n{SOURCE}')
    command = ("-m", "relay", "console", "--config", str(config))

    process = await asyncio.create_subprocess_exec(sys.executable, *command)
    await eventually(lambda: is_taken(port))
    priority = os.getpriority(os.PRIO_PROCESS, process.pid)
    process.terminate()

    assert await process.wait() == 0
    assert priority == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
