"""One thread that owns something which blocks, such as a database's connection."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

log = structlog.get_logger("relay")


class OwnedThread:
    """A thread that does work in the order in which it was asked to.

    Args:
        name: shown to whoever looks at the process.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._timer: asyncio.TimerHandle | None = None
        self._late: Future[Any] | None = None
        self._is_closed = False

    async def do(self, work: Callable[[], T]) -> T:
        """Do work when its turn comes, and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def do_within(self, limit_s: float, work: Callable[[], T]) -> T:
        """Do work, but wait for it no longer than limit_s; it may be done all the same.

        Raises:
            TimeoutError: it took longer.
        """
        running = self._executor.submit(work)
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.wrap_future(running)
        except TimeoutError:
            if not running.done():  # else it had not begun, and was cancelled
                self._late = running
            raise

    @property
    def is_blocked(self) -> bool:
        """Return whether it still does what `do_within` no longer waits for."""
        return self._late is not None and not self._late.done()

    def do_later(self, work: Callable[[], None]) -> None:
        """Do work when its turn comes, unless the thread is closed before. From any thread.

        It must not raise: nobody would hear of it.
        """
        with contextlib.suppress(RuntimeError):
            self._executor.submit(work)

    def repeat(self, work: Callable[[], float], *, after_s: float) -> None:
        """Do work after a time, and again whenever the seconds that it returned have passed.

        It must not raise: nobody would hear of it. Once for each thread, from its event loop.
        """
        loop = asyncio.get_running_loop()

        def do_again() -> None:
            loop.call_soon_threadsafe(wait, work())

        def wait(delay_s: float) -> None:
            if not self._is_closed:
                self._timer = loop.call_later(delay_s, self.do_later, do_again)

        wait(after_s)

    async def end(self, last: Callable[[], object], *, limit_s: float) -> None:
        """Do last after all other work, however late, and end the thread; wait only for so long."""
        ending = self._executor.submit(last)
        self._executor.shutdown(wait=False)
        await asyncio.wait({asyncio.wrap_future(ending)}, timeout=limit_s)

    async def close(self, last: Callable[[], None], *, limit_s: float = 5) -> None:
        """Do last, and end the thread.

        Args:
            last: done after all other work.
            limit_s: after it, a thread that is blocked is left to itself, and the work that waits
                is cancelled.
        """
        self._is_closed = True
        if self._timer:
            self._timer.cancel()
        try:
            async with asyncio.timeout(limit_s):
                await self.do(last)
        except TimeoutError:
            log.warning("thread blocked", thread=self._name)
        finally:
            self._executor.shutdown(wait=False, cancel_futures=True)
