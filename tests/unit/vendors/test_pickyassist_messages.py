"""Picky Assist's Global Webhook: messages of both directions, in numbers and strings."""

import json
from typing import Any

import pytest

from relay.events.envelope import encode_events
from relay.events.event import Data, Identity, NormalizedEvent
from relay.events.message import Origin
from relay.vendors import pickyassist
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

BARE = {"unique-id": "5642"}
ORIGIN = Origin(vendor="pickyassist", source="acme")


def normalized(body: Any, **request: Any) -> NormalizedEvent:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    [event] = pickyassist.normalize(Request(body=text, **request))
    return event


def message(**fields: Any) -> Data:
    """Return what is known of a message, apart from its id."""
    event = normalized(BARE | {name.replace("_", "-"): value for name, value in fields.items()})
    seen = dict(event.data["message"])
    assert seen.pop("id") == "5642"
    return seen


@for_each_row(
    ("fields", "data"),
    [
        (
            {"number": 61400000002, "name": "Ann", "project-id": 7, "application": 8},
            {
                "contact": {"name": "Ann", "phone": "61400000002"},
                "account": {"id": "7"},
                "channel": {"id": "8"},
            },
        ),
        (
            {"number": "+61 400", "application": "121"},
            {"contact": {"phone": "+61 400"}, "channel": {"id": "121"}},
        ),
        ({"number": "Friends @Ann", "group-id": "g"}, {"contact": {"phone": "Friends @Ann"}}),
        ({"messenger_id": 47, "name": "Bo"}, {"contact": {"id": "47", "name": "Bo"}}),
        ({"number": 1, "name": 33}, {"contact": {"name": "33", "phone": "1"}}),
        ({"number": "", "name": "", "project-id": "", "application": 0}, {"channel": {"id": "0"}}),
    ],
)
def test_a_message_says_whose_it_is_and_where_it_came_in(fields: Data, data: Data) -> None:
    event = normalized(BARE | fields)

    assert event.type == "message.created"
    assert event.time is None
    assert event.data == data | {"message": {"id": "5642", "kind": "unknown"}}


@for_each_row(
    ("direction", "actor"),
    [
        (0, {"type": "contact"}),
        ("0", {"type": "contact"}),
        (1, {"type": "agent"}),
        ("1", {"type": "agent"}),
        (2, None),
        (True, None),
        (1.0, None),
        (None, None),
        ("", None),
        ([1], None),
    ],
)
def test_the_direction_says_who_wrote_it(direction: Any, actor: Data | None) -> None:
    event = normalized(BARE | {"direction": direction})

    assert event.data.get("actor") == actor


def test_without_a_direction_nobody_wrote_it() -> None:
    assert "actor" not in normalized(BARE).data


@for_each_row(
    ("fields", "text"),
    [
        ({"message-in": "Thanks%21+We%27ll+call"}, "Thanks! We'll call"),
        ({"message-in": "100%25+sure"}, "100% sure"),
        ({"message-in": "%F0%9F%98%80+caf%C3%A9%0Ahi"}, "😀 café\nhi"),
        ({"message-in": "100%+sure"}, "100% sure"),
        ({"message-in": "%FF"}, "\N{REPLACEMENT CHARACTER}"),
        ({"message-in": "%ED%A0%BD"}, "\N{REPLACEMENT CHARACTER}" * 3),
        ({"message-in": "1%2B1%3D2", "message_in_raw": "1+1=2"}, "1+1=2"),
        ({"message-in": "a", "message_in_raw": "50%25 of 2+2"}, "50%25 of 2+2"),
        ({"message-in": "a+b", "message_in_raw": ""}, "a b"),
        ({"message-in": "a+b", "message_in_raw": ["c"]}, "a b"),
        ({"message_in_raw": "only"}, "only"),
        ({"message-in": None}, None),
        ({"message-in": 5, "message_in_raw": {}}, "5"),
        ({"message-in": "2", "message_in_raw": 2}, "2"),
        ({"message_in_raw": 0}, "0"),
        ({"message_in_raw": -9223372036854775808}, "-9223372036854775808"),
        ({"message-in": True, "message_in_raw": 1.5}, None),
        ({"message-in": ""}, None),
    ],
)
def test_one_of_the_two_texts_is_encoded_as_in_a_url(fields: Data, text: str | None) -> None:
    seen = normalized(BARE | fields).data["message"]

    assert seen.get("text") == text


