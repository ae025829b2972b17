"""Notifications to systemd: ready, alive, stopping.

Each is a datagram to the socket that NOTIFY_SOCKET names; without that variable, none is sent.
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
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
    """Notify systemd that the process is ready, that it is alive, and at the end that it stops.

    systemd restarts a process that is silent for longer than WATCHDOG_USEC.
    """
    _notify("READY=1")
    async with tasks.task("watchdog", _ping()):
        yield
    _notify("STOPPING=1")


async def _ping() -> None:
    interval_s = _watchdog_s() / 2
    while interval_s:
        _notify("WATCHDOG=1")
        await asyncio.sleep(interval_s)
    await asyncio.Event().wait()


def _watchdog_s() -> float:
    """Return how long the process may be silent; 0 where it is not watched."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(os.environ.get("WATCHDOG_USEC", "0")) / _MICROSECONDS


def _notify(state: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        try:
            sender.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            sender.send(state.encode())
        except OSError as error:  # the service works all the same
            log.warning("service manager not notified", state=state, reason=str(error))
