"""Waiting for what nobody announces, with a limit; and whether others have their turn meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LIMIT_S = 30.0  # generous: the machine may be busy; a test that waits this long has failed
_MIN_PAUSE_S, _MAX_PAUSE_S = 0.01, 0.05


async def eventually(
    condition: Callable[[], object] | Callable[[], Awaitable[object]], limit_s: float = LIMIT_S
) -> None:
    """Return once condition holds; fail after limit_s.

    To look takes CPU from what is waited for. So the longer that has taken, the longer is the time
    until the next look: a tenth of it.
    """
    began_at = time.monotonic()
    while True:
        holds = condition()
        if isinstance(holds, Awaitable):
            holds = await holds
        if holds:
            return
        waited_s = time.monotonic() - began_at
        assert waited_s < limit_s, f"not within {limit_s} s: {condition}"
        await asyncio.sleep(min(max(waited_s / 10, _MIN_PAUSE_S), _MAX_PAUSE_S))


async def counting_turns(work: Awaitable[T]) -> tuple[T, int]:
    """Return what comes of work, and in how many iterations of the loop others had their turn."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        return await work, turns
    finally:
        counting.cancel()
