"""OpenTelemetry spans, where `tracing.enabled` is set and the extra `otel` installed.

An event has three spans, all in the trace of the vendor's request:

    receive   from the request to its answer
    publish   from the arrival to the broker's confirm, so that time in the outbox shows
    process   an attempt of a consumer

The message carries the context of the first as `traceparent`: https://www.w3.org/TR/trace-context/
Attributes hold what the log holds: ids and routing keys, never a body, a secret or an error's text.

Imported only when tracing is on. OpenTelemetry's own variables say where spans go, and how many
are kept: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from relay.events import amqp
from relay.events.message import Message, Origin
from relay.observability.log_throttle import LogThrottle

_LOG_EVERY_S = 10.0
_LAST_EXPORT_S = 5.0
_NS = 1_000_000_000
_SERVER_ERROR = 500

_w3c = TraceContextTextMapPropagator()

log = structlog.get_logger("relay.tracing")


def exporting(service: str) -> "Tracing":
    """Return a Tracing that exports over OTLP/HTTP, in batches, from a thread of its own.

    The batch is bounded. Spans beyond it are dropped, and so are those that no collector takes.

    Args:
        service: the `service.name`, unless OTEL_SERVICE_NAME is set.
    """
    named = Resource.create({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=named)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    logger = logging.getLogger("opentelemetry")
    logger.handlers = [_ComplaintHandler()]
    logger.propagate = False
    return Tracing(provider)


class _ComplaintHandler(logging.Handler):
    """Write OpenTelemetry's complaints to the relay's own log, at most one in 10 s."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._throttle = LogThrottle(_LOG_EVERY_S)

    def emit(self, record: logging.LogRecord) -> None:
        """Log a complaint, without its traceback."""
        if self._throttle.should_log():
            log.warning("spans not exported", reason=record.getMessage())


class ReceiveSpan:
    """The span of one request."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """The context that the request's events carry."""
        return _traceparent(self._span)

    def end(self, status: int, line: Mapping[str, object]) -> None:
        """End the span with the answer's status, and with some fields of its log line."""
        self._span.set_attribute("http.response.status_code", status)
        for name in ("request_id", "event_id", "events", "routing_key", "quarantined"):
            if name in line:
                self._span.set_attribute(f"relay.{name}", str(line[name]))
        if status >= _SERVER_ERROR:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class ProcessSpan:
    """The span of one attempt at an event, or at a batch of them."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """The context that a handler passes on to what it calls."""
        return _traceparent(self._span)

    def note_failures(self, errors: Sequence[Exception]) -> None:
        """Record how many events failed, and the kind of the first error."""
        if errors:
            self._span.set_attribute("error.type", type(errors[0]).__qualname__)
            self._span.set_attribute("relay.failed", len(errors))
            self._span.set_status(Status(StatusCode.ERROR))


class Tracing:
    """Begin spans. `close` exports what is left.

    Args:
        provider: makes and exports them.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("relay")

    def receiving(
        self, method: str, origin: Origin, traceparent: str | None, received_at: float
    ) -> ReceiveSpan:
        """Begin the span of a request to a source, within the caller's trace if it names one."""
        return ReceiveSpan(
            self._tracer.start_span(
                f"receive {origin.source}",
                context=_context(traceparent),
                kind=SpanKind.SERVER,
                attributes={
                    "http.request.method": method,
                    "http.route": "/in/{source}",
                    "relay.source": origin.source,
                    "relay.vendor": origin.vendor,
                },
                start_time=int(received_at * _NS),
            )
        )

    def note_confirmed(self, message: Message, exchange: str) -> None:
        """Record that the broker confirmed a message just now."""
        self._tracer.start_span(
            f"publish {exchange}",
            context=_context(amqp.traceparent_in(message.properties)),
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "rabbitmq",
                "messaging.operation.type": "send",
                "messaging.destination.name": exchange,
                "messaging.rabbitmq.destination.routing_key": message.routing_key,
                "messaging.message.id": message.id,
            },
            start_time=int(message.received_at * _NS),
        ).end()

    @contextlib.contextmanager
    def processing(
        self, consumer: str, traceparents: Sequence[str], *, message_id: str, attempt: int
    ) -> Iterator[ProcessSpan]:
        """Make the span of an attempt the current one, which spans of called code are children of.

        A single event's span is in the trace of its delivery. A batch's span links to all of them.

        Args:
            consumer: the service's name.
            traceparents: of the events; "" where there is none.
            message_id: of the first event.
            attempt: at the first event.
        """
        contexts = [_context(traceparent) for traceparent in traceparents]
        is_single = len(contexts) == 1
        origins = [trace.get_current_span(context).get_span_context() for context in contexts]
        attributes: dict[str, str | int] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.destination.name": consumer,
        }
        if is_single:
            attributes |= {"messaging.message.id": message_id, "relay.attempt": attempt}
        else:
            attributes["messaging.batch.message_count"] = len(contexts)
        with self._tracer.start_as_current_span(
            f"process {consumer}",
            context=contexts[0] if is_single else Context(),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[] if is_single else [Link(origin) for origin in origins if origin.is_valid],
            record_exception=False,
        ) as span:
            yield ProcessSpan(span)

    async def close(self) -> None:
        """Export what is left, within 5 s."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_EXPORT_S):
                await asyncio.to_thread(self._provider.shutdown)


def _context(traceparent: str | None) -> Context:
    """Return the context a `traceparent` names; an empty one for none, or a malformed one."""
    return _w3c.extract({"traceparent": traceparent} if traceparent else {}, Context())


def _traceparent(span: Span) -> str:
    carrier: dict[str, str] = {}
    _w3c.inject(carrier, trace.set_span_in_context(span))
    return carrier["traceparent"]
