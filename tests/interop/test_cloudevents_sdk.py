"""The official CloudEvents SDK reads what the relay publishes, and the relay what the SDK sends."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from aio_pika.abc import AbstractConnection
from cloudevents.core.bindings import http, rabbitmq
from cloudevents.core.v1.event import CloudEvent

from relay import vendors
from relay.vendors.kit.request import Request
from tests.interop.conftest import SendAll
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.generic_sources import generic_source, let_in, refused


async def test_the_sdk_reads_every_sample_of_every_vendor(
    send_all: SendAll, connection: AbstractConnection, exchange: str
) -> None:
    async with Recorder(connection, exchange) as recorder:
        sent = await send_all()
        await eventually(lambda: len(recorder.messages) == len(sent))
    documents = {message.message_id: json.loads(message.body) for message in recorder.messages}

    read = {
        message.message_id: rabbitmq.from_rabbitmq_event(
            rabbitmq.RabbitMQMessage(
                headers=dict(message.headers),
                content_type=message.content_type,
                body=message.body,
            )
        )
        for message in recorder.messages
    }

    assert {(id_, event.get_type()) for id_, event in read.items()} == {
        (event.id, event.type) for event in sent
    }
    for event_id, event in read.items():
        document, attributes = documents[event_id], event.get_attributes()
        assert event.get_data() == document.pop("data")
        read_time = attributes.pop("time")  # the SDK's own clock, where the event has no time
        if time := document.pop("time", None):
            assert read_time == datetime.fromisoformat(time)
        assert attributes == document


@pytest.mark.parametrize("bind", [http.to_binary_event, http.to_structured_event])
@pytest.mark.parametrize("event_id", ["1", "a b", "50%", "caf\u00e9 \U0001f600", 'q"'])
def test_the_relay_reads_what_the_sdk_sends(
    bind: Callable[[CloudEvent], http.HTTPMessage], event_id: str
) -> None:
    source = generic_source("0ld-t0ken", "n3w-t0ken", vendor="cloudevents")
    attributes = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/shop/z\u00fcrich",
        "type": "order.paid",
        "time": datetime(2026, 1, 2, tzinfo=UTC),
    }
    message = bind(CloudEvent(attributes=attributes, data={"a": 1}))
    headers = {name.lower(): value for name, value in message.headers.items()}
    request = Request(body=message.body, headers=headers)

    (event,) = vendors.normalize(source.vendor, request)

    assert let_in(source, request._replace(headers=headers | {"authorization": "Bearer n3w-t0ken"}))
    wrong = request._replace(headers=headers | {"authorization": "Bearer guess"})
    assert refused(source, wrong) == "token_wrong"
    assert event.identity == ("id", "/shop/z\u00fcrich", event_id)
    assert (event.detail, event.time) == ("order.paid", "2026-01-02T00:00:00Z")
