"""What a private server is made of: a free port, and a guard that ends it with its parent.

Standard library only.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Below the ephemeral range: while a server is down, a port of that range may become the local end
# of any connection, even of a client that keeps trying to reach the server and connects to itself.
_PORTS = range(20_000, 32_768)
_POLL_INTERVAL_S = 0.02
_GUARD_SCRIPT = 'while read -r name; do set -- "$@" "$name"; done; "$@"'


class Guard:
    """Cleans up when this process dies, even by SIGKILL.

    A shell waits for the end of a pipe that only this process holds open. When it dies, the kernel
    closes the pipe, and the shell runs `command` with every watched name. PR_SET_PDEATHSIG would
    be shorter, but acts when the *thread* that started the server ends, as after
    `asyncio.to_thread`.
    """

    def __init__(self, *command: str) -> None:
        self._shell = subprocess.Popen(  # noqa: S603  a constant script
            ["/bin/sh", "-c", _GUARD_SCRIPT, "guard", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def watch(self, name: str) -> None:
        """Add a process id or a container name to what is cleaned up."""
        if self._shell.stdin:
            self._shell.stdin.write(f"{name}\n")
            self._shell.stdin.flush()

    def disarm(self) -> None:
        """Stop watching; nothing is cleaned up any more."""
        self._shell.kill()
        self._shell.communicate()


def output_of(*command: str, timeout_s: float) -> str | None:
    """Return what a command printed, or None if it is missing, fails or hangs."""
    try:
        result = subprocess.run(  # noqa: S603  constant commands, no shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout


def free_port(*others: int) -> int:
    """Return a port on loopback that is free and not among `others`."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in others:
                return port


def eventually(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait until the condition holds, and return whether it did within the limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_INTERVAL_S)
    return True
