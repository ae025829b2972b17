"""Background tasks with an owner, and the signal that ends them."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import Any


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set, instead of ending the process."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def is_set_within(event: asyncio.Event, limit_s: float) -> bool:
    """Wait until an event is set, at most so many seconds, and return whether it is."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()
    return event.is_set()


@contextlib.asynccontextmanager
async def task(name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run work in the background; cancel it on the way out, and raise the error it failed with."""
    running = asyncio.create_task(work, name=name)
    try:
        yield running
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def first(wanted: Coroutine[Any, Any, object], *parts: asyncio.Future[Any]) -> None:
    """Return when wanted is done. If one of parts ends before, raise the error it failed with."""
    waiting = asyncio.ensure_future(wanted)
    try:
        done, _ = await asyncio.wait((waiting, *parts), return_when=asyncio.FIRST_COMPLETED)
        for part in done - {waiting}:
            part.result()
    finally:
        waiting.cancel()
