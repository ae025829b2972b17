"""Which events a service has handled: the `seen` store, in SQLite or PostgreSQL.

One thread owns the connection. Many events share one query and one commit: the store is asked when
they arrive, and marked when they are handled. What is handled in between is remembered in memory.
"""

import time
from collections.abc import Sequence
from functools import partial

import structlog

from consumers.kit.consumer import Writer
from consumers.kit.database.index_key import index_key
from consumers.kit.errors import Unavailable
from consumers.kit.event import Event
from consumers.kit.seen.database import SeenDatabase
from relay.process.owned_thread import OwnedThread

_PRUNE_EVERY_S = 60.0
_MAX_RECENT = 100_000  # keys; far more than are in hand, and some 10 MB

log = structlog.get_logger("consumers")


class SeenStore:
    """The store of one service.

    Args:
        database: where the marks are kept.
        service: the service's name; several services may share a database.
        keep_s: how long a mark is kept, at least.
        max_recent: how many keys are remembered in memory.
    """

    def __init__(
        self,
        database: SeenDatabase,
        *,
        service: str,
        keep_s: float,
        max_recent: int = _MAX_RECENT,
    ) -> None:
        self._database = database
        self._service = service
        self._keep_s = keep_s
        self._thread = OwnedThread("seen")
        self._prune_at = 0.0
        self._recent: dict[str, None] = {}
        self._max_recent = max_recent

    async def open(self) -> None:
        """Connect, to find problems early. Raises Unavailable."""
        await self._thread.do(self._database.open)

    async def close(self, *, limit_s: float = 5) -> None:
        """Close the database once all work is done; one that hangs is left open."""
        await self._thread.close(self._database.close, limit_s=limit_s)

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
        results = await self._thread.do(
            lambda: self._database.write(self._service, keyed, writer, now=now)
        )
        self._prune(now)
        return results

    async def are_new(self, keys: Sequence[str]) -> list[bool]:
        """Return for each key whether it is not marked.

        Raises:
            Unavailable: the database is.
        """
        return await self._thread.do(lambda: self._database.are_new(self._service, keys))

    def is_recent(self, key: str) -> bool:
        """Return whether the event of a key was handled lately, marked already or not."""
        return key in self._recent

    def note(self, key: str) -> None:
        """Remember in memory that an event was handled, until it is marked and long after."""
        if len(self._recent) >= self._max_recent:
            del self._recent[next(iter(self._recent))]  # the oldest
        self._recent[key] = None

    async def mark(self, keys: Sequence[str]) -> None:
        """Mark keys, those that are marked already as well.

        Raises:
            Unavailable: the database is; none was marked.
        """
        now = time.time()
        await self._thread.do(lambda: self._database.mark(self._service, keys, now=now))
        self._prune(now)

    def _prune(self, now: float) -> None:
        """Delete old marks from time to time, after the calls that are waiting."""
        if now >= self._prune_at:
            self._prune_at = now + _PRUNE_EVERY_S
            self._thread.do_later(partial(self._delete_old, now - self._keep_s))

    def _delete_old(self, before: float) -> None:
        """Delete some marks, and the rest after the calls that came meanwhile."""
        try:
            there_are_more = self._database.prune(self._service, before)
        except Unavailable as error:
            log.warning("old marks not deleted", service=self._service, reason=str(error))
            return
        if there_are_more:
            self._thread.do_later(partial(self._delete_old, before))


def key_of(event: Event) -> str:
    """Return the key of an event's mark. An event of a replay has a key of its own.

    Other publishers may send any id; one that can't be indexed is replaced by its digest.
    """
    return index_key(f"{event.id}/{event.replay}" if event.replay else event.id)
