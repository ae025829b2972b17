"""Each event once: the `seen` store is asked when messages arrive, and marked when they are done.

Both happen in bulk, beside the handlers: for each event alone they would cost more than most
handlers do. A message is acknowledged after its mark, so after a crash in between it comes again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from consumers.kit.consuming.decision import Wait, wait_s
from consumers.kit.consuming.delivery import Delivery
from consumers.kit.consuming.outage import Outage
from consumers.kit.errors import Unavailable
from consumers.kit.event import Event
from consumers.kit.seen.store import SeenStore, key_of

T = TypeVar("T")


class Checked(NamedTuple):
    """Messages that arrived, by what the store knows of their events."""

    new: Sequence[Delivery] = ()
    duplicates: Sequence[Delivery] = ()
    unknown: Sequence[Delivery] = ()
    """The store was down for as long as a message may be in hand."""


class Deduplicator:
    """Finds out which messages are duplicates, and marks those that were handled.

    Args:
        seen: the store.
        outage: the store's; how to wait while it is unavailable.
        hold_limit_s: how long a message may be in hand.
    """

    def __init__(self, seen: SeenStore, *, outage: Outage, hold_limit_s: float) -> None:
        self._seen = seen
        self._outage = outage
        self._hold_limit_s = hold_limit_s
        self._marking = asyncio.Lock()
        self._arrived = _Pile()
        self._handled = _Pile()

    def add(self, delivery: Delivery) -> None:
        """Add a message that has arrived."""
        self._arrived.add(delivery)

    async def check(self) -> Checked | None:
        """Wait for messages to arrive, and look them up. None when there is no time left."""
        await self._arrived.wait()
        arrived = self._arrived.take()
        try:
            are_new = await self._patiently(self._seen.are_new, arrived)
        except _DownTooLongError:
            return Checked(unknown=arrived)
        if are_new is None:
            return None
        pairs = list(zip(arrived, are_new, strict=True))
        return Checked(
            new=[delivery for delivery, is_new in pairs if is_new],
            duplicates=[delivery for delivery, is_new in pairs if not is_new],
        )

    def was_handled(self, delivery: Delivery) -> bool:
        """Return whether a message's event was handled since the message arrived: it came twice."""
        return self._seen.is_recent(_key(delivery))

    def note_handled(self, delivery: Delivery) -> None:
        """Add a message whose event was handled."""
        self._seen.note(_key(delivery))
        self._handled.add(delivery)

    async def has_handled(self) -> None:
        """Wait until there is something to mark."""
        await self._handled.wait()

    async def mark(self) -> Sequence[Delivery]:
        """Mark what was handled so far, and return the messages to acknowledge.

        They are acknowledged even if the store is down for too long, since they were handled. When
        there is no time left they are not: they come again.
        """
        async with self._marking:
            handled = self._handled.take()
            try:
                is_marked = bool(handled) and await self._patiently(self._mark, handled)
            except _DownTooLongError:
                is_marked = True
            return handled if is_marked else ()

    async def _mark(self, keys: Sequence[str]) -> bool:
        await self._seen.mark(keys)
        return True

    async def _patiently(
        self, work: Callable[[Sequence[str]], Awaitable[T]], deliveries: Sequence[Delivery]
    ) -> T | None:
        """Do work with the keys once the store is available; None when there is no time left.

        Raises:
            _DownTooLongError: the store was not available for as long as a message may be in hand.
        """
        keys, began_at = [_key(delivery) for delivery in deliveries], time.monotonic()
        while True:
            try:
                result = await work(keys)
            except Unavailable as error:
                down_for_s = time.monotonic() - began_at
                wait = Wait(wait_s(error.retry_after_s, down_for_s), str(error))
            else:
                self._outage.end()
                return result
            if down_for_s > self._hold_limit_s:
                raise _DownTooLongError
            if not await self._outage.wait(wait):
                return None


class _DownTooLongError(Exception):
    pass


class _Pile:
    """Messages for one task, which takes all there are."""

    def __init__(self) -> None:
        self._deliveries: list[Delivery] = []
        self._has_some = asyncio.Event()

    def add(self, delivery: Delivery) -> None:
        self._deliveries.append(delivery)
        self._has_some.set()

    async def wait(self) -> None:
        await self._has_some.wait()

    def take(self) -> list[Delivery]:
        self._has_some.clear()
        deliveries, self._deliveries = self._deliveries, []
        return deliveries


def _key(delivery: Delivery) -> str:
    return key_of(delivery.event) if isinstance(delivery.event, Event) else ""
