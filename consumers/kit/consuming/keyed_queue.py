"""The order of handling: messages of one key one after the other, the rest side by side."""

import asyncio
from collections import deque
from collections.abc import Sequence

from consumers.kit.consuming.delivery import Delivery


class KeyedQueue:
    """Hand messages out so that no two batches have the same key at the same time.

    How many there are is bounded by the consumer's prefetch.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Delivery]] = {}  # of each key in hand or ready
        self._ready: deque[str] = deque()  # keys of which nothing is in hand
        self._wake = asyncio.Event()
        self._is_closed = False

    def put(self, delivery: Delivery) -> None:
        """Add a message behind those of its key."""
        waiting = self._waiting.get(delivery.key)
        if waiting is None:
            self._waiting[delivery.key] = deque((delivery,))
            self._ready.append(delivery.key)
            self._wake.set()
        else:
            waiting.append(delivery)

    async def take(self, limit: int) -> Sequence[Delivery]:
        """Return up to limit messages to handle in this order, as soon as there is one.

        Pass each batch to `done` afterwards. Once the queue is closed, nothing is returned.
        """
        while not self._is_closed:
            if self._ready:
                return self._next(limit)
            self._wake.clear()
            await self._wake.wait()
        return ()

    def done(self, batch: Sequence[Delivery]) -> None:
        """Let the next messages of the batch's keys be taken."""
        for key in _keys(batch):
            if self._waiting[key]:
                self._ready.append(key)
                self._wake.set()
            else:
                del self._waiting[key]

    def take_rest(self, batch: Sequence[Delivery]) -> list[Delivery]:
        """Return all messages of the batch's keys, in order. They are in hand with the batch."""
        rest: list[Delivery] = []
        for key in _keys(batch):
            rest += self._waiting[key]
            self._waiting[key].clear()
        return rest

    def close(self) -> None:
        """Hand out nothing more."""
        self._is_closed = True
        self._wake.set()

    def _next(self, limit: int) -> list[Delivery]:
        taken: list[Delivery] = []
        while self._ready and len(taken) < limit:
            waiting = self._waiting[self._ready.popleft()]
            while waiting and len(taken) < limit:
                taken.append(waiting.popleft())
        return taken


def _keys(batch: Sequence[Delivery]) -> list[str]:
    return list(dict.fromkeys([delivery.key for delivery in batch]))
