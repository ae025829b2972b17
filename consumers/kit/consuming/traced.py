"""A handling whose every call is a span. Used only where tracing is on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from consumers.kit.consuming.calling import Handling, Result
from consumers.kit.event import Event

if TYPE_CHECKING:
    from relay.observability.tracing import Tracing


class Traced:
    """Handle as another does, within a span.

    A single event is handed on with the span's `traceparent`, for whoever its handler calls.
    """

    def __init__(self, handling: Handling, *, consumer: str, tracing: "Tracing") -> None:
        self.limit = handling.limit
        self._handling = handling
        self._consumer = consumer
        self._tracing = tracing

    async def __call__(self, events: Sequence[Event]) -> Sequence[Result]:
        """Return the results in the order of events."""
        first, traceparents = events[0], [it.traceparent for it in events]
        with self._tracing.processing(
            self._consumer, traceparents, message_id=first.id, attempt=first.attempt
        ) as span:
            if len(events) == 1:
                events = [replace(first, traceparent=span.traceparent)]
            results = await self._handling(events)
            span.note_failures([it for it in results if isinstance(it, Exception)])
        return results
