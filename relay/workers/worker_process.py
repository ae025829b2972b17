"""A worker's process, as the supervisor sees it, from its start to its end."""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Sequence
from typing import Self, cast

from relay.errors import RelayError, SettingsError
from relay.process.command import WRONG_SETTINGS
from relay.workers.worker import READY, Worker

_MAX_PROBLEMS = 50


class WorkerProcess:
    """A worker's process. A signal reaches it even if it is sent before the process handles it.

    `start` makes one; `watch` must run until it returns.
    """

    def __init__(self, process: Process, worker: Worker) -> None:
        self.worker = worker
        self.pid = process.pid
        self.is_ready = False
        self.problems: deque[str] = deque(maxlen=_MAX_PROBLEMS)
        self._process = process
        self._is_reload_due = False

    @classmethod
    async def start(cls, command: Sequence[str], worker: Worker) -> Self:
        """Start command as a worker.

        Raises:
            RelayError: no process can be started now, or the command is missing.
        """
        try:
            worker.admin_socket.unlink(missing_ok=True)
            process = await asyncio.create_subprocess_exec(
                *command,
                *worker.arguments(),
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which passes it on
            )
        except OSError as error:
            raise RelayError(
                f"Worker {worker.number} can't be started: {error.strerror}."
            ) from error
        return cls(process, worker)

    @property
    def is_up(self) -> bool:
        """Return whether it serves requests."""
        return self.is_ready and self._process.returncode is None

    async def watch(self, became_ready: asyncio.Event) -> int:
        """Read the worker's reports until it exits, and return its status.

        Args:
            became_ready: set when it serves requests.
        """
        async for line in cast("asyncio.StreamReader", self._process.stdout):
            report = line.decode(errors="replace").strip()
            if report == READY:
                self.is_ready = True
                became_ready.set()
                if self._is_reload_due:
                    self.reload()
            else:
                self.problems.append(report)
        return await self._process.wait()

    def reload(self) -> None:
        """Let it reload its settings as soon as it can."""
        if self.is_ready:
            self._send(signal.SIGHUP)
        else:  # it may have read the old ones, and does not handle SIGHUP yet
            self._is_reload_due = True

    def stop(self) -> None:
        """Let it shut down in order."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)

    def error(self, status: int) -> RelayError:
        """Return the error it exited with, as if that had been raised in this process."""
        if self.problems and status == WRONG_SETTINGS:
            return SettingsError(list(self.problems))
        unexplained = f"Worker {self.worker.number} ended with status {status}."
        return RelayError(" ".join(self.problems) or unexplained)
