"""One run of a worker, as its supervisor sees it: from the start of the process to its end."""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Sequence
from typing import Self

from relay.errors import RelayError, SettingsError
from relay.workers.worker import READY, Worker

_MOST_PROBLEMS = 50
_WRONG_SETTINGS = 2


class WorkerProcess:
    """A worker's process. Signals reach it even if they are sent before it listens to them.

    Made by `start`; `watch` must run until it returns.
    """

    def __init__(self, process: Process, worker: Worker) -> None:
        self.worker = worker
        self.pid = process.pid
        self.is_ready = False
        self.problems: deque[str] = deque(maxlen=_MOST_PROBLEMS)
        self._process = process
        self._is_reload_due = False

    @classmethod
    async def start(cls, command: Sequence[str], worker: Worker) -> Self:
        """Start command as a worker."""
        worker.admin_socket.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            *command,
            *worker.arguments(),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which passes it on
        )
        return cls(process, worker)

    @property
    def is_up(self) -> bool:
        """Tell whether it serves requests."""
        return self.is_ready and self._process.returncode is None

    async def watch(self, became_ready: asyncio.Event) -> int:
        """Hear what the worker says until it ends, and return its status.

        Args:
            became_ready: set when it serves requests.
        """
        assert self._process.stdout  # noqa: S101  a pipe, by `start`
        async for line in self._process.stdout:
            said = line.decode(errors="replace").strip()
            if said == READY:
                self.is_ready = True
                became_ready.set()
                if self._is_reload_due:
                    self.reload()
            else:
                self.problems.append(said)
        return await self._process.wait()

    def reload(self) -> None:
        """Let it read its settings again, as soon as it can."""
        if self.is_ready:
            self._send(signal.SIGHUP)
        else:  # it may have read the old ones, and does not handle the signal yet
            self._is_reload_due = True

    def stop(self) -> None:
        """Let it stop in order."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)

    def error(self, status: int) -> RelayError:
        """Return what it died of as if that had happened in this process."""
        if self.problems and status == _WRONG_SETTINGS:
            return SettingsError(list(self.problems))
        unsaid = f"Worker {self.worker.number} ended with status {status}."
        return RelayError(" ".join(self.problems) or unsaid)
