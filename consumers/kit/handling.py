"""How a consumer's function is called: with one event, with a batch, or within a transaction."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from consumers.kit.consumer import BatchHandler, Consumer, Handler, Writer
from consumers.kit.errors import Unavailable
from consumers.kit.event import Event
from consumers.kit.seen import Seen, key_of

Result = Exception | bool
"""What came of an event: an error, or whether it was new; False for a duplicate passed over."""


class Handling(Protocol):
    """Handles events, at most `limit` at once, and tells of each what came of it."""

    limit: int

    async def __call__(self, events: Sequence[Event]) -> Sequence[Result]:
        """Return the results in the order of events."""


class OneByOne:
    """A handler with the `seen` store around it: looked at before, marked after."""

    limit = 1

    def __init__(self, handler: Handler, *, seen: Seen | None, timeout_s: float) -> None:
        self._handler = handler
        self._seen = seen
        self._timeout_s = timeout_s

    async def __call__(self, events: Sequence[Event]) -> Sequence[Result]:
        """Handle the one event there is."""
        (event,) = events
        if self._seen is None:
            return [await _attempt(self._handler(event), self._timeout_s)]
        try:
            if not await self._seen.is_new(key_of(event)):
                return [False]
            result = await _attempt(self._handler(event), self._timeout_s)
            if result is True:
                await self._seen.mark(key_of(event))
        except Unavailable as error:
            return [error]
        return [result]


class InBatches:
    """A handler of many events, which is left to find its culprit by halves."""

    def __init__(self, handler: BatchHandler, *, limit: int, timeout_s: float) -> None:
        self.limit = limit
        self._handler = handler
        self._timeout_s = timeout_s

    async def __call__(self, events: Sequence[Event]) -> Sequence[Result]:
        """Handle all events together; when that fails, each half of them."""
        result = await _attempt(self._handler(events), self._timeout_s)
        if result is True or isinstance(result, Unavailable) or len(events) == 1:
            return [result] * len(events)
        middle = len(events) // 2
        return [*await self(events[:middle]), *await self(events[middle:])]


class InTransactions:
    """A writer into the `seen` store's own database."""

    def __init__(self, writer: Writer, *, limit: int, seen: Seen) -> None:
        self.limit = limit
        self._writer = writer
        self._seen = seen

    async def __call__(self, events: Sequence[Event]) -> Sequence[Result]:
        """Write all events in one transaction, each with its mark."""
        try:
            return await self._seen.write(events, self._writer)
        except Unavailable as error:
            return [error] * len(events)


def handling_of(consumer: Consumer, *, seen: Seen | None, timeout_s: float) -> Handling:
    """Return how the consumer's function is to be called.

    Raises:
        ValueError: it has none, or more than one, or a writer without a store.
    """
    given = [it for it in (consumer.handle_one, consumer.handle_batch, consumer.write) if it]
    if len(given) != 1:
        raise ValueError(f"{consumer.name} has {len(given)} handlers; it needs exactly one")
    if consumer.handle_one:
        return OneByOne(consumer.handle_one, seen=seen, timeout_s=timeout_s)
    if consumer.handle_batch:
        limit = consumer.batch_limit
        return InBatches(consumer.handle_batch, limit=limit, timeout_s=timeout_s)
    if consumer.write and seen:
        return InTransactions(consumer.write, limit=consumer.batch_limit, seen=seen)
    raise ValueError(f"{consumer.name} has a writer, so it needs a `seen` database to write to")


async def _attempt(work: Awaitable[None], timeout_s: float) -> Result:
    """Await a handler's work, and turn all that it can do into a result."""
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise
        return RuntimeError("something the handler awaited was cancelled")
    except TimeoutError as error:
        return TimeoutError(f"it took longer than {timeout_s:g} s") if limit.expired() else error
    except Exception as error:  # noqa: BLE001  it is logged, and decides what becomes of the event
        return error
    return True
