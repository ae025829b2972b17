"""Waiting for what nobody announces, with a limit."""

import asyncio
import time
from collections.abc import Awaitable, Callable

LIMIT_S = 30.0  # generous: the machine may be busy; a test that waits this long has failed


async def eventually(
    condition: Callable[[], object] | Callable[[], Awaitable[object]], limit_s: float = LIMIT_S
) -> None:
    """Return once condition holds; fail after limit_s."""
    deadline = time.monotonic() + limit_s
    while True:
        holds = condition()
        if isinstance(holds, Awaitable):
            holds = await holds
        if holds:
            return
        assert time.monotonic() < deadline, f"not within {limit_s} s: {condition}"
        await asyncio.sleep(0.01)
