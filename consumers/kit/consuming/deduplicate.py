"""Each event once: the `seen` store is asked when messages arrive, and told when they are handled.

Both in bulk, beside the handlers: asking and telling for each event would cost more than most
handlers do. A message is settled when it is marked, so a crash in between makes it come again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from consumers.kit.consuming.decision import Wait, wait_s
from consumers.kit.consuming.delivery import Delivery
from consumers.kit.errors import Unavailable
from consumers.kit.event import Event
from consumers.kit.seen.store import Seen, key_of

T = TypeVar("T")


class Deduplicator:
    """Passes over what was handled before.

    Args:
        seen: the store.
        admit: called with each message that is to be handled.
        pass_over: called with each that is not.
        settle: called with each that is marked.
        put_back: called with messages that can't be told apart for too long.
        wait: waits while the store is unavailable; tells whether there is time to go on.
        hold_limit_s: how long a message may be in hand.
    """

    def __init__(  # noqa: PLR0913  it stands between many
        self,
        seen: Seen,
        *,
        admit: Callable[[Delivery], None],
        pass_over: Callable[[Delivery], None],
        settle: Callable[[Delivery], None],
        put_back: Callable[[Sequence[Delivery]], Awaitable[None]],
        wait: Callable[[Wait], Awaitable[bool]],
        hold_limit_s: float,
    ) -> None:
        self._seen = seen
        self._admit = admit
        self._pass_over = pass_over
        self._settle = settle
        self._put_back = put_back
        self._wait = wait
        self._hold_limit_s = hold_limit_s
        self._telling = asyncio.Lock()
        self._arrived: _Pile[Delivery] = _Pile()
        self._handled: _Pile[Delivery] = _Pile()

    def arrived(self, delivery: Delivery) -> None:
        """Take a message that has arrived."""
        self._arrived.add(delivery)

    def was_handled(self, delivery: Delivery) -> bool:
        """Tell whether a message's event was handled since it was admitted: it came twice."""
        return self._seen.is_recent(_key(delivery))

    def handled(self, delivery: Delivery) -> None:
        """Take a message whose event was handled."""
        self._seen.note(_key(delivery))
        self._handled.add(delivery)

    async def ask(self) -> None:
        """Admit, pass over or put back what arrives, until there is no time left."""
        while True:
            arrived = await self._arrived.take()
            try:
                are_new = await self._patiently(self._seen.are_new, arrived)
            except _TooLong:
                await self._put_back(arrived)
                continue
            if are_new is None:
                return
            for delivery, is_new in zip(arrived, are_new, strict=True):
                (self._admit if is_new else self._pass_over)(delivery)

    async def tell(self) -> None:
        """Mark and settle what was handled, for ever."""
        while True:
            await self._handled.wait()
            await self.settle_handled()

    async def settle_handled(self) -> None:
        """Mark and settle what was handled so far.

        What can't be marked for long is settled all the same: it was handled. When there is no
        time left it is not, and comes again.
        """
        async with self._telling:
            handled = self._handled.take_now()
            try:
                is_marked = bool(handled) and await self._patiently(self._mark, handled)
            except _TooLong:
                is_marked = True
            if is_marked:
                for delivery in handled:
                    self._settle(delivery)

    async def _mark(self, keys: Sequence[str]) -> bool:
        await self._seen.mark(keys)
        return True

    async def _patiently(
        self, work: Callable[[Sequence[str]], Awaitable[T]], deliveries: Sequence[Delivery]
    ) -> T | None:
        """Do work with the keys once the store is available; None when there is no time left.

        Raises:
            _TooLong: the store was not available for as long as a message may be in hand.
        """
        keys, began_at = [_key(it) for it in deliveries], time.monotonic()
        while True:
            try:
                return await work(keys)
            except Unavailable as error:
                down_for_s = time.monotonic() - began_at
                wait = Wait(wait_s(error.retry_after_s, down_for_s), str(error))
            if down_for_s > self._hold_limit_s:
                raise _TooLong
            if not await self._wait(wait):
                return None


class _TooLong(Exception):
    pass


class _Pile(Generic[T]):
    """What is waited for by one task, which takes all there is."""

    def __init__(self) -> None:
        self._items: list[T] = []
        self._has_some = asyncio.Event()

    def add(self, item: T) -> None:
        self._items.append(item)
        self._has_some.set()

    async def wait(self) -> None:
        await self._has_some.wait()

    async def take(self) -> list[T]:
        await self.wait()
        return self.take_now()

    def take_now(self) -> list[T]:
        self._has_some.clear()
        items, self._items = self._items, []
        return items


def _key(delivery: Delivery) -> str:
    return key_of(delivery.event) if isinstance(delivery.event, Event) else ""
