"""An attempt of a consumer as a span."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from consumers.kit.consumer import Consumer
from consumers.kit.consuming.calling import caller_of
from consumers.kit.consuming.traced import TracedCaller
from consumers.kit.event import Event
from consumers.kit.testing import events
from tests.support.spans import PARENT_ID, TRACE_ID, TRACEPARENT, Spans, parent_of, traceparent_of

(EVENT,) = events("pickyassist", "05")
TRACED = replace(EVENT, traceparent=TRACEPARENT, attempt=3)


@pytest.fixture
def spans() -> Spans:
    return Spans()


def traced(consumer: Consumer, spans: Spans) -> TracedCaller:
    caller = caller_of(consumer, seen=None, timeout_s=60)
    return TracedCaller(caller, consumer=consumer.name, tracing=spans.tracing)


def with_handler(handler: Any, spans: Spans) -> TracedCaller:
    return traced(Consumer("crm-sync", bindings=["#"], handler=handler), spans)


async def test_an_attempt_is_a_span_in_the_trace_of_its_event(spans: Spans) -> None:
    handled: list[Event] = []
    within: list[Any] = []

    async def handle(event: Event) -> None:
        handled.append(event)
        within.append(trace.get_current_span())

    results = await with_handler(handle, spans)([TRACED])

    span = spans.one()
    assert (results, span.name, span.kind) == ([True], "process crm-sync", SpanKind.CONSUMER)
    assert parent_of(span) == (TRACE_ID, PARENT_ID)
    assert (
        span.attributes.items()
        >= {
            "messaging.destination.name": "crm-sync",
            "messaging.message.id": EVENT.id,
            "relay.attempt": 3,
        }.items()
    )
    assert within[0].get_span_context() == span.context
    assert handled == [replace(TRACED, traceparent=traceparent_of(span))]


async def test_a_failed_attempt_says_of_what_and_not_why(spans: Spans) -> None:
    async def handle(_: Event) -> None:
        raise LookupError("what the customer wrote")

    (result,) = await with_handler(handle, spans)([TRACED])

    span = spans.one()
    assert isinstance(result, LookupError)
    assert span.status.status_code == StatusCode.ERROR
    assert span.attributes.items() >= {"error.type": "LookupError", "relay.failed": 1}.items()
    assert "customer" not in span.to_json()


async def test_a_batch_is_a_trace_of_its_own_with_a_link_to_each_event(spans: Spans) -> None:
    consumer = Consumer("crm-sync", bindings=["#"])
    handled: list[Event] = []

    @consumer.batch_handler(limit=7)
    async def handle(events: Sequence[Event]) -> None:
        handled.extend(events)

    caller = traced(consumer, spans)
    batch = [TRACED, replace(TRACED, id="2"), replace(EVENT, id="3")]
    await caller(batch)

    span = spans.one()
    assert (caller.limit, handled, parent_of(span)) == (7, batch, None)
    assert [f"{link.context.span_id:016x}" for link in span.links] == [PARENT_ID, PARENT_ID]
    assert span.attributes["messaging.batch.message_count"] == 3


async def test_an_event_without_a_trace_begins_one(spans: Spans) -> None:
    async def handle(_: Event) -> None: ...

    await with_handler(handle, spans)([EVENT])

    assert parent_of(spans.one()) is None
