"""AMQP bytes: what we write, pamqp would write, too, and reads back."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pamqp import body, commands, frame, header

from relay.events import amqp
from relay.events.message import Message
from tests.support.rows import for_each, for_each_row

MESSAGE_ID = "0123456789abcdef" * 2
FRAME_MAX = 4096  # the least a peer may ask for (4.2.3)


def message(**fields: Any) -> Message:
    properties = amqp.properties(
        message_id=MESSAGE_ID, message_type="note.created", timestamp_s=5, headers={"vendor": "v"}
    )
    defaults = {"routing_key": "swiftsell.note.created", "properties": properties, "body": b"{}"}
    return Message(**{"id": MESSAGE_ID, "received_at": 5.0} | defaults | fields)


def written(*messages: Message, exchange: str = "webhooks", channel: int = 1) -> bytes:
    pairs = [(exchange, one) for one in messages]
    return amqp.publish_frames(pairs, channel=channel, frame_max=FRAME_MAX)


def frames_of(data: bytes) -> list[tuple[int, Any]]:
    """Return (channel, frame) as pamqp reads them, none of them larger than agreed."""
    found = []
    while data:
        size, channel, value = frame.unmarshal(data)
        assert size <= FRAME_MAX
        found.append((channel, value))
        data = data[size:]
    return found


@for_each(
    headers=[
        {},
        {"vendor": "v", "source": "s", "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"},
        {"n": 5, "yes": True, "nested": {"é": "😀", "list": [1, "a", None]}},
    ],
    fields=[
        {"message_id": MESSAGE_ID, "message_type": "note.created", "timestamp_s": 1_700_000_000},
        {"message_id": "é" * 100, "message_type": "", "timestamp_s": 0},
        {"message_id": "x" * 255, "message_type": "y" * 255, "timestamp_s": 2**32 - 1},
    ],
)
def test_properties_are_those_pamqp_would_write(
    fields: dict[str, Any], headers: dict[str, Any]
) -> None:
    by_pamqp = commands.Basic.Properties(
        content_type="application/cloudevents+json",
        headers=headers or None,
        delivery_mode=2,
        message_id=fields["message_id"],
        timestamp=datetime.fromtimestamp(fields["timestamp_s"], UTC),
        message_type=fields["message_type"],
        app_id="relay",
    )

    found = amqp.properties(headers=headers, **fields)

    read = read_properties(found)
    assert (read.headers or None) == (headers or None)
    assert amqp.traceparent_in(found) == headers.get("traceparent")
    assert (read.delivery_mode, read.app_id) == (2, "relay")
    assert (read.content_type, read.message_id) == (by_pamqp.content_type, fields["message_id"])
    assert (read.timestamp, read.message_type) == (by_pamqp.timestamp, fields["message_type"])
    if headers and fields["message_type"]:
        assert found == header.ContentHeader(properties=by_pamqp).marshal()[12:]


def read_properties(properties: bytes) -> commands.Basic.Properties:
    [_, (_, content_header)] = frames_of(written(message(properties=properties, body=b"")))
    return content_header.properties


@given(
    message_id=st.text(max_size=400),
    message_type=st.text(max_size=400),
    timestamp_s=st.integers(0, 2**32 - 1),
    headers=st.dictionaries(st.text(min_size=1, max_size=30), st.text(), max_size=5),
)
def test_any_text_can_be_read_back_by_a_consumer(
    message_id: str, message_type: str, timestamp_s: int, headers: dict[str, str]
) -> None:
    found = amqp.properties(
        message_id=message_id, message_type=message_type, timestamp_s=timestamp_s, headers=headers
    )

    read = read_properties(found)
    assert message_id.startswith(read.message_id or "")
    assert message_type.startswith(read.message_type or "")
    assert read.timestamp == datetime.fromtimestamp(timestamp_s, UTC)
    assert (read.headers or {}) == headers


@for_each_row(
    ("text", "encoded"),
    [
        ("", b"\x00"),
        ("abc", b"\x03abc"),
        ("é", b"\x02\xc3\xa9"),
        ("x" * 255, b"\xff" + b"x" * 255),
        ("x" * 256, b"\xff" + b"x" * 255),
        ("\udcff", b"\x01?"),
        ("é" * 200, b"\xfe" + "é".encode() * 127),
        ("x" + "😀" * 100, b"\xfd" + ("x" + "😀" * 63).encode()),
    ],
)
def test_a_short_string_is_cut_between_characters(text: str, encoded: bytes) -> None:
    assert amqp.short_string(text) == encoded


@for_each(
    size=[0, 1, FRAME_MAX - 9, FRAME_MAX - 8, FRAME_MAX - 7, 20_000],
    routing_key=["", "a.b", "x" * 255, "é" * 127],
    channel=[1, 2047, 65535],
)
def test_a_message_is_published_in_the_frames_pamqp_would_write(
    channel: int, routing_key: str, size: int
) -> None:
    original = message(routing_key=routing_key, body=b"\xce" * size)

    found = written(original, exchange="webhooks.quarantine", channel=channel)

    publish = commands.Basic.Publish(
        exchange="webhooks.quarantine", routing_key=routing_key, mandatory=True
    )
    content_header = header.ContentHeader(
        body_size=size,
        properties=commands.Basic.Properties(
            content_type="application/cloudevents+json",
            headers={"vendor": "v"},
            delivery_mode=2,
            message_id=MESSAGE_ID,
            timestamp=datetime.fromtimestamp(5, UTC),
            message_type="note.created",
            app_id="relay",
        ),
    )
    largest = FRAME_MAX - 8
    chunks = [original.body[start : start + largest] for start in range(0, size, largest)]
    values = [publish, content_header, *map(body.ContentBody, chunks)]
    assert found == b"".join([frame.marshal(value, channel) for value in values])


def test_a_broker_without_a_limit_gets_a_body_in_one_frame() -> None:
    large = message(body=b"x" * 20_000)

    frames = amqp.publish_frames([("webhooks", large)], channel=1, frame_max=0)  # 4.2.3: no limit

    assert frames.endswith(frame.marshal(body.ContentBody(large.body), 1))


def test_a_batch_is_its_messages_in_order() -> None:
    first, second = message(routing_key="a", body=b"1" * 5_000), message(routing_key="b", body=b"")

    found = written(first, second, first)

    assert found == written(first) + written(second) + written(first)
    assert written() == b""


def test_messages_of_one_batch_may_go_to_several_exchanges() -> None:
    pairs = [("webhooks", message()), ("webhooks.quarantine", message())]

    frames = frames_of(amqp.publish_frames(pairs, channel=3, frame_max=FRAME_MAX))

    published = [method for _, method in frames if isinstance(method, commands.Basic.Publish)]
    assert [method.exchange for method in published] == ["webhooks", "webhooks.quarantine"]
    assert all(method.mandatory and not method.immediate for method in published)
    assert {channel for channel, _ in frames} == {3}


@given(
    bodies=st.lists(st.binary(max_size=50) | st.binary(min_size=4_000, max_size=9_000), max_size=4),
    routing_key=st.text(max_size=60),
)
def test_whatever_the_bodies_are_a_broker_reads_them(bodies: list[bytes], routing_key: str) -> None:
    data = written(*[message(routing_key=routing_key, body=content) for content in bodies])

    read: list[bytes] = []
    for _, value in frames_of(data):
        match value:
            case commands.Basic.Publish():
                assert value.routing_key == routing_key
                read.append(b"")
            case header.ContentHeader():
                assert value.body_size == len(bodies[len(read) - 1])
            case body.ContentBody():
                read[-1] += value.value
    assert read == bodies


def test_a_head_serves_many_messages() -> None:
    head = amqp.properties_head({"a": "b"}, "text/plain")

    completed = amqp.complete_properties(head, "id-1", 7, "note.created")

    assert completed == amqp.properties(
        message_id="id-1",
        message_type="note.created",
        timestamp_s=7,
        headers={"a": "b"},
        content_type="text/plain",
    )
