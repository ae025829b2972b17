"""How a consumer's function is called: with one event, with a batch, or within a transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from consumers.kit.consumer import BatchHandler, Consumer, Handler, Writer
from consumers.kit.errors import Unavailable
from consumers.kit.event import Event
from consumers.kit.seen.store import SeenStore

T = TypeVar("T")
Result = Exception | bool
"""What came of an event: an error, or whether it was new; False for a duplicate that was skipped.
"""

_MAX_TIMEOUTS = 12
"""In one batch: enough to find one event of 2,000 that hangs, by halves."""


class Caller(Protocol):
    """Calls a consumer's function with at most `limit` events, and returns what came of each."""

    limit: int

    async def __call__(self, events: Sequence[Event]) -> Sequence[Result]:
        """Return the results in the order of events."""


class SingleCaller:
    """Calls a handler of one event."""

    limit = 1

    def __init__(self, handler: Handler, *, timeout_s: float) -> None:
        self._handler = handler
        self._timeout_s = timeout_s

    async def __call__(self, events: Sequence[Event]) -> Sequence[Result]:
        """Handle the one event there is."""
        (event,) = events
        return [await _attempt(self._handler, event, self._timeout_s)]


class BatchCaller:
    """Calls a handler of many events. When it fails, the culprits are found by halves."""

    def __init__(self, handler: BatchHandler, *, limit: int, timeout_s: float) -> None:
        self.limit = limit
        self._handler = handler
        self._timeout_s = timeout_s

    async def __call__(self, events: Sequence[Event]) -> Sequence[Result]:
        """Handle all events together; when that fails, each half of them."""
        timeouts_left = _MAX_TIMEOUTS

        async def handle(events: Sequence[Event]) -> Sequence[Result] | Exception:
            nonlocal timeouts_left
            result = await _attempt(self._handler, events, self._timeout_s)
            if isinstance(result, TimeoutError):
                timeouts_left -= 1
                if not timeouts_left:  # no single event is to blame, but what they all need
                    return Unavailable(f"the handler hangs: {result}")
            return result if isinstance(result, Exception) else [result] * len(events)

        return await _by_halves(handle, events)


class WriterCaller:
    """Calls a writer, within a transaction of the `seen` store's own database."""

    def __init__(self, writer: Writer, *, limit: int, seen: SeenStore) -> None:
        self.limit = limit
        self._writer = writer
        self._seen = seen

    async def __call__(self, events: Sequence[Event]) -> Sequence[Result]:
        """Write all events in one transaction, each with its mark; when that fails, in two."""
        return await _by_halves(self._write, events)

    async def _write(self, events: Sequence[Event]) -> Sequence[Result] | Exception:
        try:
            return await self._seen.write(events, self._writer)
        except Exception as error:  # noqa: BLE001  as in _attempt
            return error


def caller_of(consumer: Consumer, *, seen: SeenStore | None, timeout_s: float) -> Caller:
    """Return what calls the consumer's function.

    Raises:
        ValueError: it has none, or more than one, or a writer without a store.
    """
    functions = (consumer.handle_one, consumer.handle_batch, consumer.write)
    count = len([function for function in functions if function])
    if count != 1:
        raise ValueError(f"{consumer.name} has {count} handlers; it needs exactly one")
    if consumer.handle_one:
        return SingleCaller(consumer.handle_one, timeout_s=timeout_s)
    if consumer.handle_batch:
        limit = consumer.batch_limit
        return BatchCaller(consumer.handle_batch, limit=limit, timeout_s=timeout_s)
    if consumer.write and seen:
        return WriterCaller(consumer.write, limit=consumer.batch_limit, seen=seen)
    raise ValueError(f"{consumer.name} has a writer, so it needs a `seen` database to write to")


async def _by_halves(
    handle: Callable[[Sequence[Event]], Awaitable[Sequence[Result] | Exception]],
    events: Sequence[Event],
) -> Sequence[Result]:
    """Handle all events together; when that fails, each half of them, down to single ones.

    Once something they need is down, the rest is not tried: it would overtake what has to wait.
    """
    results = await handle(events)
    if not isinstance(results, Exception):
        return results
    if isinstance(results, Unavailable) or len(events) == 1:
        return [results] * len(events)
    middle = len(events) // 2
    first = await _by_halves(handle, events[:middle])
    if isinstance(first[-1], Unavailable):
        return [*first, *[first[-1]] * (len(events) - middle)]
    return [*first, *await _by_halves(handle, events[middle:])]


async def _attempt(handler: Callable[[T], Awaitable[None]], given: T, timeout_s: float) -> Result:
    """Await a handler, and turn all that it can do into a result."""
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            await handler(given)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise
        return RuntimeError("something the handler awaited was cancelled")
    except TimeoutError as error:
        return TimeoutError(f"it took longer than {timeout_s:g} s") if limit.expired() else error
    except Exception as error:  # noqa: BLE001  a handler may raise anything; it is logged
        return error
    return True
