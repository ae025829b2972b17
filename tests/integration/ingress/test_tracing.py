"""A request as a span, over real HTTP and with a real outbox."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from relay import vendors
from relay.errors import OutboxFull
from relay.events import amqp
from tests.integration.conftest import Start, source
from tests.support.spans import (
    PARENT_ID,
    TRACE_ID,
    TRACEPARENT,
    UNSAMPLED,
    Spans,
    parent_of,
    traceparent_of,
)

SECRET = {"Authorization": "s3cret"}
BODY = vendors.samples("swiftsell")[1].read_bytes()


@pytest.fixture
def spans() -> Spans:
    return Spans()


def said(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


async def test_a_request_is_a_span_in_its_callers_trace_and_its_event_carries_it(
    start: Start, spans: Spans
) -> None:
    running = await start(source("swiftsell", "s3cret", name="acme"), tracing=spans.tracing)

    answer = await running.post(
        "/in/acme?token=hush", BODY, headers=SECRET | {"traceparent": TRACEPARENT}
    )

    span, (stored,) = spans.one(), await running.stored()
    assert (answer.status, span.name, span.kind) == (200, "receive acme", SpanKind.SERVER)
    assert parent_of(span) == (TRACE_ID, PARENT_ID)
    assert (
        said(span).items()
        >= {
            "http.route": "/in/{source}",
            "http.response.status_code": 200,
            "relay.source": "acme",
            "relay.vendor": "swiftsell",
            "relay.event_id": stored.message.id,
            "relay.routing_key": stored.message.routing_key,
        }.items()
    )
    assert amqp.traceparent_in(stored.message.properties) == traceparent_of(span)
    assert "hush" not in span.to_json()
    assert "s3cret" not in span.to_json()


@pytest.mark.parametrize("token", ["s3cret", "forged"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_span_says_the_method_of_its_request(
    start: Start, spans: Spans, method: str, token: str
) -> None:
    running = await start(source("meta", "s3cret", name="acme"), tracing=spans.tracing)

    await running.request(
        method, f"/in/acme?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1"
    )

    assert said(spans.one())["http.request.method"] == method


@pytest.mark.parametrize("given", [{}, {"traceparent": "00-nonsense"}])
async def test_a_request_without_a_trace_begins_one(
    given: dict[str, str], start: Start, spans: Spans
) -> None:
    running = await start(source("swiftsell", "s3cret"), tracing=spans.tracing)

    await running.post("/in/swiftsell", BODY, headers=SECRET | given)

    (stored,) = await running.stored()
    assert parent_of(spans.one()) is None
    assert amqp.traceparent_in(stored.message.properties) == traceparent_of(spans.one())


async def test_a_trace_its_caller_does_not_sample_is_passed_on_and_not_recorded(
    start: Start, spans: Spans
) -> None:
    running = await start(source("swiftsell", "s3cret"), tracing=spans.tracing)

    await running.post("/in/swiftsell", BODY, headers=SECRET | {"traceparent": UNSAMPLED})

    (stored,) = await running.stored()
    carried = amqp.traceparent_in(stored.message.properties) or ""
    assert spans.all() == []
    assert (carried[:36], carried[-2:]) == (UNSAMPLED[:36], "00")


async def test_a_large_delivery_carries_its_span_through_the_process_beside(
    start: Start, spans: Spans
) -> None:
    running = await start(source("swiftsell", "s3cret"), tracing=spans.tracing)

    await running.post("/in/swiftsell", BODY + b" " * 70_000, headers=SECRET)

    (stored,) = await running.stored()
    assert amqp.traceparent_in(stored.message.properties) == traceparent_of(spans.one())


async def test_a_quarantined_delivery_is_traced_too(start: Start, spans: Spans) -> None:
    running = await start(source("swiftsell", "s3cret"), tracing=spans.tracing)

    await running.post("/in/swiftsell", b"no JSON", headers=SECRET)

    (stored,) = await running.stored()
    assert said(spans.one())["relay.quarantined"] == "not_json"
    assert amqp.traceparent_in(stored.message.properties) == traceparent_of(spans.one())


async def test_an_unauthenticated_request_is_no_error_of_ours(start: Start, spans: Spans) -> None:
    running = await start(source("swiftsell", "s3cret"), tracing=spans.tracing)

    await running.post("/in/swiftsell", BODY, headers={"Authorization": "guess"})

    assert said(spans.one())["http.response.status_code"] == 401
    assert spans.one().status.status_code == StatusCode.UNSET
    assert "guess" not in spans.one().to_json()


async def test_a_request_that_can_not_be_stored_is_an_error(start: Start, spans: Spans) -> None:
    class Full:
        def append_all(self, deliveries: list) -> None:
            for delivery in deliveries:
                delivery.complete(OutboxFull("full"))

    running = await start(source("swiftsell", "s3cret"), tracing=spans.tracing, sink=Full())

    await running.post("/in/swiftsell", BODY, headers=SECRET)

    assert said(spans.one())["http.response.status_code"] == 503
    assert spans.one().status.status_code == StatusCode.ERROR


async def test_strangers_who_name_no_source_make_no_spans(start: Start, spans: Spans) -> None:
    running = await start(source("swiftsell", "s3cret"), tracing=spans.tracing)

    await running.post("/in/nobody", BODY)
    await running.request("GET", "/in/swiftsell")

    assert spans.all() == []


async def test_without_tracing_the_callers_own_context_is_carried(start: Start) -> None:
    running = await start(source("swiftsell", "s3cret"))

    await running.post("/in/swiftsell", BODY, headers=SECRET | {"traceparent": TRACEPARENT})

    (stored,) = await running.stored()
    assert amqp.traceparent_in(stored.message.properties) == TRACEPARENT
