"""The official CloudEvents SDK reads every event as the structured JSON document it is."""

import json
from datetime import datetime

from aio_pika.abc import AbstractConnection
from cloudevents.core.bindings import rabbitmq

from tests.interop.conftest import SendAll
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually


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
