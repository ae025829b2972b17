"""An event as a handler gets it: decoded from the relay's messages, and from anyone else's."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from cloudevents.core.bindings.rabbitmq import to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from consumers.kit.errors import NotAnEvent
from consumers.kit.event import Event, decode, parse
from consumers.kit.queues.headers import ATTEMPT, REPLAY, ROUTING_KEY
from consumers.kit.testing import events
from relay import vendors
from relay.events.event import TYPES
from tests.support.rows import for_each, for_each_row

ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/a", "type": "message.created"}
DOCUMENT: dict[str, Any] = ATTRIBUTES | {"data": {}}
TEXTS = ("id", "source", "type", "vendor", "vendortype", "subject", "recordedtime", "partitionkey")
PROPERTIES = ("raw", "conversation_id", "contact_id", "text", "occurred_at")


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand where local time is not UTC."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


def event(headers: dict[str, Any] | None = None, **changes: Any) -> Event:
    return decode(orjson.dumps(DOCUMENT | changes), routing_key="delivered.key", headers=headers)


# Events of the relay.


@for_each(vendor=vendors.discover())
def test_every_sample_of_every_vendor_is_an_event(vendor: str) -> None:
    for found in events(vendor):
        document = json.loads(found.body)
        assert {name: getattr(found, name) for name in TEXTS} == {
            name: document.get(name, "") for name in TEXTS
        }
        assert found.time == document.get("time")
        assert found.data == orjson.loads(found.body)["data"]
        assert found.raw == found.data["raw"]
        assert (found.attempt, found.replay, found.traceparent) == (1, "", "")
        assert found.routing_key.startswith(f"{vendor}.{found.type}")
        assert found.type in TYPES
        assert found.occurred_at
        assert found.occurred_at.tzinfo is UTC


def test_a_chat_that_was_missed_has_all_its_fields() -> None:
    (found,) = events("pickyassist", "05", source="sales")

    assert (found.source, found.type) == ("/pickyassist/sales", "conversation.missed")
    assert found.subject == f"contact/{found.contact_id}"
    assert found.partitionkey == found.contact_id == found.data["contact"]["id"]
    assert found.conversation_id == ""


@pytest.mark.parametrize("number", ["18446744073709551617", "-9223372036854775809", "1.10"])
def test_the_body_has_the_digits_that_data_lost(
    number: str, exactly: Callable[[bytes], Any]
) -> None:
    body = orjson.dumps(
        DOCUMENT | {"data": {"raw": orjson.Fragment(b'{"n":%s}' % number.encode())}}
    )

    found = decode(body, routing_key="k")

    assert found.body is body
    assert dict(dict(exactly(found.body))["data"])["raw"] == (("n", ("number", number)),)
    assert found.raw == {"n": float(number)}


# Events of others.


def test_a_foreign_cloud_event_is_an_event() -> None:
    theirs = CloudEvent(
        {
            "id": "A-1",
            "source": "https://example.com/shop",
            "type": "com.example.sold",
            "specversion": "1.0",
            "time": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
            "datacontenttype": "application/json",
            "comexampleextension": "x",
        },
        {"price": 5},
    )

    found = decode(to_structured_event(theirs, JSONFormat()).body, routing_key="shop.sold")

    assert (found.id, found.source, found.type) == (
        "A-1",
        "https://example.com/shop",
        "com.example.sold",
    )
    assert found.data == {"price": 5}
    assert found.occurred_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert (found.vendor, found.partitionkey, found.conversation_id, found.raw) == (
        *("", "", ""),
        None,
    )


def test_what_an_event_does_not_have_is_nothing() -> None:
    found = event()

    assert {getattr(found, name) for name in TEXTS[3:]} == {""}
    assert found.time is None
    assert [getattr(found, name) for name in PROPERTIES] == [None, "", "", "", None]


@for_each_row(
    ("body", "reason"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 5000, "it is not JSON"),
        (b'{"id":NaN}', "it is not JSON"),
        (b"null", "it is no CloudEvents 1.0 document"),
        (b"[]", "it is no CloudEvents 1.0 document"),
        (b'"1.0"', "it is no CloudEvents 1.0 document"),
        (b"{}", "it is no CloudEvents 1.0 document"),
        (b'{"specversion":1.0}', "it is no CloudEvents 1.0 document"),
        (b'{"specversion":"0.3"}', "it is no CloudEvents 1.0 document"),
        (b'{"specversion":"1.0"}', "its `id` is no text"),
        (orjson.dumps(DOCUMENT | {"id": 7}), "its `id` is no text"),
        (orjson.dumps(DOCUMENT | {"id": ""}), "its `id` is no text"),
        (orjson.dumps(DOCUMENT | {"source": None}), "its `source` is no text"),
        (orjson.dumps(DOCUMENT | {"type": []}), "its `type` is no text"),
        (orjson.dumps(ATTRIBUTES), "its `data` is no object"),
        (orjson.dumps(ATTRIBUTES | {"data": [1]}), "its `data` is no object"),
        (orjson.dumps(ATTRIBUTES | {"data": "text"}), "its `data` is no object"),
        (orjson.dumps(ATTRIBUTES | {"data_base64": "AA=="}), "its `data` is no object"),
    ],
)
def test_what_is_no_event_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(NotAnEvent) as caught:
        decode(body, routing_key="k")
    with pytest.raises(NotAnEvent):
        parse(body)

    assert str(caught.value) == reason


# Properties.


@for_each_row(
    ("data", "text"),
    [
        ({"message": {"text": "hello"}}, "hello"),
        ({"note": {"text": "called back"}}, "called back"),
        ({"message": {"text": "hello"}, "note": {"text": "called back"}}, "hello"),
        ({"message": {"kind": "image"}, "note": {"text": "called back"}}, "called back"),
        ({"message": {"text": 5}, "note": None}, ""),
        ({"message": "hello"}, ""),
        ({}, ""),
    ],
)
def test_the_text_is_what_was_said_or_noted(data: dict[str, Any], text: str) -> None:
    assert event(data=data).text == text


@for_each_row(
    ("said", "recorded", "occurred_at"),
    [
        ("2024-01-02T03:04:05.678Z", "", datetime(2024, 1, 2, 3, 4, 5, 678_000, UTC)),
        ("2024-01-02T03:04:05+02:00", "", datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("", "2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("yesterday", "2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (5, "2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("yesterday", "today", None),
        ("0001-01-01T00:00:00+14:00", "", None),  # before the first year there is
        ("9999-12-31T23:59:59-01:00", "", None),
    ],
)
def test_an_event_occurred_when_the_vendor_says_else_when_it_was_recorded(
    said: Any, recorded: str, occurred_at: datetime | None
) -> None:
    assert event(time=said, recordedtime=recorded).occurred_at == occurred_at


@pytest.mark.usefixtures("in_new_york")
def test_a_time_without_an_offset_is_utc_wherever_the_service_runs() -> None:
    found = event(time="2024-01-02T03:04:05")

    assert found.occurred_at == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_an_event_is_frozen_and_has_no_place_for_more() -> None:
    found: Any = event()

    with pytest.raises(dataclasses.FrozenInstanceError):
        found.type = "other"
    assert not hasattr(found, "__dict__")


# Headers.


def test_the_kits_own_headers_are_read() -> None:
    headers = {
        ATTEMPT: 3,
        ROUTING_KEY: "swiftsell.message.created",
        REPLAY: "monday",
        "traceparent": "00-1-2-01",
    }

    found = event(headers)

    assert (found.attempt, found.routing_key) == (3, "swiftsell.message.created")
    assert (found.replay, found.traceparent) == ("monday", "00-1-2-01")


ODD = [None, "", b"bytes", 1.5, True, -1, 2**80, [1], {"a": 1}, datetime(2024, 1, 1, tzinfo=UTC)]


@for_each(value=[each for each in ODD if type(each) is not int])
def test_a_header_of_another_type_counts_as_none(value: Any) -> None:
    names = (ATTEMPT, ROUTING_KEY, REPLAY, "traceparent")

    found = event(dict.fromkeys(names, value))

    assert (found.attempt, found.routing_key) == (1, "delivered.key")
    assert (found.replay, found.traceparent) == ("", "")


@pytest.mark.parametrize(("value", "attempt"), [(-1, 1), (0, 1), (2, 2), (2**80, 1_000_000)])
def test_an_attempt_is_within_reason(value: int, attempt: int) -> None:
    assert event({ATTEMPT: value}).attempt == attempt


# Anything at all.

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["2024-01-02T03:04:05", "2024-W01-1", "0001-01-01T00:00:00+14:00", "1.0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "text", "raw", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)
data_values = st.dictionaries(
    st.sampled_from(["conversation", "contact", "message", "note", "raw", "x"]), values, max_size=4
)
names = st.sampled_from([*TEXTS, "time", "data", "specversion", "unknown"])
headers_of = st.dictionaries(
    st.sampled_from([ATTEMPT, ROUTING_KEY, REPLAY, "traceparent"]),
    st.sampled_from(ODD) | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
)


@given(
    changes=st.dictionaries(names, values, max_size=3),
    data=data_values | values,
    headers=headers_of | st.none(),
)
def test_whatever_a_document_says_it_is_an_event_or_it_is_none(
    changes: dict[str, Any], data: Any, headers: dict[str, Any] | None
) -> None:
    body = orjson.dumps(DOCUMENT | {"data": data} | changes)

    try:
        found = decode(body, routing_key="k", headers=headers)
    except NotAnEvent as error:
        assert str(error)  # noqa: PT017  both outcomes are right
        return

    for field in dataclasses.fields(found):
        wanted = {"time": (str, type(None)), "attempt": int, "body": bytes, "data": dict}
        assert isinstance(getattr(found, field.name), wanted.get(field.name, str))
    assert all([found.id, found.source, found.type, found.attempt >= 1, found.routing_key])
    for name in ("conversation_id", "contact_id", "text"):
        assert type(getattr(found, name)) is str
    assert found.occurred_at is None or found.occurred_at.tzinfo is UTC
    assert found.raw == found.data.get("raw")


@given(body=st.binary(max_size=60) | values.map(orjson.dumps))
def test_whatever_arrives_is_an_event_or_it_is_none(body: bytes) -> None:
    with pytest.raises(NotAnEvent):
        decode(body, routing_key="k")


@given(data=st.data())
def test_a_damaged_sample_is_an_event_or_it_is_none(data: st.DataObject) -> None:
    (sample,) = events("pickyassist", "05")
    start = data.draw(st.integers(0, len(sample.body)))
    end = start + data.draw(st.integers(0, 3))
    body = sample.body[:start] + data.draw(st.binary(max_size=3)) + sample.body[end:]

    try:
        found = decode(body, routing_key="k")
    except NotAnEvent:
        return

    assert [getattr(found, name) for name in PROPERTIES]