@for_each_row(
    ("number", "kind"),
    [
        (1, "text"),
        ("1", "text"),
        (2, "image"),
        ("3", "video"),
        (4, "audio"),
        ("5", "location"),
        (6, "document"),
        ("7", "contact"),
        (9, "button_reply"),
        ("9", "button_reply"),
        (8, "unknown"),
        (0, "unknown"),
        ("text", "unknown"),
        (1.0, "unknown"),
        (True, "unknown"),
        (None, "unknown"),
        ({"1": 1}, "unknown"),
    ],
)
def test_the_number_decides_the_kind(number: Any, kind: str) -> None:
    event = normalized(BARE | {"type": number, "message_in_raw": "x"})

    assert event.data["message"]["kind"] == event.detail == kind


@pytest.mark.parametrize(
    ("number", "vendortype"), [(1, "1"), ("2", "2"), ("poll", "poll"), (None, "message")]
)
def test_the_vendors_word_for_a_message_is_its_number(number: Any, vendortype: str) -> None:
    assert normalized(BARE | {"type": number}).vendortype == vendortype


@for_each_row(
    ("fields", "kind"),
    [
        # The vendor's own sample of a location has the number of a contact.
        ({"type": "7", "Location": {"lat": 81.5, "long": 6.9, "name": "A"}}, "location"),
        ({"type": 5, "location": {"lat": 1, "long": 2}}, "location"),
        ({"location": {"lat": 1}}, "location"),
        ({"type": 1, "interactive": {"type": 1, "id": "ref1"}, "message-in": "a"}, "button_reply"),
        ({"type": 9, "payload": "yes", "context-msg-id": 7, "message-in": "Yes"}, "button_reply"),
        ({"interactive": {"id": "ref2"}}, "button_reply"),
        ({"type": "7", "contact": [{"first_name": "A"}, {"first_name": "B"}]}, "contact"),
        ({"type": 1, "contact": {"first_name": "A"}}, "contact"),
        ({"contact": {"first_name": "A"}}, "contact"),
        ({"type": 1, "contact": {"first_name": "A"}, "message-in": "a"}, "text"),
        ({"type": 2, "contact": {"first_name": "A"}, "media-url": "https://a/1"}, "image"),
        ({"type": 1, "location": {}, "Location": None, "interactive": [], "contact": []}, "text"),
        ({"type": 1, "location": "here", "interactive": "ref1", "contact": "A"}, "text"),
    ],
)
def test_an_object_counts_for_more_than_the_number(fields: Data, kind: str) -> None:
    event = normalized(BARE | fields)

    assert event.data["message"]["kind"] == event.detail == kind


@pytest.mark.parametrize("url", ["https://a.example/1.jpg", "https://a.example/2%20.pdf?x=1", "x"])
def test_media_are_an_attachment(url: str) -> None:
    seen = message(type=6, media_url=url)

    assert seen == {"kind": "document", "attachments": [{"url": url}]}


