"""What became of a request: its response, its log line, its counts and its span.

Bodies, query strings, tokens and signatures are never logged.
"""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from relay.errors import (
    InternalError,
    MethodNotAllowed,
    NotDurable,
    OutboxFull,
    Refused,
    ServiceUnavailable,
    StorageFull,
    Unauthenticated,
)
from relay.events.traceparent import traceparent_of
from relay.ingress import http_response
from relay.ingress.drift import Drift
from relay.ingress.http_response import Response
from relay.ingress.processing import ProcessedDelivery, Source
from relay.ingress.redacted_request import RedactedRequest, redacted_request
from relay.ingress.request_context import RequestContext
from relay.ingress.safe_errors import safe_field_names, safe_head_names
from relay.observability.capture import Capture
from relay.observability.logs import line_logger, to_json
from relay.observability.metrics import IngressMetrics, authentication_reason, event_type_label
from relay.observability.recent_requests import MAX_EVENTS_SHOWN, RecentRequests
from relay.process.safe_traceback import safe_traceback
from relay.vendors.kit.request import Request

if TYPE_CHECKING:
    from relay.observability.tracing import Tracing

_UNKNOWN = "unknown"

log = structlog.get_logger("relay.ingress")


class Outcomes:
    """Reports requests.

    Args:
        metrics: where requests and events are counted.
        tracing: where requests become spans, if anywhere.
        drift: looks at the events, if anything does.
        recent: keeps the latest requests, if anything does.
        capture: keeps whole requests while it is on.
    """

    def __init__(
        self,
        metrics: IngressMetrics,
        tracing: "Tracing | None" = None,
        drift: Drift | None = None,
        recent: RecentRequests | None = None,
        capture: Capture | None = None,
    ) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._drift = drift
        self._recent = recent or RecentRequests()
        self._capture = capture or Capture()
        self._secrets: Sequence[str] = ()
        self._sources: Mapping[str, Source] = {}
        self._log_delivery = line_logger("delivery")

    def set_sources(self, sources: Mapping[str, Source]) -> None:
        """Take the sources that there are; requests to any other are those of an unknown one."""
        if self._drift:
            self._drift.set_sources(sources)
        self._sources = sources
        self._secrets = [value for source in sources.values() for value in source.secrets.values]
        self._capture.set_sources(sources, self._secrets)
        self._metrics.show_zeros(sources)
        expected = {name: source.expect_every_s for name, source in sources.items()}
        self._metrics.last_seen.watch(expected, time.time())

    def begin_span(self, request: RequestContext) -> None:
        """Begin the request's span, a child of its caller's, where requests are traced."""
        if self._tracing:
            head, traceparent = request.head, traceparent_of(request.head.headers)
            request.span = self._tracing.receiving(
                head.method, request.source.origin, traceparent, request.received_at
            )

    def note_authenticated(self, request: RequestContext) -> None:
        """Note that a source was heard of, whatever becomes of the request."""
        self._metrics.last_seen.times[request.source_name] = request.received_at

    def response(self, request: RequestContext, outcome: ProcessedDelivery | Exception) -> Response:
        """Return the answer to a request, and note what its log line says of it."""
        if isinstance(outcome, ProcessedDelivery):
            try:
                return self._accepted(request, outcome)
            except Exception as error:  # noqa: BLE001  whoever completes it has others to complete
                return self._refused(request, error)
        return self._refused(request, outcome)

    def _accepted(self, request: RequestContext, processed: ProcessedDelivery) -> Response:
        origin = request.source.origin
        response = http_response.accepted_response(processed, request.source.echo)
        if processed.failure:
            log.error("vendor failed", source=origin.source, **processed.failure)
        if processed.reason:
            self._metrics.quarantined.labels(origin.source).inc()
        elif processed.reasons:
            self._metrics.quarantined.labels(origin.source).inc(len(processed.reasons))
        elif not processed.messages and not processed.ignored:
            self._metrics.handshakes.labels(origin.source).inc()
        if processed.ignored:
            self._metrics.ignored.labels(origin.source).inc(len(processed.ignored))
        for event_type in processed.types:
            self._metrics.events.counts[origin.vendor, event_type_label(event_type)] += 1
        if self._drift and request.delivery:
            self._drift.take(origin.vendor, request.delivery.query_string, processed.messages)
        summarize(processed, request.line)
        request.types = processed.types[:MAX_EVENTS_SHOWN]
        if len(processed.messages) > 1 or processed.reason:
            request.details = _details(processed)
        return response

    def _refused(self, request: RequestContext, error: Exception) -> Response:
        refusal = self._refusal(request, error)
        names: dict[str, object] | None = None
        if isinstance(refusal, Unauthenticated):
            self._metrics.count_unauthenticated(request.source_name, refusal.reason)
            if request.delivery:
                names = safe_field_names(request.delivery, request.source.secrets.values)
                request.line.update(names)
            request.line["detail"] = str(refusal)
        request.line["reason"] = getattr(refusal, "reason", str(refusal))
        if names is None:
            names = safe_head_names(request.head.headers, request.query_string, self._secrets)
        request.details = names | _refusal_details(request, refusal)
        return http_response.problem_response(refusal, request.id)

    def _refusal(self, request: RequestContext, error: Exception) -> Refused:
        """Return what HTTP answers to an error."""
        match error:
            case Refused():
                return error
            case OutboxFull():
                return StorageFull(str(error))
            case NotDurable():
                return ServiceUnavailable(str(error))
        name = request.source_name
        log.error("delivery failed", source=name, **safe_traceback(error), **request.line)
        return InternalError("see the traceback")

    def report(self, request: RequestContext, status: int) -> None:
        """Log, count and trace a request that was answered."""
        elapsed_s = time.perf_counter() - request.started
        name = request.source_name if request.source_name in self._sources else _UNKNOWN
        self._metrics.answer_seconds.observe(elapsed_s)
        self._metrics.requests.counts[name, status] += 1
        line = request.line
        line["source"] = name
        line["status"] = status
        line["duration_ms"] = round(elapsed_s * 1000, 3)
        encoded = to_json(line)
        self._log_delivery(encoded)
        self._recent.add(
            request.received_at, request.head.method, encoded, request.types, request.details
        )
        if self._capture.source == name:
            self._capture_request(request, status)
        if request.span:
            request.span.end(status, line)

    def _capture_request(self, request: RequestContext, status: int) -> None:
        delivery = request.delivery or Request(
            body=request.body, headers=request.head.headers, url=request.head.raw_path
        )
        source = self._sources[request.source_name]
        shown = RedactedRequest(delivery.url, [*delivery.headers.items()], delivery.body)
        if source.rules and source.rules.redaction:
            shown = redacted_request(delivery, source.vendor, source.rules.redaction)
        self._capture.take(
            request_id=request.id,
            received_at=request.received_at,
            method=request.head.method,
            target=shown.target,
            headers=shown.headers,
            body=shown.body,
            status=status,
        )


