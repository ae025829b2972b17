"""Spans kept in memory, to look at in a test."""

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from relay.observability.tracing import Tracing

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"
UNSAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-00"


class Spans:
    """What was traced so far."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    def all(self) -> list[ReadableSpan]:
        """All spans that have ended, in the order in which they did."""
        return list(self._exporter.get_finished_spans())

    def one(self) -> ReadableSpan:
        """The one span there is."""
        (span,) = self.all()
        return span


def traceparent_of(span: ReadableSpan) -> str:
    """Return the context that a child of the span carries."""
    context = span.context
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def parent_of(span: ReadableSpan) -> tuple[str, str] | None:
    """Return the ids of the trace and the span that a span is within."""
    return span.parent and (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}")
