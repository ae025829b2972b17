"""What `relay send --set` and `--now` make of a payload."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from relay import vendors
from relay.cli.altered_body import assign, move_times, read_assignment
from relay.errors import Malformed, RelayError
from relay.events.event import NormalizedEvent
from relay.vendors import Vendor
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

NOW = 1_800_000_000.25
AT = "2023-09-01T14:13:45.503552Z"
AT_S = 1693577625


def event(time: str | None) -> NormalizedEvent:
    return NormalizedEvent(type="message.created", vendortype="m", data={}, raw=b"{}", time=time)


@for_each_row(
    ("body", "assignment", "expected"),
    [
        ({"a": {"b": 1}}, "/a/b=2", {"a": {"b": 2}}),
        ({"a": {"b": 1}}, "/a/c=Hello", {"a": {"b": 1, "c": "Hello"}}),
        ({"a": [1, 2]}, "/a/1=null", {"a": [1, None]}),
        ({"a": [1, 2]}, '/a/-={"x": "y=z"}', {"a": [1, 2, {"x": "y=z"}]}),
        ({"a/b": {"~": 1}}, "/a~1b/~0=", {"a/b": {"~": ""}}),
        ({"a": 1}, '/a="7"', {"a": "7"}),
        ({"a": 1}, "/a=123456789012345678901234567890", {"a": 123456789012345678901234567890}),
        ({"": 1}, "/=x", {"": "x"}),
    ],
)
def test_a_value_is_put_where_the_pointer_leads(body: Any, assignment: str, expected: Any) -> None:
    assert json.loads(assign(json.dumps(body).encode(), [read_assignment(assignment)])) == expected


@for_each(assignment=["/a/b/c=1", "/x/y=1", "/list/2=1", "/list/x=1", "/list/-/x=1", "/text/0=1"])
def test_a_pointer_that_leads_nowhere_is_named(assignment: str) -> None:
    body = b'{"a": {"b": 1}, "list": [1, 2], "text": "x"}'

    with pytest.raises(RelayError, match="leads nowhere"):
        assign(body, [read_assignment(assignment)])


@pytest.mark.parametrize("text", ["/a", "a=1", "=1", "/a~2=1", ""])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is n"):
        read_assignment(text)


def test_a_payload_that_is_no_json_is_refused() -> None:
    with pytest.raises(RelayError, match="is none"):
        assign(b"a=1&b=2", [read_assignment("/a=1")])


@for_each_row(
    ("written", "expected"),
    [
        (AT_S, 1_799_999_999),
        (AT_S * 1000 + 503, 1_800_000_000_249),
        (str(AT_S), "1799999999"),
        (f"{AT_S}.503552", "1800000000.250000"),
        ("2023-09-01T14:13:45.503552Z", "2027-01-15T08:00:00.250000Z"),
        ("2023-09-01T14:13:45.503Z", "2027-01-15T08:00:00.249Z"),
        ("2023-09-01 14:13:45", "2027-01-15 07:59:59"),
        ("2023-09-01T16:13:45.503552+02:00", "2027-01-15T10:00:00.250000+02:00"),
    ],
)
def test_a_time_keeps_its_notation(written: object, expected: object) -> None:
    body = json.dumps({"at": written, "other": "2020-01-01T00:00:00Z", "n": 5, "t": "x"}).encode()

    moved = move_times(body, [event(AT)], NOW)

    assert moved
    assert json.loads(moved) == {"at": expected, "other": "2020-01-01T00:00:00Z", "n": 5, "t": "x"}


def test_the_newest_event_is_now_and_the_others_as_long_before_as_they_were() -> None:
    events = [event("2023-09-01T14:13:35Z"), event("2023-09-01T14:13:45Z")]

    moved = move_times(json.dumps([AT_S - 10, AT_S]).encode(), events, 1_800_000_000)

    assert moved == b"[1799999990,1800000000]"


@pytest.mark.parametrize("events", [[], [event(None)], [event("1999-01-01T00:00:00Z")]])
def test_without_a_known_clock_nothing_is_moved(events: list[NormalizedEvent]) -> None:
    assert move_times(b'{"at": 1693577625}', events, NOW) is None


@for_each(name=vendors.discover())
def test_the_samples_of_each_vendor_with_a_clock_can_be_sent_as_of_now(name: str) -> None:
    vendor = vendors.discover()[name]
    for sample in vendors.samples(name):
        body = sample.read_bytes()
        events = events_of(vendor, body)
        if not any(event.time for event in events):
            continue

        moved = move_times(body, events, NOW)

        assert moved, sample.name
        times = [event.time for event in events_of(vendor, moved) if event.time]
        newest = max(datetime.fromisoformat(time) for time in times)
        assert abs((newest - datetime.fromtimestamp(NOW, UTC)).total_seconds()) <= 1, sample.name


def events_of(vendor: Vendor, body: bytes) -> list[NormalizedEvent]:
    headers = {}
    try:
        headers = dict(vendors.sign(vendor, body, "s3cret", NOW).headers)
        found = vendors.normalize(vendor, Request(body=body, headers=headers))
    except (Malformed, ValueError):
        return []
    return [each for each in found if isinstance(each, NormalizedEvent)]
