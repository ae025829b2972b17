"""Commands of the relay as their users run them: arguments in; output and an exit code out."""

import asyncio
import os
import pty
import sys
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from relay.cli import main
from tests.support.eventually import LIMIT_S


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The lines of the output, cut at the tabs."""
        return [line.split("\t") for line in self.out.splitlines()]


class RelayCommand:
    """`relay ...` with the settings in config, in this process unless it must be its own."""

    def __init__(self, config: Path) -> None:
        self._config = config

    async def __call__(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Result:
        """Run a command to its end, in a thread since it has an event loop of its own."""
        return await asyncio.to_thread(self._invoke, arguments, stdin, environment)

    def _invoke(
        self, arguments: tuple[str, ...], stdin: bytes, environment: dict[str, str]
    ) -> Result:
        given = {"RELAY_CONFIG": str(self._config), **environment}
        result = CliRunner().invoke(main, arguments, input=stdin, env=given)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception  # a user would have seen a traceback
        return Result(result.exit_code, result.stdout, result.stderr)

    async def start(
        self, *arguments: str, stdout: int = asyncio.subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        """Start a command as a process, its output and its errors in pipes."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay", *arguments),
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
        )

    async def on_terminal(self, *arguments: str, types: str = "") -> Result:
        """Run a command for a person at a terminal, who types what it asks for."""
        ours, theirs = pty.openpty()
        os.write(ours, types.encode())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay", *arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment() | {"TERM": "xterm-256color", "COLUMNS": "200"},
        )
        os.close(theirs)
        (_, err), out = await asyncio.wait_for(
            asyncio.gather(process.communicate(), asyncio.to_thread(_read_all, ours)), LIMIT_S
        )
        return Result(process.returncode or 0, out.decode(), err.decode())

    def _environment(self) -> dict[str, str]:
        return os.environ | {"RELAY_CONFIG": str(self._config)}


def _read_all(terminal: int) -> bytes:
    """Read until the other side is closed, which Linux reports as an error."""
    with os.fdopen(terminal, "rb", buffering=0) as file:
        chunks = []
        try:
            while chunk := file.read(65536):
                chunks.append(chunk)
        except OSError:
            pass
        return b"".join(chunks)
