"""An event loop whose clock moves only when it is told to, and whose network is in the process.

Nothing depends on how fast the machine is: the loop waits for its threads before each turn, and
returns as soon as nothing more can happen before its clock moves on.
"""

import asyncio
import selectors
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future, wait
from typing import Any


class DiskGate:
    """Where a thread waits on its way to the disk while the gate is closed."""

    def __init__(self) -> None:
        self._is_open = threading.Event()
        self._is_open.set()
        self._statement = ""
        self.is_reached = False

    @property
    def is_closed(self) -> bool:
        return not self._is_open.is_set()

    def close(self, statement: str) -> None:
        """Hold up whoever is about to run a statement that begins like this."""
        self._statement = statement
        self._is_open.clear()

    def open(self) -> None:
        self._is_open.set()
        self.is_reached = False

    def pass_through(self, statement: str) -> None:
        """Called by the thread before each statement."""
        if self.is_closed and statement.startswith(self._statement):
            self.is_reached = True
            self._is_open.wait()


class _Selector(selectors.DefaultSelector):
    """Never blocks: with nothing to do, it ends the run of its loop."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.loop.catch_up()
        events = super().select(0)
        if self.loop.is_over(may_wait=timeout is None or timeout > 0, has_events=bool(events)):
            self.loop.stop()
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module.

    Args:
        connect: called with the far end of each connection; raises OSError if nobody listens.
    """

    def __init__(self, connect: Callable[[socket.socket], Awaitable[None]]) -> None:
        self.now = 1000.0
        self.is_settled = True
        self._turns = 0
        self._connect = connect
        self._work: deque[Future[Any]] = deque()
        self._submit: Callable[..., Future[Any]]
        self._gate = DiskGate()
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    # Threads.

    def watch(self, executor: Executor, gate: DiskGate) -> None:
        """Wait before each turn until a thread has done all its work, or is held up at its gate."""

        def submit(*work: Any) -> Future[Any]:
            future = do_later(*work)
            self._work.append(future)
            return future

        do_later = executor.submit
        executor.submit = submit  # type: ignore[method-assign, assignment]
        self._submit, self._gate = do_later, gate

    def catch_up(self) -> None:
        while self._work and not self._gate.is_reached:
            try:
                last = self._submit(_nothing)  # behind it, and behind what is done with its result
            except RuntimeError:  # the thread has ended
                self._work.clear()
                return
            while not last.done():
                if self._gate.is_reached:
                    return
                wait([last], timeout=0.001)
            while self._work and self._work[0].done():
                self._work.popleft()

    # Running.

    def is_over(self, *, may_wait: bool, has_events: bool) -> bool:
        self._turns -= 1
        self.is_settled = may_wait and not has_events
        return self.is_settled or self._turns == 0

    def settle(self, turns: int = 0) -> None:
        """Run until nothing more happens at this time, or for so many turns."""
        self._turns = turns
        self.run_forever()

    def do(self, action: Callable[[], object], turns: int = 0) -> None:
        """Do something within the loop, and settle."""
        self.call_soon(action)
        self.settle(turns)

    def advance(self, seconds: float) -> None:
        """Let time pass, from one timer to the next."""
        end = self.now + seconds
        while (due := self._next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.settle()
        self.now = end
        self.settle()

    def _next_timer(self) -> float | None:
        waiting = [timer.when() for timer in self._scheduled if not timer.cancelled()]
        return min(waiting, default=None)

    # The network.

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, *args: Any, **more: Any
    ) -> Any:
        if host is None:
            return await super().create_connection(protocol_factory, None, *args, **more)
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        try:
            await self._connect(far)
        except OSError:
            near.close()
            far.close()
            raise
        return await super().create_connection(protocol_factory, sock=near)


def _nothing() -> None:
    """Done once all work before it is."""
