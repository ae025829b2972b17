"""The units, by systemd's own tools, and what a process tells systemd, on a real socket."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.private_server import free_port
from relay.settings import IngressSettings
from tests.support.eventually import eventually
from tests.support.relay_process import NOWHERE, RelayProcess
from tests.support.service_process import service

UNITS = sorted(Path("deploy/systemd").glob("*.service"))
_LIMIT_S = 60

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd is not installed"
)
every_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )


@needs_systemd
@every_unit
def test_systemd_understands_the_unit(unit: Path, tmp_path: Path) -> None:
    name = unit.name.replace("@", "@archive")
    program = tmp_path / "program"  # it looks whether there is one
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / name).write_text(re.sub(r"/opt/relay/venv/bin/\w+", str(program), unit.read_text()))

    done = analyze("verify", "--recursive-errors=no", str(tmp_path / name))

    ours = [line for line in done.stderr.splitlines() if name in line]
    assert (done.returncode, ours) == (0, [])


@needs_systemd
@every_unit
def test_the_unit_may_do_little(unit: Path) -> None:
    done = analyze("security", "--offline=yes", "--threshold=15", str(unit.resolve()))

    assert done.returncode == 0, done.stdout


@every_unit
def test_the_unit_has_time_to_stop(unit: Path) -> None:
    (stop_s,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.MULTILINE)

    assert int(stop_s) > 2 * IngressSettings().shutdown_grace_s


class Manager:
    """What listens where systemd would."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.states: list[str] = []

    def heard(self, state: str) -> int:
        """Return how often it was told so."""
        while True:
            try:
                self.states.append(self._listening.recv(4096).decode())
            except BlockingIOError:
                return self.states.count(state)


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Manager]:
    is_abstract = request.param == "abstract"
    name = f"@relay-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listening:
        listening.bind(name.replace("@", "\0") if is_abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        yield Manager(listening)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_relay_says_that_it_is_ready_alive_and_stopping(
    workers: int, manager: Manager, tmp_path: Path, broker_url: str, exchange: str
) -> None:
    relay = RelayProcess(
        tmp_path, broker_url=broker_url, exchange=exchange, ingress={"workers": workers}
    )
    async with relay:
        assert manager.heard("READY=1") == 1
        before = manager.heard("WATCHDOG=1")
        await eventually(lambda: manager.heard("WATCHDOG=1") > before + 2)
        assert manager.heard("STOPPING=1") == 0

        assert await relay.stop() == 0

    assert manager.heard("STOPPING=1") == 1
    assert manager.states[0] == "READY=1"
    assert manager.states[-1] == "STOPPING=1"


async def test_a_relay_that_hangs_is_heard_of_no_more(
    manager: Manager, tmp_path: Path, broker_url: str, exchange: str
) -> None:
    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        await eventually(lambda: manager.heard("WATCHDOG=1"))

        relay.signal(signal.SIGSTOP)
        await eventually(lambda: is_stopped(relay.process.pid))
        heard = manager.heard("WATCHDOG=1")
        relay.signal(signal.SIGCONT)

        await eventually(lambda: manager.heard("WATCHDOG=1") > heard)


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")


async def test_a_console_says_so_too(manager: Manager, tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(
        f'[console]\nport = {free_port()}\n[broker]\nurls = ["{NOWHERE}"]\n'
        '[sources.swiftsell]\nvendor = "swiftsell"\nsecrets = ["unused"]\n'
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "console", "--config", str(config))
    )
    try:
        await eventually(lambda: manager.heard("WATCHDOG=1") > 2)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), _LIMIT_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert (manager.heard("READY=1"), manager.states[0]) == (1, "READY=1")
    assert manager.states[-1] == "STOPPING=1"


async def test_a_service_says_so_too(manager: Manager, tmp_path: Path, broker_url: str) -> None:
    async with service(tmp_path, "printing.py", broker_url) as (consumer, _):
        await eventually(lambda: manager.heard("WATCHDOG=1"))
        assert await consumer.end(signal.SIGTERM) == 0

    assert (manager.heard("READY=1"), manager.states[-1]) == (1, "STOPPING=1")


async def test_a_relay_serves_though_nobody_listens(
    tmp_path: Path, broker_url: str, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))

    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        assert relay.lines("service manager not notified")
        assert await relay.stop() == 0
