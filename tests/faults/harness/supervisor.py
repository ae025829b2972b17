"""A process that is started anew whenever it ends, and does not outlive the suite."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

from deploy.local.private_server import Guard
from tests.support.eventually import eventually

_AGAIN_S = 0.1
LIMIT_S = 90.0
"""For a start or an end under load, on a busy machine."""


class Supervisor:
    """Keep one process running.

    Args:
        command: what is run.
        log: the file that its stderr goes to, or the descriptor of one that is open.
        environment: beside that of the tests.
    """

    def __init__(
        self, command: Sequence[str], log: Path | int, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = command
        self._log = log
        self._environment = dict(environment or {})
        self._is_wanted = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self.exit_codes: list[int] = []

    def start(self) -> None:
        """Start the process, and keep it running from now on."""
        self._is_wanted.set()
        self._keeper = asyncio.create_task(self._keep(), name="supervisor")

    async def _keep(self) -> None:
        while True:
            await self._is_wanted.wait()
            with self._open_log() as log:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stderr=log, env={**os.environ, **self._environment}
                )
            guard = Guard("kill", "-KILL")
            guard.watch(str(self._process.pid))
            try:
                code = await self._process.wait()
            finally:
                guard.disarm()
            self.exit_codes.append(code)
            await asyncio.sleep(_AGAIN_S)

    def _open_log(self) -> AbstractContextManager[IO[bytes] | int]:
        return self._log.open("ab") if isinstance(self._log, Path) else nullcontext(self._log)

    async def end(self, number: signal.Signals) -> None:
        """Send a signal that ends the process, and wait until that has happened."""
        ended = len(self.exit_codes)
        self._process.send_signal(number)
        await eventually(lambda: len(self.exit_codes) > ended, LIMIT_S)

    async def take_away(self, number: signal.Signals) -> None:
        """End the process for as long as `bring_back` is not called."""
        self.pause()
        await self.end(number)

    def pause(self) -> None:
        """Start nothing for now."""
        self._is_wanted.clear()

    def bring_back(self) -> None:
        self._is_wanted.set()

    async def stop(self) -> int:
        """End the process in order, for good, and return its exit status."""
        if self._keeper:
            self.pause()
            if self._process.returncode is None:
                await self.end(signal.SIGTERM)
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        return self.exit_codes[-1]
