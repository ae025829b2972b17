"""Which events a service has handled: the `seen` store, in SQLite or PostgreSQL.

One thread owns the connection. Many events share one question, and one commit: the store is asked
when they arrive, and told when they are handled. What lies in between is remembered in memory.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import TypeVar

from consumers.kit.consumer import Writer
from consumers.kit.event import Event
from consumers.kit.seen_database import SeenDatabase

R = TypeVar("R")

_PRUNE_EVERY_S = 60.0
_MOST_RECENT = 100_000  # keys; far more than are in hand, and some 10 MB
_LONGEST_KEY = 255  # characters; PostgreSQL indexes no more than 2,700 bytes
_DIGEST_BYTES = 16


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
        self._recent: dict[str, None] = {}

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
            Unavailable: the database is, or writer says so; nothing was written.
            Exception: the database refused the whole; see SeenDatabase.write.
        """
        now = time.time()
        keyed = [(key_of(event), event) for event in events]
        results = await self._in_thread(
            lambda: self._database.write(self._service, keyed, writer, now=now)
        )
        self._prune(now)
        return results

    async def are_new(self, keys: Sequence[str]) -> list[bool]:
        """Tell of each key whether it is not marked.

        Raises:
            Unavailable: the database is.
        """
        return await self._in_thread(lambda: self._database.are_new(self._service, keys))

    def is_recent(self, key: str) -> bool:
        """Tell whether the event of a key was handled lately, marked already or not."""
        return key in self._recent

    def note(self, key: str) -> None:
        """Remember in memory that an event was handled, until it is marked and long after."""
        if len(self._recent) >= _MOST_RECENT:
            del self._recent[next(iter(self._recent))]  # the oldest
        self._recent[key] = None

    async def mark(self, keys: Sequence[str]) -> None:
        """Mark keys, those that are marked already as well.

        Raises:
            Unavailable: the database is; none was marked.
        """
        now = time.time()
        await self._in_thread(lambda: self._database.mark(self._service, keys, now=now))
        self._prune(now)

    def _prune(self, now: float) -> None:
        """Forget old marks now and then, behind the work that waits."""
        if now >= self._prune_at:
            self._prune_at = now + _PRUNE_EVERY_S
            self._thread.submit(self._forget, now - self._keep_s)

    def _forget(self, before: float) -> None:
        """Forget some marks, and the rest behind the work that came meanwhile."""
        if self._database.prune(self._service, before):
            with contextlib.suppress(RuntimeError):  # the store was closed
                self._thread.submit(self._forget, before)

    async def _in_thread(self, job: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)


def key_of(event: Event) -> str:
    """Return what an event is remembered by. A replay handles it again, though only once.

    Other publishers may send any id; what the databases can't index is remembered by its digest.
    """
    key = f"{event.id}/{event.replay}" if event.replay else event.id
    if len(key) <= _LONGEST_KEY and "\0" not in key:
        return key
    return "blake2b:" + blake2b(key.encode(), digest_size=_DIGEST_BYTES).hexdigest()
