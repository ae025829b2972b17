"""What systemd is told by the process it started: ready, alive, stopping.

The protocol is a datagram per state to the socket that NOTIFY_SOCKET names; without it, nothing
is done. https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import structlog

from relay.process import tasks

_MICROSECONDS = 1_000_000

log = structlog.get_logger("relay")


@contextlib.asynccontextmanager
async def notifying() -> AsyncIterator[None]:
    """Tell that the process is ready, that its event loop turns, and at the end that it stops.

    systemd kills and starts anew a process whose watchdog (WATCHDOG_USEC) hears nothing of it.
    """
    _tell("READY=1")
    async with tasks.task("watchdog", _ping()):
        yield
    _tell("STOPPING=1")


async def _ping() -> None:
    interval_s = _watchdog_s() / 2
    while interval_s:
        _tell("WATCHDOG=1")
        await asyncio.sleep(interval_s)
    await asyncio.Event().wait()


def _watchdog_s() -> float:
    """Return how often the process must be heard of; 0 if nobody listens, or not for this one."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(os.environ.get("WATCHDOG_USEC", "0")) / _MICROSECONDS


def _tell(state: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        try:
            sender.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            sender.send(state.encode())
        except OSError as error:  # a service that works is no worse for it
            log.warning("service manager not told", state=state, reason=str(error))
