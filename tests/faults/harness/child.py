"""A program of the suite as a process of its own, which does not outlive the suite."""

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.local.private_server import Guard
from tests.support.eventually import LIMIT_S


class Child:
    """`python -m MODULE OPTIONS`, from the start to the end of a block.

    Args:
        module: its name.
        options: a dataclass; the program gets it as JSON.
        log: where its stderr goes.
    """

    def __init__(self, module: str, options: Any, log: Path) -> None:
        self._command = [sys.executable, "-m", module, json.dumps(asdict(options))]
        self._log = log

    async def __aenter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*self._command, stderr=log)
        self._guard = Guard("kill", "-KILL")
        self._guard.watch(str(self._process.pid))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.stop()
        except AssertionError:
            if error is None:
                raise  # else it would hide what went wrong first

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """SIGTERM, and wait for the end; a second call does nothing."""
        if self._process.returncode is None:
            self.resume()
            self._process.terminate()
            try:
                async with asyncio.timeout(LIMIT_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                raise
            finally:
                self._guard.disarm()
        assert self._process.returncode == 0, self._log.read_text()[-3000:]
