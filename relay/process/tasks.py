"""What a process is made of: background tasks with an owner, listeners, an end by signal."""

import asyncio
import contextlib
import resource
import signal
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from relay.errors import RelayError

if TYPE_CHECKING:
    from aiohttp import web

_BACKLOG = 1024
_OTHER_FILES = 200
"""Open files beside the connections: databases, pipes, the broker, what a library opens."""

log = structlog.get_logger("relay")


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set, instead of ending the process."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def allow_connections(wanted: int) -> int:
    """Let the process have so many connections; return how many the system gives, at least 1.

    Without this the usual soft limit of 1,024 open files decides, and who comes then waits.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    needed = wanted + _OTHER_FILES
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        log.warning("few files allowed", open_files=soft, max_connections=soft - _OTHER_FILES)
    return max(1, min(wanted, soft - _OTHER_FILES))


@contextlib.asynccontextmanager
async def task(name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run work in the background; end it on the way out, and let its error through."""
    running = asyncio.create_task(work, name=name)
    try:
        yield running
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@contextlib.asynccontextmanager
async def listening(
    runner: "web.BaseRunner", host: str, port: int, name: str, *, is_shared: bool = False
) -> AsyncIterator[None]:
    """Listen while the context is open, and say where.

    Args:
        runner: what is served.
        host: a name or an address.
        port: 0 for any that is free.
        name: of the listener.
        is_shared: other processes of this user may listen there, too, each for its connections.

    Raises:
        RelayError: the address is taken, or not ours.
    """
    from aiohttp import web  # noqa: PLC0415  a supervisor starts its workers before it needs this

    await runner.setup()
    try:
        try:
            site = web.TCPSite(runner, host, port, backlog=_BACKLOG, reuse_port=is_shared or None)
            await site.start()
        except OSError as error:
            raise RelayError(f"{name}: can't listen on {host}:{port}: {error.strerror}.") from error
        for address in runner.addresses:
            log.info("listening", listener=name, address=f"{address[0]}:{address[1]}")
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def listening_locally(runner: "web.BaseRunner", path: Path, name: str) -> AsyncIterator[None]:
    """Listen on a Unix socket while the context is open.

    Raises:
        RelayError: it can't be made.
    """
    from aiohttp import web  # noqa: PLC0415  as above

    await runner.setup()
    try:
        try:
            await web.UnixSite(runner, path).start()
        except OSError as error:
            raise RelayError(f"{name}: can't listen on {path}: {error}.") from error
        yield
    finally:
        await runner.cleanup()


async def first(wanted: Coroutine[Any, Any, object], *parts: asyncio.Future[Any]) -> None:
    """Return when wanted is done; raise what one of parts died of if that comes first."""
    waiting = asyncio.ensure_future(wanted)
    try:
        done, _ = await asyncio.wait((waiting, *parts), return_when=asyncio.FIRST_COMPLETED)
        for part in done - {waiting}:
            part.result()
    finally:
        waiting.cancel()
