"""What an event of any sender says, and what it does not: no token, nothing that nobody signed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from relay.errors import Malformed
from relay.events import schemas
from relay.events.json_pointers import find, parse_pointer
from relay.ingress.processing import Source, process_delivery
from relay.vendors import normalize
from relay.vendors.generic.pointers import spans
from relay.vendors.kit.request import Request
from tests.support.generic_sources import generic_source
from tests.support.rows import for_each, for_each_row

TOKEN = {"kind": "token", "header": "x-token"}
EVENT = {"type": "/type", "id": "/id", "time": "/at", "conversation": "/chat/id"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
VALID = Draft202012Validator(schemas.schema("received"))


def source_of(**event: Any) -> Source:
    return generic_source("s3cret", verify=TOKEN, event=event or EVENT)


def published(source: Source, body: bytes, delivery: str = "d1", **headers: str) -> list[Any]:
    request = Request(body=body, headers={"x-token": "s3cret", **headers})
    processed = process_delivery(request, source, 1.5, delivery)
    assert processed.reason is None
    documents = [json.loads(message.body) for message in processed.messages]
    for document, message in zip(documents, processed.messages, strict=True):
        VALID.validate(document)
        document["key"] = message.routing_key
    return documents


def test_an_event_has_the_senders_type_id_time_and_conversation() -> None:
    body = b'{ "type":"Order.Paid!", "id":7, "at":1700000000, "chat":{"id":"c1"}, "n":1e2 }'

    [event] = published(source_of(), body)

    assert event["key"] == "generic.received.order_paid_"
    assert (event["type"], event["vendortype"]) == ("received", "Order.Paid!")
    assert (event["subject"], event["partitionkey"]) == ("conversation/c1", "c1")
    assert event["time"] == "2023-11-14T22:13:20Z"
    assert event["data"] == {"conversation": {"id": "c1"}, "raw": json.loads(body)}
    assert event["source"] == "/generic/acme"


def test_a_resend_has_the_same_id_where_the_sender_has_one() -> None:
    first, again, other = (
        published(source_of(), body, delivery)[0]["id"]
        for body, delivery in ((b'{"id":"e1","try":1}', "d1"), (b'{"id":"e1","try":2}', "d2"),
                               (b'{"id":"e2","try":1}', "d1"))
    )  # fmt: skip

    assert first == again
    assert first != other


@pytest.mark.parametrize("body", [b'{"a":1}', b'{"id":null}', b'{"id":""}', b'{"id":[1]}', b"5"])
def test_without_one_two_equal_deliveries_are_two_occurrences(body: bytes) -> None:
    ids = {published(source_of(), body, delivery)[0]["id"] for delivery in ("d1", "d2")}

    assert len(ids) == 2


def test_an_id_may_be_made_of_several_parts_and_they_may_be_in_headers() -> None:
    source = source_of(id=["header:ce-source + header:ce-id", "/source + /id"])
    bodies = [b'{"source":"a","id":"1"}', b'{"source":"b","id":"1"}', b'{"source":"a","id":"1"}']

    ids = [published(source, body, str(body))[0]["id"] for body in bodies]
    in_headers = published(source, b"{}", **{"ce-source": "a", "ce-id": "1"})[0]["id"]

    assert ids[0] == ids[2] == in_headers
    assert ids[0] != ids[1]


@for_each_row(
    ("value", "time"),
    [
        ("1700000000", "2023-11-14T22:13:20Z"),
        ("1700000000123", "2023-11-14T22:13:20.123000Z"),
        ('"1700000000"', "2023-11-14T22:13:20Z"),
        ('"2023-11-14T23:13:20.5+01:00"', "2023-11-14T22:13:20.500000Z"),
        ("null", None), ("1.5", None), ('"soon"', None), ("true", None), ("[]", None),
        ("9" * 30, None), ("-" + "9" * 18, None), ('"' + "9" * 5000 + '"', None),
    ],
)  # fmt: skip
def test_a_time_is_read_in_any_notation_or_left_out(value: str, time: str | None) -> None:
    [event] = published(source_of(), b'{"at":%b}' % value.encode())

    assert event.get("time") == time


def test_the_first_place_that_is_there_counts() -> None:
    source = source_of(type=["/event/type", "/type"], conversation=["/a/0/id", "/b~1c"])

    assert published(source, b'{"type":"outer"}')[0]["vendortype"] == "outer"
    assert published(source, b'{"type":"o","event":{"type":"i"}}')[0]["vendortype"] == "i"
    assert published(source, b'{"a":[{"id":3}]}')[0]["partitionkey"] == "3"
    assert published(source, b'{"a":[],"b/c":"x"}')[0]["partitionkey"] == "x"
    assert published(source, b"{}")[0]["key"] == "generic.received"


@for_each(word=["", "a.b", "#", "*", "\n", "a" * 5000, "\u0130", "..", "\u2028", "a b/c"])
def test_whatever_a_sender_calls_it_the_key_has_three_words_at_most(word: str) -> None:
    [event] = published(source_of(), json.dumps({"type": word}).encode())

    assert event["key"].count(".") <= 2
    assert len(event["key"]) <= 255


def test_a_form_becomes_an_object_of_strings() -> None:
    body = b"type=paid&text=caf%C3%A9+noir&empty=&text=second"

    [event] = published(source_of(), body, **FORM)

    assert event["data"]["form"] == {"type": "paid", "text": "caf\u00e9 noir", "empty": ""}
    assert event["data"]["raw"] == body.decode()
    assert event["key"] == "generic.received.paid"


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"a=b", {}, "not_json"),
        (b"<xml/>", {"content-type": "application/xml"}, "not_json"),
        (b"\xff=1", FORM, "unknown_shape"),
        (b"a=1&" * 1000, FORM, "too_many_members"),
        (b"[" * 300 + b"]" * 300, {}, "too_deep"),
    ],
)
def test_what_is_neither_json_nor_a_form_is_quarantined(
    body: bytes, headers: dict[str, str], reason: str
) -> None:
    request = Request(body=body, headers={"x-token": "s3cret", **headers})

    processed = process_delivery(request, source_of(), 1.5, "d1")

    assert (processed.reason, processed.messages[0].body) == (reason, body)
    with pytest.raises(Malformed):
        normalize(source_of().vendor, request)


def test_a_lone_surrogate_is_repaired_as_in_any_event() -> None:
    [event] = published(source_of(), rb'{"type":"a\ud83d","id":"1"}')

    assert event["rawrepaired"] == "lone-surrogate"
    assert event["vendortype"] == "a\ufffd"


@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xef\xbb\xbf"])
def test_a_call_without_a_body_is_a_test_call(body: bytes) -> None:
    assert published(source_of(), body) == []
    assert published(source_of(), body, **FORM) == []


@pytest.mark.parametrize(
    ("pointer", "body", "kept"),
    [
        ("/key", b'{"a": 1, "key" : "s3cret" }', b'{"a": 1, "key" : "[secret removed]" }'),
        ("/key", b'{"key":"s3cret","key":"s3cret"}',
         b'{"key":"[secret removed]","key":"[secret removed]"}'),
        ("/key", b'{"k\\u0065y":"s3\\u0063ret"}', b'{"k\\u0065y":"[secret removed]"}'),
        ("/v/*/key", b'{"v":[{"key":"s3cret"},{"b":[],"key":"s3cret"}]}',
         b'{"v":[{"key":"[secret removed]"},{"b":[],"key":"[secret removed]"}]}'),
        ("/0", b'["s3cret", {"a": "}"}]', b'["[secret removed]", {"a": "}"}]'),
    ],
)  # fmt: skip
def test_a_token_in_a_body_is_not_kept_and_nothing_else_changes(
    pointer: str, body: bytes, kept: bytes
) -> None:
    source = generic_source("s3cret", verify={"kind": "token", "body": pointer})

    processed = process_delivery(Request(body=body), source, 1.5, "d1")

    (message,) = processed.messages
    assert b"s3cret" not in message.body
    assert kept in message.body


def test_a_token_in_a_form_is_not_kept() -> None:
    source = generic_source("s3cret", verify={"kind": "token", "body": "/key"})

    for body in (b"a=1&key=s3cret&b=2", b"a=1&b=2&k%65y=s3%63ret", b"key=s3cret&a=1&b=2"):
        processed = process_delivery(Request(body=body, headers=FORM), source, 1.5, "d1")

        data = json.loads(processed.messages[0].body)["data"]
        assert data == {"form": {"a": "1", "b": "2"}, "raw": "a=1&b=2"}


names = st.text(max_size=3)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
)


@given(document=documents, steps=st.lists(names | st.sampled_from("012"), max_size=4))
def test_a_pointer_finds_the_value_that_stands_at_its_span(document: Any, steps: list[str]) -> None:
    text = json.dumps(document, indent=1)

    places = [text[start:stop] for start, stop in spans(text, tuple(steps))]

    found = find(document, tuple(steps))
    assert [json.loads(place) for place in places] == ([found] if places else [])
    assert places or found is None


@given(body=documents, steps=st.lists(names, min_size=1, max_size=3))
def test_whatever_is_sent_becomes_an_event(body: Any, steps: list[str]) -> None:
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    assert parse_pointer(pointer) == tuple(steps)
    if " + " in pointer:
        return
    source = source_of(type=pointer, id=pointer, time=pointer, conversation=pointer)

    assert len(published(source, json.dumps(body).encode())) == 1
