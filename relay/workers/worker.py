"""What makes a process one worker of several: its place, and its two pipes to the supervisor.

Nothing is said on stdin: that it ends says that the supervisor is gone. On stdout the worker says
that it is ready, or why it ends, a line for each reason.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

READY = "ready"

log = structlog.get_logger("relay")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker's place among the others.

    Args:
        number: which one it is, from 0.
        count: of how many.
        port: the one that they share.
        admin_socket: where it answers the supervisor's questions.
    """

    number: int
    count: int
    port: int
    admin_socket: Path

    def arguments(self) -> list[str]:
        """Return what tells a new process of its place, after `relay serve`."""
        return ["--worker", *map(str, (self.number, self.count, self.port, self.admin_socket))]


def stop_with_supervisor(worker: Worker, stop: asyncio.Event) -> None:
    """Set stop when the supervisor is gone, however it went."""
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

    def look() -> None:
        if not os.read(stdin, 1024):
            loop.remove_reader(stdin)
            if not stop.is_set():
                log.warning("supervisor gone")
                _remove(worker.admin_socket)
            stop.set()

    loop.add_reader(stdin, look)


def _remove(admin_socket: Path) -> None:
    """Remove what the supervisor would have; the last worker removes the directory."""
    with contextlib.suppress(OSError):
        admin_socket.unlink(missing_ok=True)
        admin_socket.parent.rmdir()


def tell_ready() -> None:
    """Tell the supervisor that requests are served from now on."""
    _tell([READY])


def tell_problems(problems: Sequence[str]) -> None:
    """Tell the supervisor why this process ends."""
    _tell([" ".join(it.split()) for it in problems])


def _tell(lines: Sequence[str]) -> None:
    with contextlib.suppress(OSError):  # it is gone; stdin tells, too
        os.write(sys.stdout.fileno(), "".join([f"{it}\n" for it in lines]).encode())
