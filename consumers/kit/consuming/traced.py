"""A span for each call of a consumer's function. Used only where tracing is on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from consumers.kit.consuming.calling import Caller, Result
from consumers.kit.event import Event

if TYPE_CHECKING:
    from relay.observability.tracing import Tracing


class TracedCaller:
    """Calls as another caller does, within a span.

    A single event gets the span's `traceparent`, which its handler can pass on.
    """

    def __init__(self, caller: Caller, *, consumer: str, tracing: "Tracing") -> None:
        self.limit = caller.limit
        self._caller = caller
        self._consumer = consumer
        self._tracing = tracing

    async def __call__(self, events: Sequence[Event]) -> Sequence[Result]:
        """Return the results in the order of events."""
        first, traceparents = events[0], [event.traceparent for event in events]
        with self._tracing.processing(
            self._consumer, traceparents, message_id=first.id, attempt=first.attempt
        ) as span:
            if len(events) == 1:
                events = [replace(first, traceparent=span.traceparent)]
            results = await self._caller(events)
            span.note_failures([result for result in results if isinstance(result, Exception)])
        return results
