"""The order of handling: what has the same key goes one after the other, the rest side by side."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar


class HasKey(Protocol):
    """Whatever is put in a lane."""

    @property
    def key(self) -> str:
        """Names the lane."""


T = TypeVar("T", bound=HasKey)


class KeyedQueue(Generic[T]):
    """Hand items out so that no two of one key are in hand at the same time.

    What is put in is bounded by whoever puts: a consumer's prefetch.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, deque[T]] = {}
        self._ready: deque[str] = deque()  # keys with items of which none is in hand
        self._wake = asyncio.Event()
        self._is_closed = False

    def put(self, item: T) -> None:
        """Add an item behind those of its key."""
        lane = self._lanes.get(item.key)
        if lane is None:
            self._lanes[item.key] = deque((item,))
            self._ready.append(item.key)
            self._wake.set()
        else:
            lane.append(item)

    async def take(self, limit: int) -> Sequence[T]:
        """Return up to limit items to handle in this order, as soon as there is one.

        Give each batch back with `done`. Nothing is returned once the lanes are closed.
        """
        while not self._is_closed:
            if self._ready:
                return self._next(limit)
            self._wake.clear()
            await self._wake.wait()
        return ()

    def done(self, items: Sequence[T]) -> None:
        """Let the next ones of these items' keys be taken."""
        for key in dict.fromkeys([it.key for it in items]):
            if self._lanes[key]:
                self._ready.append(key)
                self._wake.set()
            else:
                del self._lanes[key]

    def take_rest(self, items: Sequence[T]) -> list[T]:
        """Return what lies behind items in their lanes, in order; it is in hand with them."""
        rest: list[T] = []
        for key in dict.fromkeys([it.key for it in items]):
            rest += self._lanes[key]
            self._lanes[key].clear()
        return rest

    def close(self) -> None:
        """Hand nothing out any more."""
        self._is_closed = True
        self._wake.set()

    def _next(self, limit: int) -> list[T]:
        taken: list[T] = []
        while self._ready and len(taken) < limit:
            lane = self._lanes[self._ready.popleft()]
            while lane and len(taken) < limit:
                taken.append(lane.popleft())
        return taken
