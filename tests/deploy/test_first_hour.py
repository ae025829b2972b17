"""The README's first hour, typed word for word: in an empty folder, with nothing but the wheel."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from deploy.local.private_server import free_port
from relay.events.topology import Topology
from tests.deploy.test_package import UV, build, constraints_in, run
from tests.support.eventually import LIMIT_S, eventually

[BLOCK] = re.findall(r"(?s)## First hour\n.*?```sh\n(.*?)```", Path("README.md").read_text())
LINES = [line.partition(" # ")[0].strip() for line in BLOCK.splitlines()]
STAYING = [line.partition(" # ")[0].strip() for line in BLOCK.splitlines() if "# stays" in line]
[HOOK] = re.findall(r"--to (\S+)", BLOCK)


class FirstHour:
    """A folder, and terminals in it whose `relay` is the installed one."""

    def __init__(self, folder: Path, venv: Path, broker_url: str, exchange: str) -> None:
        kept = {"HOME", "LANG", "TMPDIR", "PIP_INDEX_URL"}
        self.folder = folder
        self._environment = {name: os.environ[name] for name in kept & set(os.environ)} | {
            "PATH": f"{venv}/bin:/usr/bin:/bin",
            "PIP_CONSTRAINT": str(folder.parent / "constraints.txt"),
            # Where the tests' RabbitMQ is, and ports that nobody else has.
            "RELAY_BROKER__URLS": broker_url,
            "RELAY_BROKER__EXCHANGE": exchange,
            "RELAY_INGRESS__PORT": str(free_port()),
            "RELAY_ADMIN__PORT": str(free_port()),
        }

    async def start(self, line: str) -> asyncio.subprocess.Process:
        """Type a line; what it says goes into a file."""
        with (self.folder.parent / f"{LINES.index(line)}.log").open("wb") as log:
            return await asyncio.create_subprocess_shell(
                line,
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def said(self, line: str) -> str:
        return (self.folder.parent / f"{LINES.index(line)}.log").read_text()

    async def type(self, line: str) -> None:
        """Type a line and wait for its end, which must be a good one."""
        process = await self.start(line)
        assert await asyncio.wait_for(process.wait(), 300) == 0, self.said(line)

    @contextlib.asynccontextmanager
    async def staying(self, line: str, until: str) -> AsyncIterator[None]:
        """Type a line that goes on, until it has said something; at the end press Ctrl-C."""
        process = await self.start(line)
        try:
            await eventually(lambda: until in self.said(line) or process.returncode is not None)
            assert process.returncode is None, self.said(line)
            yield
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGINT)
            await asyncio.wait_for(process.wait(), LIMIT_S)


@pytest.fixture
async def arrived() -> AsyncIterator[list[dict[str, object]]]:
    """What the reader's own service gets."""
    events: list[dict[str, object]] = []

    async def take(request: web.Request) -> web.Response:
        events.append(json.loads(await request.read()))
        return web.Response(status=204)

    address = urlsplit(HOOK)
    app = web.Application()
    app.router.add_post(address.path, take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.hostname, address.port).start()
    except OSError:
        await runner.cleanup()
        pytest.skip(f"port {address.port}, which the README names, is taken here")
    yield events
    await runner.cleanup()


@pytest.fixture
def hour(
    tmp_path: Path,
    broker_url: str,
    exchange: str,
    declared: Topology,  # noqa: ARG001  takes down what the relay declares
) -> FirstHour:
    """An empty folder, but for the wheel; what can't be fetched is not tested."""
    folder, venv = tmp_path / "empty", tmp_path / "venv"
    folder.mkdir()
    build(Path(), tmp_path / "dist", "--target", "wheel")
    [wheel] = (tmp_path / "dist").glob("*.whl")
    shutil.copy(wheel, folder)
    constraints = constraints_in(tmp_path)
    run([*UV, "venv", "--seed", "--python", sys.executable, str(venv)], tmp_path)
    # First as a person does not have to: it skips the test where there is no package index.
    into = [*UV, "pip", "install", "--python", str(venv / "bin/python")]
    run([*into, "--constraint", str(constraints), str(wheel)], tmp_path)
    run(
        [*UV, "pip", "uninstall", "--python", str(venv / "bin/python"), "chat-webhook-relay"],
        tmp_path,
    )
    return FirstHour(folder, venv, broker_url, exchange)


def test_two_lines_stay() -> None:
    assert [line.split()[1] for line in STAYING] == ["serve", "tail"]


async def test_the_first_hour_word_for_word(
    hour: FirstHour, arrived: list[dict[str, object]]
) -> None:
    install, init, check, serve, tail, send = LINES

    for line in (install, init, check):
        await hour.type(line)
    assert "round trip" in hour.said(check)
    assert "failed" not in hour.said(check)
    assert "https://HOST/in/acme-sales" in hour.said(init)
    async with hour.staying(serve, "broker connected"), hour.staying(tail, "Waiting for"):
        await hour.type(send)
        await eventually(lambda: arrived)
        await eventually(lambda: "204" in hour.said(tail))

    [event] = arrived
    assert event["source"] == "/swiftsell/acme-sales"
    assert str(event["type"]).startswith("message.created")
    (secret,) = (hour.folder / "secrets").iterdir()
    assert secret.stat().st_mode & 0o777 == 0o600
