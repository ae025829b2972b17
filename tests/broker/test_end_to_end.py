"""Every documented payload of every vendor: in over HTTP, out of RabbitMQ, as documented."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractConnection

from relay import vendors
from relay.events import topology
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_process import SECRET, RelayProcess, post_signed


def expected_of(sample: vendors.Traversable) -> dict[str, Any]:
    path = Path(str(sample))
    return json.loads(path.with_name(f"{path.stem}.expected.json").read_text())


def pointed_at(pointer: str, document: Any) -> Any:
    for part in pointer.split("/")[1:]:
        document = document[int(part) if isinstance(document, list) else part]
    return document


@pytest.mark.parametrize("vendor", vendors.discover())
async def test_every_sample_arrives_as_its_documentation_says(
    vendor: str, tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    samples = vendors.samples(vendor)
    async with (
        RelayProcess(
            tmp_path, broker_url=broker_url, exchange=exchange, vendors=(vendor,)
        ) as relay,
        aiohttp.ClientSession() as http,
    ):
        answers = [
            await post_signed(http, relay.url, vendor, sample.read_bytes()) for sample in samples
        ]
        await recorder.has(sum(len(expected_of(sample).get("events", [0])) for sample in samples))

    by_id = {message.message_id: message for message in recorder.messages}
    quarantined = {message.message_id: message for message in recorder.quarantined}
    for sample, answer in zip(samples, answers, strict=True):
        expected = expected_of(sample)
        if reason := expected.get("quarantined"):
            message = quarantined[answer["id"]]
            assert message.body == sample.read_bytes()
            assert message.routing_key == f"{vendor}.{reason}"
            assert message.headers["reason"] == reason
            continue
        assert len(answer["events"]) == len(expected["events"])
        for event_id, wanted in zip(answer["events"], expected["events"], strict=True):
            message = by_id[event_id]
            event = json.loads(message.body)
            raw = event["data"].pop("raw")
            assert message.routing_key == wanted["routing_key"]
            assert event["data"] == wanted["data"], sample.name
            element = pointed_at(wanted["raw"], json.loads(sample.read_bytes()))
            for secret in wanted.get("without", []):
                del element[secret]
            assert raw == element
            for attribute in ("type", "vendortype", "subject", "time", "partitionkey"):
                assert event.get(attribute) == wanted.get(attribute)


async def test_a_message_has_the_properties_of_the_contract(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    body = vendors.samples("swiftsell")[1].read_bytes()
    async with (
        RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay,
        aiohttp.ClientSession() as http,
        http.post(
            f"{relay.url}/in/swiftsell",
            data=body,
            headers={"Authorization": SECRET, "traceparent": traceparent},
        ) as response,
    ):
        (event_id,) = (await response.json())["events"]
        await recorder.has(1)

    (message,) = recorder.messages
    assert message.delivery_mode == DeliveryMode.PERSISTENT
    assert message.content_type == "application/cloudevents+json"
    assert (message.message_id, message.type, message.app_id) == (
        event_id,
        "message.created",
        "relay",
    )
    assert message.timestamp is not None
    assert message.headers == {
        "vendor": "swiftsell",
        "source": "swiftsell",
        "traceparent": traceparent,
    }
    assert not message.redelivered


async def test_an_event_nobody_wants_waits_in_the_unrouted_queue(
    tmp_path: Path,
    broker_url: str,
    exchange: str,
    connection: AbstractConnection,
    declared: topology.Topology,
) -> None:
    body = vendors.samples("swiftsell")[1].read_bytes()
    async with (
        RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay,
        aiohttp.ClientSession() as http,
    ):
        answer = await post_signed(http, relay.url, "swiftsell", body)
        await eventually(relay.is_drained)

        channel = await connection.channel()
        queue = await channel.get_queue(topology.unrouted_exchange(exchange))
        message = await queue.get()

    assert message.message_id == answer["events"][0]
    assert declared.queues[0].name == queue.name


async def test_ack_after_confirm_answers_once_the_broker_has_it(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    async with (
        RelayProcess(
            tmp_path, broker_url=broker_url, exchange=exchange, ingress={"ack_after": "confirm"}
        ) as relay,
        aiohttp.ClientSession() as http,
    ):
        await eventually(lambda: relay.lines("broker connected"))
        answers = [
            await post_signed(http, relay.url, "swiftsell", sample.read_bytes())
            for sample in vendors.samples("swiftsell")
        ]
        await recorder.has(len(answers))
        status, readiness = await relay.readiness()

    assert sorted(recorder.ids) == sorted(
        event_id for answer in answers for event_id in answer["events"]
    )
    assert status == 200
    assert "outbox" not in readiness
    assert not (tmp_path / "outbox").exists()
