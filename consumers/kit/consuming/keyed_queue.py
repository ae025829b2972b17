"""The order of handling: messages of one key one after the other, the rest side by side.

A suspect, which may kill the process, is handled while nothing else is: else the others would be
suspects, too.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from consumers.kit.consuming.delivery import Delivery


class KeyedQueue:
    """Hand messages out so that no two batches have the same key at the same time.

    A suspect is a batch of its own, in hand alone.

    How many there are is bounded by the consumer's prefetch.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Delivery]] = {}  # of each key in hand or ready
        self._ready: deque[str] = deque()  # keys of which nothing is in hand
        self._batches_in_hand = 0
        self._has_suspect_in_hand = False
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
            if batch := self._next(limit):
                self._batches_in_hand += 1
                return batch
            self._wake.clear()
            await self._wake.wait()
        return ()

    def done(self, batch: Sequence[Delivery]) -> None:
        """Let the next messages of the batch's keys be taken."""
        self._batches_in_hand -= 1
        self._has_suspect_in_hand = False  # if there was one, it was the only batch
        for key in _keys(batch):
            if self._waiting[key]:
                self._ready.append(key)
            else:
                del self._waiting[key]
        if self._ready:
            self._wake.set()

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
        while self._ready and len(taken) < limit and not self._has_suspect_in_hand:
            waiting = self._waiting[self._ready[0]]
            if waiting[0].message.is_suspect:
                return taken or self._next_suspect()
            self._ready.popleft()
            while waiting and len(taken) < limit and not waiting[0].message.is_suspect:
                taken.append(waiting.popleft())
        return taken

    def _next_suspect(self) -> list[Delivery]:
        """Return the first message, a suspect, as soon as nothing else is in hand."""
        if self._batches_in_hand:
            return []
        self._has_suspect_in_hand = True
        return [self._waiting[self._ready.popleft()].popleft()]


def _keys(batch: Sequence[Delivery]) -> list[str]:
    return list(dict.fromkeys([delivery.key for delivery in batch]))
