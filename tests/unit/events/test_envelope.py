"""The wire format: an event as a CloudEvents document."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq_event
from pamqp import frame, header

from relay.errors import Malformed
from relay.events import amqp
from relay.events.envelope import encode_events
from relay.events.event import MAX_EVENTS, Identity, NormalizedEvent
from relay.events.message import Message, Origin
from tests.support.rows import for_each_row

ORIGIN = Origin(vendor="swiftsell", source="acme")
RECEIVED_AT = 1_700_000_000.25


def event(raw: bytes = b"{}", **fields: Any) -> NormalizedEvent:
    return NormalizedEvent(
        **{"type": "note.created", "vendortype": "note", "data": {}, "raw": raw} | fields
    )


def message(traceparent: str | None = None, **fields: Any) -> Message:
    [found] = encode_events(
        [event(**fields)],
        origin=ORIGIN,
        received_at=RECEIVED_AT,
        delivery_id="d1",
        traceparent=traceparent,
    )
    return found


def document(**fields: Any) -> dict[str, Any]:
    return json.loads(message(**fields).body)


def properties_of(found: Message) -> Any:
    frames = amqp.publish_frames([("webhooks", found)], channel=1, frame_max=131_072)
    while frames:
        size, _, value = frame.unmarshal(frames)
        if isinstance(value, header.ContentHeader):
            return value.properties
        frames = frames[size:]
    raise AssertionError("no content header")


FULL = {
    "type": "message.created",
    "detail": "form.response",
    "vendortype": "message",
    "time": "2023-09-01T14:13:45.503552Z",
    "data": {
        "conversation": {"id": "42bb"},
        "contact": {"id": "a569"},
        "message": {"kind": "text"},
    },
    "raw": b'{"a" : 12345678901234567890123, "a":1.10}',
}


def test_an_event_is_a_cloudevents_document() -> None:
    found = message(**FULL)

    assert json.loads(found.body, parse_int=str, parse_float=str) == {
        "specversion": "1.0",
        "id": found.id,
        "source": "/swiftsell/acme",
        "type": "message.created",
        "subject": "conversation/42bb",
        "time": "2023-09-01T14:13:45.503552Z",
        "datacontenttype": "application/json",
        "vendor": "swiftsell",
        "vendortype": "message",
        "recordedtime": "2023-11-14T22:13:20.250000Z",
        "partitionkey": "42bb",
        "data": FULL["data"] | {"raw": {"a": "1.10"}},
    }
    assert FULL["raw"] in found.body
    assert found.routing_key == "swiftsell.message.created.form_response"
    assert found.received_at == RECEIVED_AT
    assert not found.is_quarantined


def test_its_properties_are_those_of_the_contract() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    found = message(traceparent, **FULL)

    properties = properties_of(found)
    assert properties.content_type == "application/cloudevents+json"
    assert properties.delivery_mode == 2
    assert properties.message_id == found.id
    assert properties.message_type == "message.created"
    assert properties.timestamp == datetime.fromtimestamp(1_700_000_000, UTC)
    assert properties.app_id == "relay"
    common = {"vendor": "swiftsell", "source": "acme"}
    assert properties.headers == common | {"traceparent": traceparent}
    assert properties_of(message(**FULL)).headers == common


def test_the_official_sdk_reads_a_message() -> None:
    found = message(**FULL)
    properties = properties_of(found)
    received = RabbitMQMessage(
        headers=properties.headers, content_type=properties.content_type, body=found.body
    )

    read = from_rabbitmq_event(received)

    assert read.get_id() == found.id
    assert read.get_source() == "/swiftsell/acme"
    assert read.get_type() == "message.created"
    assert read.get_subject() == "conversation/42bb"
    assert read.get_time() == datetime(2023, 9, 1, 14, 13, 45, 503552, UTC)
    assert read.get_extension("partitionkey") == "42bb"
    assert read.get_extension("vendortype") == "message"
    assert read.get_data()["message"] == {"kind": "text"}


@for_each_row(
    ("data", "subject", "partition_key"),
    [
        ({"conversation": {"id": "c"}, "contact": {"id": "k"}}, "conversation/c", "c"),
        ({"conversation": {"title": "t"}, "contact": {"id": "k"}}, "contact/k", "k"),
        ({"contact": {"id": "k"}}, "contact/k", "k"),
        ({"contact": {"id": "k", "phone": "+821"}}, "contact/k", "k"),
        ({"contact": {"name": "n", "phone": "+821"}}, None, "+821"),
        ({"conversation": {"title": "t"}, "contact": {"phone": "91 \n1"}}, None, "91 _1"),
        ({"contact": {"name": "n"}}, None, None),
        ({}, None, None),
    ],
)
def test_the_conversation_is_the_subject_or_else_the_contact_whose_phone_keeps_order(
    data: dict[str, Any], subject: str | None, partition_key: str | None
) -> None:
    found = document(data=data)

    assert found.get("subject") == subject
    assert found.get("partitionkey") == partition_key


@for_each_row(
    ("vendortype", "attribute"),
    [
        ("case:status", "case:status"),
        ("é 😀", "é 😀"),
        ("a\x00b\nc\x7fd\x85e", "a_b_c_d_e"),
        ("\u2028\ufffe\ufdd0", "___"),
        ("x" * 255, "x" * 255),
        ("x" * 10_000, "x" * 255),
        ("\n" * 10_000, "_" * 255),
    ],
)
def test_an_attribute_is_bounded_and_has_no_control_characters(
    vendortype: str, attribute: str
) -> None:
    conversation = {"conversation": {"id": vendortype}}

    found = document(vendortype=vendortype, detail=vendortype, data=conversation)

    assert found["vendortype"] == found["partitionkey"] == attribute
    assert found["subject"] == f"conversation/{attribute}"
    assert found["data"]["conversation"]["id"] == vendortype
    received = RabbitMQMessage(
        headers={}, content_type=amqp.CONTENT_TYPE, body=message(vendortype=vendortype).body
    )
    assert from_rabbitmq_event(received).get_extension("vendortype") == attribute


def test_a_time_that_is_not_known_is_left_out() -> None:
    assert "time" not in document(time=None)
    assert "time" not in document(time="")


def ids(*raws: bytes, origin: Origin = ORIGIN, received_at: float = RECEIVED_AT) -> list[str]:
    events = [event(raw) for raw in raws]
    messages = encode_events(events, origin=origin, received_at=received_at, delivery_id="d1")
    return [message.id for message in messages]


def test_a_resend_has_the_same_ids_however_it_is_batched() -> None:
    [one], [two] = ids(b"1"), ids(b"2")

    assert ids(b"1", b"2", received_at=5.0) == [one, two]
    assert ids(b"2", b"1") == [two, one]
    assert one != two


def test_an_element_that_comes_twice_in_one_request_is_two_events() -> None:
    found = ids(b"1", b"2", b"1", b"1")

    assert len(set(found)) == 4
    assert found == ids(b"1", b"2", b"1", b"1")
    assert found[0] == ids(b"1")[0]


def ids_by(*identities: Identity, delivery_id: str = "d1") -> list[str]:
    """Return the ids of equal elements that are told apart in these ways."""
    events = [event(b"1", identity=identity) for identity in identities]
    messages = encode_events(
        events, origin=ORIGIN, received_at=RECEIVED_AT, delivery_id=delivery_id
    )
    return [message.id for message in messages]


def test_an_element_that_nothing_tells_apart_is_another_event_in_each_delivery() -> None:
    first, second = (ids_by("delivery", "delivery", delivery_id=sent) for sent in ("d1", "d2"))

    assert len({*first, *second}) == 4
    assert ids_by("delivery", "delivery", delivery_id="d1") == first


def test_an_element_with_an_identity_of_its_own_is_one_event_wherever_it_is() -> None:
    own = ("message", "7")

    assert ids_by(own) == ids_by(own, delivery_id="d2")
    assert ids_by("element", own, own) == [*ids_by("element"), *ids_by(own) * 2]


def test_identities_that_read_alike_are_not_taken_for_one_another() -> None:
    raws = (b"1", b'["a","b"]', b'"a"')
    identities: tuple[Identity, ...] = (("a", "b"), ("ab",), ("a,b",), ("a", "", "b"), ("a",))
    events = [event(raw, identity=kind) for kind in ("element", "delivery") for raw in raws]
    events += [event(b"1", identity=identity) for identity in identities]

    messages = encode_events(events, origin=ORIGIN, received_at=RECEIVED_AT, delivery_id="1")

    assert len({message.id for message in messages}) == len(events)


def test_an_id_outlives_a_new_version_of_the_relay() -> None:
    # A vendor may resend after an upgrade, and consumers remember ids: these never change.
    assert ids(b'{"a":1}', b'{"a":1}') == [
        "0c777baafdf156a6a5e8909c9cc1cf97",
        "74d3a188bce15c232448d1cfbe23f6f2",
    ]
    assert ids_by(("message", "push", "m1", "1")) == ["cb45ccc2d76a3ff1f8d696c60e0e0b1f"]


def test_an_id_is_of_its_source_and_its_vendor() -> None:
    origins = [
        ORIGIN,
        Origin(vendor="swiftsell", source="acme2"),
        Origin(vendor="supporthunt", source="acme"),
    ]

    found = [ids(b"1", origin=origin)[0] for origin in origins]

    assert len(set(found)) == 3
    assert all(len(event_id) == 32 and int(event_id, 16) >= 0 for event_id in found)


def test_an_event_that_rabbitmq_would_close_the_channel_over_is_not_made() -> None:
    # https://www.rabbitmq.com/docs/limits: 16 MiB from 4.0 on
    with pytest.raises(Malformed, match="too_large"):
        message(data={"message": {"text": "x" * 16 * 1024 * 1024}})


def test_a_delivery_has_no_more_events_than_the_relay_can_hold_at_once() -> None:
    most = [event()] * MAX_EVENTS

    messages = encode_events(most, origin=ORIGIN, received_at=RECEIVED_AT, delivery_id="d1")
    with pytest.raises(Malformed, match="too_many_events"):
        encode_events([*most, event()], origin=ORIGIN, received_at=RECEIVED_AT, delivery_id="d1")

    assert len(messages) == MAX_EVENTS


def test_nothing_comes_of_no_events() -> None:
    assert ids() == []
