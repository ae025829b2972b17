"""The worker's side of the supervisor: its place among the workers, and two pipes.

Stdin carries no data; EOF means that the supervisor died. On stdout the worker reports that it is
ready, or why it exits, with a line for each reason.
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
_MAX_PROBLEM_CHARACTERS = 8192
"""The supervisor reads lines of up to 64 KiB; a longer one would end it instead of the worker."""

log = structlog.get_logger("relay")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker's place among the others.

    Args:
        number: of this worker, from 0.
        count: how many workers there are.
        port: the one that they share.
        admin_socket: where it answers the supervisor's requests.
    """

    number: int
    count: int
    port: int
    admin_socket: Path

    def arguments(self) -> list[str]:
        """Return the arguments of `relay serve` that make a process this worker."""
        return ["--worker", *map(str, (self.number, self.count, self.port, self.admin_socket))]


def stop_with_supervisor(worker: Worker, stop: asyncio.Event) -> None:
    """Set stop when the supervisor dies, whatever it dies of."""
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

    def read() -> None:
        if not os.read(stdin, 1024):
            loop.remove_reader(stdin)
            if not stop.is_set():
                log.warning("supervisor died")
                _remove(worker.admin_socket)
            stop.set()

    loop.add_reader(stdin, read)


def _remove(admin_socket: Path) -> None:
    """Remove what the supervisor would have removed; the last worker removes the directory."""
    with contextlib.suppress(OSError):
        admin_socket.unlink(missing_ok=True)
        admin_socket.parent.rmdir()


def report_ready() -> None:
    """Report to the supervisor that this process serves requests."""
    _report([READY])


def report_problems(problems: Sequence[str]) -> None:
    """Report to the supervisor why this process exits."""
    _report([" ".join(problem.split())[:_MAX_PROBLEM_CHARACTERS] for problem in problems])


def _report(lines: Sequence[str]) -> None:
    with contextlib.suppress(OSError):  # the supervisor died; EOF on stdin says so
        os.write(sys.stdout.fileno(), "".join([f"{line}\n" for line in lines]).encode())