def _refusal_details(request: RequestContext, refusal: Refused) -> dict[str, object]:
    """Return what `/recent` shows of a refusal, besides names: words of ours."""
    details: dict[str, object] = {"reason": refusal.slug, "detail": str(refusal)}
    if isinstance(refusal, Unauthenticated):
        details["reason"] = authentication_reason(refusal.reason)
    elif isinstance(refusal, MethodNotAllowed):
        details["detail"] = refusal.title  # the other text quotes the method
    if request.body and "bytes" not in request.line:
        details["bytes"] = len(request.body)
    return details


def _details(processed: ProcessedDelivery) -> dict[str, object]:
    """Return what `/recent` shows of several messages, or of a quarantined one."""
    events = [message for message in processed.messages if not message.is_quarantined]
    shown = events or processed.messages
    return {
        "routing_key": shown[0].routing_key,
        "event_ids": [message.id for message in shown[:MAX_EVENTS_SHOWN]],
    }


def summarize(processed: ProcessedDelivery, line: dict[str, object]) -> None:
    """Note in a log line what became of a delivery, beside what it says of every request."""
    messages = processed.messages
    if processed.reason:
        line["quarantined"] = processed.reason
        line["event_id"] = messages[0].id
    elif processed.reasons:
        event = next((each for each in messages if not each.is_quarantined), messages[0])
        line["events"] = len(processed.types)
        line["event_id"] = event.id
        line["quarantined_alone"] = len(processed.reasons)
        line["reasons"] = sorted({*processed.reasons})
    elif len(messages) == 1:
        line["event_id"] = messages[0].id
        line["routing_key"] = messages[0].routing_key
    elif messages:
        line["events"] = len(messages)
        line["event_id"] = messages[0].id
    elif not processed.ignored:
        line["handshake"] = True
    if processed.ignored:
        line["ignored"] = len(processed.ignored)
    if processed.is_unredacted:
        line["unredacted"] = True
