"""One trace from the vendor's request to the consumer: two processes, and a collector over OTLP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from relay.observability.tracing import exporting
from tests.support.eventually import eventually
from tests.support.relay_process import SECRET, RelayProcess, numbered
from tests.support.service_process import service
from tests.support.spans import PARENT_ID, TRACE_ID, TRACEPARENT

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What takes spans over OTLP/HTTP."""

    def __init__(self) -> None:
        self.spans: dict[str, tuple[str, Span]] = {}  # by name, with the service's

    async def take(self, request: web.Request) -> web.Response:
        for resource in ExportTraceServiceRequest.FromString(await request.read()).resource_spans:
            attributes = resource.resource.attributes
            names = [a.value.string_value for a in attributes if a.key == "service.name"]
            for scope in resource.scope_spans:
                self.spans |= {span.name: (names[0], span) for span in scope.spans}
        return web.Response()


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    monkeypatch.setenv("RELAY_TRACING__ENABLED", "true")
    yield collector
    await runner.cleanup()


async def test_the_request_the_confirm_and_the_handler_are_one_trace(
    tmp_path: Path, broker_url: str, collector: Collector
) -> None:
    (body,) = numbered(1, 7)
    headers = {"Authorization": SECRET, "traceparent": TRACEPARENT}
    async with service(tmp_path, "printing.py", broker_url) as (consumer, events):
        (tmp_path / "relay").mkdir()
        relay = RelayProcess(
            tmp_path / "relay",
            broker_url=broker_url,
            exchange=events.name,
            broker={"declare_topology": False},
        )
        async with relay, ClientSession() as http:
            await http.post(f"{relay.url}/in/swiftsell", data=body, headers=headers)
            await eventually(lambda: consumer.texts() == [7])
            await eventually(lambda: len(collector.spans) == 3)

    received, published, processed = (
        collector.spans[name]
        for name in ("receive swiftsell", f"publish {events.name}", f"process {consumer.name}")
    )
    assert received[1].parent_span_id.hex() == PARENT_ID
    assert published[1].parent_span_id == processed[1].parent_span_id == received[1].span_id
    assert {span.trace_id.hex() for _, span in collector.spans.values()} == {TRACE_ID}
    assert (received[0], published[0], processed[0]) == ("relay", "relay", consumer.name)
    assert published[1].start_time_unix_nano == received[1].start_time_unix_nano
    assert published[1].end_time_unix_nano > published[1].start_time_unix_nano


async def test_spans_that_no_collector_takes_cost_no_event_and_are_told_of(
    tmp_path: Path, broker_url: str, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("RELAY_TRACING__ENABLED", "true")
    relay = RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange)

    async with relay, ClientSession() as http:
        async with http.post(
            f"{relay.url}/in/swiftsell", data=numbered(1)[0], headers={"Authorization": SECRET}
        ) as answer:
            assert answer.status == 200
        await eventually(relay.is_drained)
        await eventually(lambda: relay.lines("spans not exported"))

    assert relay.process.returncode == 0


def test_a_name_in_the_environment_goes_before_the_services_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def name() -> object:
        return exporting("relay")._provider.resource.attributes["service.name"]

    assert name() == "relay"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "edge")
    assert name() == "edge"
