"""Which events a service has handled: the `seen` store, in SQLite or PostgreSQL.

One thread owns the connection, and whatever is asked for while it works goes into its next
transaction, so that many events share one commit.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from consumers.kit.consumer import Writer
from consumers.kit.errors import Unavailable
from consumers.kit.event import Event
from consumers.kit.seen_database import SeenDatabase

A = TypeVar("A")
R = TypeVar("R")

_PRUNE_EVERY_S = 60.0


class Together(Generic[A, R]):
    """Call work with all that is asked for while it runs, once it is done.

    Args:
        work: takes a list of questions and returns their answers in the same order.
    """

    def __init__(self, work: Callable[[list[A]], Awaitable[Sequence[R]]]) -> None:
        self._work = work
        self._waiting: list[tuple[A, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    def __call__(self, question: A) -> asyncio.Future[R]:
        """Return the answer's future."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                await self._answer(asked)
        finally:
            self._running = None

    async def _answer(self, asked: list[tuple[A, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._work([question for question, _ in asked])
        except Unavailable as error:
            for _, future in asked:
                if not future.done():
                    future.set_exception(Unavailable(str(error)))
            return
        for (_, future), answer in zip(asked, answers, strict=True):
            if not future.done():
                future.set_result(answer)


class Seen:
    """The store of one service.

    Args:
        database: where the marks are kept.
        service: the service's name; several services may share a database.
        keep_s: how long a mark is kept, at least.
    """

    def __init__(self, database: SeenDatabase, *, service: str, keep_s: float) -> None:
        self._database = database
        self._service = service
        self._keep_s = keep_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="seen")
        self._prune_at = 0.0
        self.is_new = Together(self._look)
        """Tell whether the event of a key was not seen. Raises Unavailable."""
        self.mark = Together(self._mark)
        """Remember a key. Raises Unavailable."""

    async def open(self) -> None:
        """Connect, to find out early. Raises Unavailable."""
        await self._in_thread(self._database.open)

    async def close(self) -> None:
        """Close the database."""
        await self._in_thread(self._database.close)
        self._thread.shutdown()

    async def write(self, events: Sequence[Event], writer: Writer) -> list[Exception | bool]:
        """Let writer write the events that were not seen, each with its mark, in one transaction.

        Returns:
            For each event whether it was new, or what writer raised; then nothing of it was kept.

        Raises:
            Unavailable: the database is; nothing was written.
        """
        now = time.time()
        keyed = [(key_of(event), event) for event in events]
        results = await self._in_thread(
            lambda: self._database.write(self._service, keyed, writer, now=now)
        )
        self._prune(now)
        return results

    async def _look(self, keys: list[str]) -> list[bool]:
        return await self._in_thread(lambda: self._database.are_new(self._service, keys))

    async def _mark(self, keys: list[str]) -> list[None]:
        now = time.time()
        await self._in_thread(lambda: self._database.mark(self._service, keys, now=now))
        self._prune(now)
        return [None] * len(keys)

    def _prune(self, now: float) -> None:
        """Forget old marks now and then, behind the work that waits."""
        if now >= self._prune_at:
            self._prune_at = now + _PRUNE_EVERY_S
            self._thread.submit(self._database.prune, self._service, now - self._keep_s)

    async def _in_thread(self, job: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)


def key_of(event: Event) -> str:
    """Return what an event is remembered by. A replay handles it again, though only once."""
    return f"{event.id}/{event.replay}" if event.replay else event.id
