"""A thread of one's own for work that blocks, done in the order it was asked for."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog

T = TypeVar("T")

_CLOSE_TIMEOUT_S = 5.0

log = structlog.get_logger("consumers")


class OwnThread:
    """One thread, named for whoever looks at the process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def do(self, work: Callable[[], T]) -> T:
        """Do work when its turn comes, and return what it does."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def do_later(self, work: Callable[[], None]) -> None:
        """Do work behind what waits, unless the thread is closed before.

        It must not raise: nobody would hear of it.
        """
        with contextlib.suppress(RuntimeError):
            self._thread.submit(work)

    async def close(self, last: Callable[[], None]) -> None:
        """Do last and end; within 5 s, or else the thread is left to itself with what blocks it."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self.do(last)
        except TimeoutError:
            log.warning("thread blocked", thread=self._name)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)
