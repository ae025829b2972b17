"""`relay top`: once in a pipe, and live on a terminal of 80 columns."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from deploy.local.broker import PrivateBroker
from relay.events.topology import Topology, quarantine_exchange
from tests.support.eventually import LIMIT_S, eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import NOWHERE, SECRET, RelayProcess, numbered, post_all

COLUMNS = 80
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def watching(folder: Path, relay: RelayProcess, **console: object) -> RelayCommand:
    """Write settings that watch a relay, which has found its port by now."""
    known = relay.sections | {"console": {"receivers": [relay.admin_url], **console}}
    folder.mkdir()
    RelayProcess(folder, broker_url=NOWHERE).write_config(known)
    return RelayCommand(folder / "relay.toml")


async def once(command: RelayCommand, *options: str) -> str:
    """Run it in a pipe as wide as a small terminal."""
    process = await command.start("top", *options)
    out, err = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert (process.returncode, err) == (0, b"")
    text = out.decode()
    assert max(map(len, text.splitlines())) <= COLUMNS
    return text


class Terminal:
    """`relay top` on a terminal; `drawn` is all since the last look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.drawn = ""

    async def start(self) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay", "top"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ
            | {"TERM": "xterm-256color", "RELAY_CONFIG": str(self._folder / "relay.toml")},
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._ours, 65_536)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._ours)
        self.drawn += _CONTROL.sub("", data.decode(errors="replace"))

    @property
    def screen(self) -> str:
        """What was drawn, without the breaks of its lines."""
        return " ".join(self.drawn.split())

    async def shows(self, *texts: str) -> None:
        """Wait until all of these were drawn, from now on."""
        self.drawn = ""
        await eventually(lambda: all(text in self.screen for text in texts))

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = await asyncio.wait_for(self.process.wait(), LIMIT_S)
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        return code


@pytest.fixture
async def relay(
    tmp_path: Path,
    broker_url: str,
    exchange: str,
    declared: Topology,  # noqa: ARG001  takes the exchanges down
) -> AsyncIterator[RelayProcess]:
    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        await eventually(lambda: relay.lines("broker connected"))
        yield relay


async def test_once_it_prints_what_the_console_shows_and_ends(
    relay: RelayProcess, tmp_path: Path, exchange: str
) -> None:
    await post_all(relay.url, numbered(3))
    async with aiohttp.ClientSession() as http:
        token = {"Authorization": SECRET}
        await http.post(f"{relay.url}/in/swiftsell", data=b"no JSON", headers=token)
        for _ in range(2):
            await http.post(f"{relay.url}/in/swiftsell", data=b"{}")
    await eventually(relay.is_drained)
    command = watching(tmp_path / "top", relay)

    text = await once(command, "--once")

    assert text.startswith("Accepting. 1 of 1 receivers ready. RabbitMQ connected. 0 waiting.")
    assert f"{relay.admin_url.removeprefix('http://')}  ready  connected" in text
    assert re.search(r"swiftsell  \d+ s ago +4  2 refused, 1 quarantined", text)
    assert re.search(rf"{quarantine_exchange(exchange)} +1\n", text)
    assert SECRET not in text


@pytest.mark.parametrize("options", [(), ("--once",)])
async def test_without_receivers_and_rabbitmq_it_says_so(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    RelayProcess(
        tmp_path,
        broker_url=NOWHERE,
        console={"receivers": ["http://127.0.0.1:1", "dns://nowhere.invalid:9090"]},
    )

    text = await once(RelayCommand(tmp_path / "relay.toml"), *options)

    assert text.startswith("Not accepting: no receiver is ready. 0 of 1 receivers ready.")
    assert "127.0.0.1:1  it does not answer" in text
    assert "RabbitMQ at 127.0.0.1:1 can't be reached" in text
    assert "Traceback" not in text


async def test_on_a_terminal_it_follows_a_receiver_and_a_broker_that_come_and_go(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str
) -> None:
    (tmp_path / "relay").mkdir()
    relay = RelayProcess(tmp_path / "relay", broker_url=own_broker.url, exchange=exchange)
    async with relay:
        await eventually(lambda: relay.lines("broker connected"))
        watching(tmp_path / "top", relay)
        terminal = Terminal(tmp_path / "top")
        await terminal.start()
        await terminal.shows("Accepting.", "RabbitMQ connected.", "swiftsell")

        own_broker.kill()
        await terminal.shows("not connected to RabbitMQ")
        own_broker.start()
        await terminal.shows("RabbitMQ connected.")
    await terminal.shows("Not accepting", "it does not answer")

    assert "Traceback" not in terminal.drawn
    assert await terminal.stop() == 0
