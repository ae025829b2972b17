"""Sockets that listen for HTTP, and how many connections the system allows."""

import contextlib
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
from aiohttp import web

from relay.errors import RelayError
from relay.process.bound_sockets import Hosts, address_text, bound, not_listening

_BACKLOG = 1024
_OTHER_FILES = 200
"""Open files beside the connections: databases, pipes, the broker, what a library opens."""

log = structlog.get_logger("relay")


@contextlib.asynccontextmanager
async def listening(
    runner: web.BaseRunner, hosts: Hosts, port: int, name: str, *, is_shared: bool = False
) -> AsyncIterator[None]:
    """Listen while the context is open, and log each address.

    Args:
        runner: what is served.
        hosts: a name or an address, or several; `::` stands for all addresses, of IPv4, too.
        port: 0 for any that is free.
        name: of the listener.
        is_shared: whether other processes of this user may listen there, too.

    Raises:
        RelayError: an address is taken, or not one of this machine.
    """
    with bound(hosts, port, name, is_shared=is_shared) as sockets:
        await runner.setup()
        try:
            for each in sockets:
                host, bound_port = each.getsockname()[:2]
                try:
                    await web.SockSite(runner, each, backlog=_BACKLOG).start()
                except OSError as error:
                    raise not_listening(name, host, bound_port, error) from error
                log.info("listening", listener=name, address=address_text(host, bound_port))
            yield
        finally:
            await runner.cleanup()  # before the sockets are closed: asyncio's own loop fails else


@contextlib.asynccontextmanager
async def listening_locally(runner: web.BaseRunner, path: Path, name: str) -> AsyncIterator[None]:
    """Listen on a Unix socket while the context is open.

    Raises:
        RelayError: the socket can't be made.
    """
    await runner.setup()
    try:
        try:
            await web.UnixSite(runner, path).start()
        except OSError as error:
            raise RelayError(f"{name}: can't listen on {path}: {error}.") from error
        yield
    finally:
        await runner.cleanup()


def allow_connections(wanted: int) -> int:
    """Raise the limit on open files for so many connections; return how many fit, at least 1.

    The usual soft limit of 1,024 open files would otherwise leave further callers waiting.
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
