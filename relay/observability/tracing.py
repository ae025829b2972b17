"""OpenTelemetry spans, for who asks for them: the extra `relay[otel]` and `tracing.enabled`.

Three spans tell an event's way, all in the trace of the vendor's request: `receive`, from the
request to its answer; `publish`, from its arrival to the broker's confirm, so that what waits in
the outbox shows; and `process`, of each attempt of a consumer. The message carries the context of
the first as `traceparent` (https://www.w3.org/TR/trace-context/). Attributes say what the log
says: ids and routing keys, never a body, a secret or an error's text.

Only imported when tracing is on. Where spans go, and how many are kept, is said by
OpenTelemetry's own variables, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, ...:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
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

_TELL_EVERY_S = 10.0
_LAST_EXPORT_S = 5.0
_NS = 1_000_000_000
_SERVER_ERROR = 500

_w3c = TraceContextTextMapPropagator()

log = structlog.get_logger("relay.tracing")


def exporting(service: str) -> "Tracing":
    """Return what exports its spans over OTLP/HTTP, in batches, from a thread of its own.

    The batch is bounded; spans beyond it are dropped, as are those no collector takes.

    Args:
        service: the `service.name`, unless OTEL_SERVICE_NAME says another.
    """
    named = Resource.create({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=named)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    logger = logging.getLogger("opentelemetry")
    logger.handlers = [_Told()]
    logger.propagate = False
    return Tracing(provider)


class _Told(logging.Handler):
    """Says in the relay's own log what OpenTelemetry complains of, at most every 10 s."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._tells = LogThrottle(_TELL_EVERY_S)

    def emit(self, record: logging.LogRecord) -> None:
        """Log a complaint, without its traceback."""
        if self._tells.should_log():
            log.warning("spans not exported", reason=record.getMessage())


class Receiving:
    """The span of one request."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """What the events of the request carry."""
        return _traceparent(self._span)

    def end(self, status: int, said: Mapping[str, object]) -> None:
        """End the span with the answer's status, and what the log line says of it."""
        self._span.set_attribute("http.response.status_code", status)
        for name in ("request_id", "event_id", "events", "routing_key", "quarantined"):
            if name in said:
                self._span.set_attribute(f"relay.{name}", str(said[name]))
        if status >= _SERVER_ERROR:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Processing:
    """The span of one attempt at an event, or at a batch of them."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """What a handler passes on to whom it calls."""
        return _traceparent(self._span)

    def note_failures(self, errors: Sequence[Exception]) -> None:
        """Say how many events failed, and what the first failed of."""
        if errors:
            self._span.set_attribute("error.type", type(errors[0]).__qualname__)
            self._span.set_attribute("relay.failed", len(errors))
            self._span.set_status(Status(StatusCode.ERROR))


class Tracing:
    """Begin spans. `close` exports what is left.

    Args:
        provider: what makes and exports them.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("relay")

    def receiving(self, origin: Origin, traceparent: str | None, received_at: float) -> Receiving:
        """Begin the span of a request to a source, within the caller's trace if it names one."""
        return Receiving(
            self._tracer.start_span(
                f"receive {origin.source}",
                context=_context(traceparent),
                kind=SpanKind.SERVER,
                attributes={
                    "http.request.method": "POST",
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
    ) -> Iterator[Processing]:
        """Make the span of an attempt the current one: spans of whatever is called are within it.

        A single event's span is in the trace of its delivery; that of a batch links to all.

        Args:
            consumer: the service's name.
            traceparents: of the events; "" where there is none.
            message_id: of the first event.
            attempt: at the first event.
        """
        contexts = [_context(it) for it in traceparents]
        is_single = len(contexts) == 1
        origins = [trace.get_current_span(it).get_span_context() for it in contexts]
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
            links=[] if is_single else [Link(it) for it in origins if it.is_valid],
            record_exception=False,
        ) as span:
            yield Processing(span)

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