@pytest.mark.parametrize(("direction", "who"), [(0, "contact"), ("1", "agent"), (None, None)])
@pytest.mark.parametrize("caption", [None, "", "so+it+is%21"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [(2, "image"), ("2", "image"), (3, "video"), ("3", "video"), ("4", "audio"), ("6", "document")],
)
def test_media_go_both_ways_with_and_without_words(
    number: Any, kind: str, caption: str | None, direction: Any, who: str | None
) -> None:
    file = {"type": number, "media-url": "https://a.example/1", "message-in": caption}

    event = normalized(BARE | file | {"number": 614, "direction": direction, "application": 8})

    said = {"text": "so it is!"} if caption else {}
    assert event.detail == kind
    assert event.data == {
        "contact": {"phone": "614"},
        "channel": {"id": "8"},
        "message": {"id": "5642", "kind": kind, "attachments": [{"url": "https://a.example/1"}]}
        | said,
    } | ({"actor": {"type": who}} if who else {})


@for_each(url=["", None, 7, [], ["https://a.example/1"], {"url": "x"}])
def test_media_of_an_odd_shape_are_none(url: Any) -> None:
    assert message(type=2, media_url=url) == {"kind": "image"}


@for_each(
    odd=[None, "", [], {}, [1], {"a": 1}, True, 1.5, 10**30, "\x00"],
    name=[
        *("number", "name", "message-in", "message_in_raw", "type", "application", "unique-id"),
        *("project-id", "direction", "media-url", "payload", "context-msg-id", "interactive"),
        *("location", "Location", "contact", "messenger_id", "token", "secret", "custom"),
    ],
)
def test_a_field_of_an_odd_shape_keeps_no_message_back(name: str, odd: Any) -> None:
    body = {"message-in": "a", "unique-id": "1", "number": "2", "type": 1} | {name: odd}

    event = normalized(body)

    assert event.type == "message.created"
    assert json.loads(event.raw) == body


@for_each_row(
    ("fields", "identity"),
    [
        ({"unique-id": "751403635"}, ("unique-id", "751403635")),
        ({"unique-id": 751403635}, ("unique-id", "751403635")),
        ({"unique-id": "751403635", "name": "Elena", "direction": 1}, ("unique-id", "751403635")),
        ({"unique-id": ""}, "delivery"),
        ({"unique-id": 7.0}, "delivery"),
        ({"message-in": "ok"}, "delivery"),
    ],
)
def test_a_message_is_told_apart_by_its_id_alone(fields: Data, identity: Identity) -> None:
    assert normalized(fields).identity == identity


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"number": "614"}, "614"),
        ({"number": 614, "direction": 1, "name": "Ann"}, "614"),
        ({"number": "614", "messenger_id": "m1"}, "m1"),
        ({"name": "Ann"}, None),
        ({"number": [614]}, None),
    ],
)
def test_messages_stay_in_order_by_the_phone(fields: Data, key: str | None) -> None:
    [encoded] = encode_events(
        [normalized(BARE | fields)], origin=ORIGIN, received_at=1.5, delivery_id="d1"
    )

    assert json.loads(encoded.body).get("partitionkey") == key


# The query of the URL comes back in the body.


@for_each_row(
    ("body", "raw", "request_"),
    [
        (
            b'{"unique-id": 7, "token" : "s1", "a" : 1.10}',
            b'{"unique-id":7,"a":1.10}',
            {"query_string": "token=s1"},
        ),
        (
            b'{"secret":"s 1","unique-id":12345678901234567890123,"secret":"s 1"}',
            b'{"unique-id":12345678901234567890123}',
            {"query_string": "a=b&secret=s%201"},
        ),
        (b'{"token":77,"unique-id":7}', b'{"unique-id":7}', {"query_string": "token=77"}),
        (b'{"token":"s1","unique-id":7}', b'{"unique-id":7}', {"path_secret": "s1"}),
        (
            b'{"token":"a+/=","secret":"x","unique-id":7}',
            b'{"secret":"x","unique-id":7}',
            {"query_string": "token=a+/="},
        ),
        (
            b'{"event_id":7,"contact_id":"20","token":"s1"}',
            b'{"event_id":7,"contact_id":"20"}',
            {"query_string": "token=s1"},
        ),
    ],
)
def test_the_secret_of_the_url_is_taken_out_of_the_body(
    body: bytes, raw: bytes, request_: dict[str, str]
) -> None:
    assert normalized(body, **request_).raw == raw


@pytest.mark.parametrize(
    "body",
    [
        b'{"unique-id": 7, "token": "another"}',
        b'{"unique-id": 7, "a": {"token": "s1"}}',
        b'{"unique-id": 7, "token": ["s1"], "secret": null}',
        b'{"unique-id": 7, "Token": "s1"}',
    ],
)
def test_nothing_else_is_taken_out(body: bytes) -> None:
    assert normalized(body, query_string="token=s1").raw == body
