"""A quarantined delivery: the bytes and headers as they came, but for every secret."""

from typing import Any

from pamqp import frame, header

from relay.events import amqp
from relay.events.message import Message, Origin
from relay.events.quarantine import encode_quarantined
from tests.support.rows import for_each

ORIGIN = Origin(vendor="my-chat", source="acme")
SECRETS = ["tok-1", "tok-2 é"]
HEADER_FRAME_MAX = 131_072  # what RabbitMQ proposes; a content header can't be split (4.2.6)


def quarantined(body: bytes = b"{", **headers: str) -> Message:
    return encode_quarantined(
        body,
        reason="not_json",
        origin=ORIGIN,
        received_at=1_700_000_000.25,
        delivery_id="5e1f",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        secrets=SECRETS,
    )


def properties_of(message: Message) -> Any:
    """Return the properties as a consumer reads them."""
    frames = amqp.publish_frames([("q", message)], channel=1, frame_max=HEADER_FRAME_MAX)
    while frames:
        size, _, value = frame.unmarshal(frames)
        if isinstance(value, header.ContentHeader):
            assert size <= HEADER_FRAME_MAX
            return value.properties
        frames = frames[size:]
    raise AssertionError("no content header")


def headers_of(message: Message) -> Any:
    return properties_of(message).headers["headers"]


def test_a_delivery_is_kept_as_it_came_with_what_a_person_needs_to_know() -> None:
    body = b"\xff\x00 <odd/>"

    message = quarantined(body, content_type="text/xml", user_agent="x")

    assert message.body == body
    assert message.is_quarantined
    assert message.routing_key == "my_chat.not_json"
    properties = properties_of(message)
    assert properties.content_type == "text/xml"
    assert (properties.message_id, properties.message_type) == (message.id, "quarantined")
    assert properties.headers == {
        "source": "acme",
        "vendor": "my-chat",
        "reason": "not_json",
        "content-type": "text/xml",
        "received_at": "2023-11-14T22:13:20.250000Z",
        "delivery_id": "5e1f",
        "number": "0",
        "headers": {"content-type": "text/xml", "user-agent": "x"},
    }


def test_without_a_content_type_the_body_is_just_bytes() -> None:
    properties = properties_of(quarantined())

    assert properties.content_type == "application/octet-stream"
    assert properties.headers["content-type"] == "application/octet-stream"


@for_each(
    name=[
        "Authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "token",
        "x-auth-token",
        "X-API-Key",
        "x-apikey",
        "x-acquire-signature",
        "x-client-secret",
        "x-password",
    ]
)
def test_a_header_that_may_hold_a_secret_is_left_out(name: str) -> None:
    message = quarantined(**{name: "unknown to us", "x-kept": "1"})

    assert headers_of(message) == {"x-kept": "1"}
    assert b"unknown to us" not in message.properties


def test_a_live_secret_is_removed_wherever_it_is() -> None:
    body = '{"token":"tok-1", "a":["tok-2 é"]'.encode()

    message = quarantined(body, x_original_uri="/in/acme/tok-1?a", x_note="tok-2 é", x_kept="tok")

    assert message.body == b'{"token":"[secret removed]", "a":["[secret removed]"]'
    assert headers_of(message) == {"x-kept": "tok"}
    assert b"tok-" not in message.properties


def test_a_content_type_is_no_hiding_place_for_a_secret() -> None:
    message = quarantined(content_type="text/plain; token=tok-1")

    assert b"tok-1" not in message.properties


def test_a_resend_has_the_same_id_and_another_source_has_another() -> None:
    first, again, other = quarantined(b"{"), quarantined(b"{", x_try="2"), quarantined(b"[")

    assert first.id == again.id != other.id


@for_each(
    headers=[
        {"x-latin": "\udce9t\udce9"},  # how aiohttp reads bytes that are not UTF-8
        {"content-type": "text/plain; name=\udcff"},
        {"content-type": "é" * 200},
        {"content-type": "x" + "😀" * 100},
        {"x" * 5_000: "1"},
        {"x-long": "1" * 8_000},
        {"x" + "é" * 100: "x" + "é" * 1_000},
        {f"x-{number}": "1" for number in range(200)},
        {f"x-{number}": "😀" * 2_000 for number in range(64)},
        {f"{number:03}" + "x" * 2_000: "é" * 4_000 for number in range(64)},
    ]
)
def test_odd_headers_do_not_keep_a_delivery_from_being_read(headers: dict[str, str]) -> None:
    message = quarantined(**headers)

    properties = properties_of(message)
    assert properties.headers["reason"] == "not_json"
    assert len(properties.headers["headers"]) <= 64
    assert message.body == b"{"
