"""WotNot, as Swiftsell and Support Hunt: an array of events, and every quirk their pages show."""

import json
from typing import Any

import orjson
import pytest

from relay.errors import Malformed
from relay.events.event import MAX_EVENTS, Data, NormalizedEvent
from relay.vendors import swiftsell
from relay.vendors.kit import raw_json
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row


def events_of(body: bytes | str) -> list[NormalizedEvent]:
    text = body.encode() if isinstance(body, str) else body
    return swiftsell.normalize(Request(body=text))


def normalized(vendortype: str, payload: Any = None, **envelope: Any) -> NormalizedEvent:
    element = {"event": {"type": vendortype, "payload": payload}} | envelope
    [event] = events_of(json.dumps({"events": [element]}))
    return event


def test_only_the_token_is_taken_out_of_an_element() -> None:
    body = (
        '{"events": [{"token": "t", "a":1.10 , "a" : 12345678901234567890123, "token":[],'
        ' "\\u00e9":"\\u00e9", "event":{"type":"x","token":"kept"}}], "more": 1}'
    )

    [event] = events_of(body)

    pairs = json.loads(event.raw, object_pairs_hook=list, parse_float=str)
    assert pairs == [
        ("a", "1.10"),
        ("a", 12345678901234567890123),
        ("é", "é"),
        ("event", [("type", "x"), ("token", "kept")]),
    ]


def test_every_event_of_an_array_is_understood_in_order() -> None:
    elements = [{"event": {"type": "note", "payload": {"note": str(i)}}} for i in range(5)]

    events = events_of(orjson.dumps({"before": 1, "events": elements, "after": {"events": []}}))

    assert [event.data["note"]["text"] for event in events] == list("01234")
    assert [orjson.loads(event.raw) for event in events] == elements


@for_each_row(
    ("body", "reason"),
    [
        ('{"events": [], "events": [{"event": {"type": "note"}}]}', "duplicate_events"),
        ('{"events": [{"event": {"type": "a"}}], "\\u0065vents": []}', "duplicate_events"),
        ('{"events": {}}', "unknown_shape"),
        ('{"events": "[]", "token": "t"}', "unknown_shape"),
        ('{"events": [[]]}', "unknown_shape"),
        ('{"events": [{"event": {"type": ""}}]}', "unknown_shape"),
        ('{"events": [{"event": {"type": 7}}]}', "unknown_shape"),
        ('{"events": [{"event": null}, {"event": NaN}]}', "unknown_shape"),
        ('{"events": [{"event": {"type": "a"}}, NaN], "b": NaN}', "not_json"),
        ('{"events": [{"event": {"type": "a"}}, NaN], "events": []}', "duplicate_events"),
        ('{"a": 1}', "unknown_shape"),
        ("[]", "unknown_shape"),
        ("null", "unknown_shape"),
        ('"tok-1"', "unknown_shape"),
        ("tok-1", "not_json"),
        ('{"events": [{"event": {"type": "a"}},]}', "not_json"),
        ('{"events": [{"event": {"type": "a"}}]', "not_json"),
        ('{"events": [{"event": {"type": "a"}} {}]}', "not_json"),
        ('{"events": [{"event": {"type": NaN}}]}', "not_json"),
        ('{"events":\x0b[{"event": {"type": "a"}}]}', "not_json"),
        ('{"events": [{"event": {"type": "a"}}\x0c]}', "not_json"),
        ('{"events": [' + '{"a":' * 250 + "1" + "}" * 250 + "]}", "too_deep"),
        ('{"events": [' + "1," * MAX_EVENTS + "1]}", "too_many_events"),
        ('{"events": [' + "NaN," * MAX_EVENTS + "1]}", "too_many_events"),
        ("{" + '"":0,' * raw_json.MAX_MEMBERS + '"events": []}', "too_many_members"),
        (
            '{"events": [{"token": "t",'
            + '"":0,' * raw_json.MAX_MEMBERS
            + '"event": {"type": "a"}}]}',
            "too_many_members",
        ),
    ],
)
def test_what_is_not_understood_says_why(body: str, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        events_of(body)

    assert caught.value.reason == reason


# Who, where and when.

USER = {"email": "a@b.example", "id": "8292", "type": "user"}
AGENT = {"type": "agent", "id": "8292", "email": "a@b.example"}
TEAM = {"type": "team", "id": "31", "name": "Billing"}
NAMELESS = {"type": "team", "id": "31"}


@for_each_row(
    ("sent", "time"),
    [
        ("2023-09-01 14:13:45.503552", "2023-09-01T14:13:45.503552Z"),
        ("2023-09-01 14:13:45", "2023-09-01T14:13:45Z"),
        ("2023-09-01T14:13:45", "2023-09-01T14:13:45Z"),
        ("2023-09-01T14:13:45.5Z", "2023-09-01T14:13:45.500000Z"),
        ("2023-09-01 14:13:45+05:30", "2023-09-01T08:43:45Z"),
        ("01/09/2023", None),
        ("", None),
        (None, None),
        (1693577625, None),
    ],
)
def test_a_timestamp_is_utc_unless_it_says_otherwise(sent: Any, time: str | None) -> None:
    event = normalized("note", timestamp=sent)

    assert event.time == time


@for_each_row(
    ("sent", "seen"),
    [
        (USER, AGENT),
        ({"type": "user", "id": 8292, "email": None}, {"type": "agent", "id": "8292"}),
        (
            {"type": "bot", "id": "", "email": "seq_user@wotnot-seq.com"},
            {"type": "bot", "email": "seq_user@wotnot-seq.com"},
        ),
        ({"type": "visitor", "id": None, "email": None}, {"type": "contact"}),
        (
            {"type": "team", "id": "31", "name": "Billing"},
            {"type": "team", "id": "31", "name": "Billing"},
        ),
        ({"type": "team", "id": 31, "name": "", "email": None}, {"type": "team", "id": "31"}),
        ({"type": "team", "id": [31], "name": 7}, {"type": "team"}),
        (
            {"type": "Team", "id": 31, "name": "Billing", "email": ""},
            {"type": "team", "id": "31", "name": "Billing"},
        ),
        ({"type": "USER", "id": "8292"}, {"type": "agent", "id": "8292"}),
        ({"type": "Visitor", "id": None}, {"type": "contact"}),
        ({"type": "robot", "id": "1"}, None),
        ({"id": "1"}, None),
        ({"type": ["user"]}, None),
        ("user", None),
        (None, None),
    ],
)
def test_an_actor_is_who_the_vendor_says_or_nobody(sent: Any, seen: Data | None) -> None:
    event = normalized("note", {"note_by": sent})

    assert event.data.get("actor") == seen


@pytest.mark.parametrize(
    "key",
    ["a569015fa03d41a283ed4c66c4601966", "12345_476", "ext-7@acme.example_476", "é_476", 12345],
)
def test_a_visitor_has_whatever_key_the_channel_gave(key: Any) -> None:
    event = normalized("note", {"note": "x"}, visitor={"key": key, "id": 1})

    assert event.data["contact"] == {"id": str(key)}


@for_each(odd=[None, "", 0, [], {}, "text", [1], {"key": "", "id": None}])
def test_a_missing_party_is_left_out(odd: Any) -> None:
    event = normalized("note", {"note": odd}, conversation=odd, visitor=odd, account=odd)

    assert event.data == ({"note": {"text": "text"}} if odd == "text" else {})


@for_each_row(
    ("payload", "expected"),
    [
        ({"to": USER, "from": None, "changed_by": USER}, {"actor": AGENT, "to": AGENT}),
        ({"to": None, "from": USER}, {"from": AGENT}),
        (
            {"to": TEAM, "from": USER, "changed_by": USER},
            {"actor": AGENT, "from": AGENT, "to": TEAM},
        ),
        ({"to": USER, "from": TEAM}, {"from": TEAM, "to": AGENT}),
        ({"to": TEAM | {"id": 31}, "from": TEAM | {"name": None}}, {"to": TEAM, "from": NAMELESS}),
        ({"to": None, "from": None}, {}),
        (None, {}),
    ],
)
def test_a_side_without_an_assignee_is_left_out(payload: Any, expected: Data) -> None:
    event = normalized("assignee_change", payload)

    assert event.type == "conversation.assigned"
    who = {"actor": expected.pop("actor")} if "actor" in expected else {}
    assert event.data == who | ({"assignment": expected} if expected else {})


# Types.


@for_each_row(
    ("status", "event_type"),
    [
        ("Close", "conversation.closed"),
        ("closed", "conversation.closed"),
        ("Open", "conversation.opened"),
        ("OPENED", "conversation.opened"),
        ("Pending", "conversation.status_changed"),
        ("", "conversation.status_changed"),
        (None, "conversation.status_changed"),
        (1, "conversation.status_changed"),
    ],
)
def test_a_status_decides_the_type(status: Any, event_type: str) -> None:
    event = normalized("status", {"opened_by": USER, "status": status})

    assert event.type == event_type
    assert event.data["actor"] == AGENT
    assert event.data.get("status") == (status if isinstance(status, str) and status else None)


@for_each_row(
    ("action", "event_type"),
    [
        ("deleted", "labels.removed"),
        ("Removed", "labels.removed"),
        ("detached", "labels.removed"),
        ("created", "labels.added"),
        ("added", "labels.added"),
        ("ATTACHED", "labels.added"),
        ("renamed", "labels.changed"),
        (None, "labels.changed"),
        ({}, "labels.changed"),
    ],
)
def test_an_action_on_labels_decides_the_type(action: Any, event_type: str) -> None:
    labels = [{"id": 1}, {"id": "2"}, {"id": None}, {"id": ""}, {}, 3, None]

    event = normalized("conversation_labels", {"action": action, "labels": labels})

    assert event.type == event_type
    assert event.data == {"labels": [{"id": "1"}, {"id": "2"}]}


@pytest.mark.parametrize("vendortype", ["sla_breached", "Conversation.Create", "é", "x" * 1000])
def test_an_unknown_type_is_unrecognized_with_its_name_as_the_detail(vendortype: str) -> None:
    event = normalized(vendortype, {"a": 1}, conversation={"key": "c1"})

    assert (event.type, event.detail, event.vendortype) == ("unrecognized", vendortype, vendortype)
    assert event.data == {"conversation": {"id": "c1"}}


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        ({"message_id": 5, "status": "read"}, {"message": {"id": "5"}, "status": "read"}),
        (
            {"message": {"id": "m", "type": "form.response", "status": "sent"}},
            {"message": {"id": "m", "kind": "form_response"}, "status": "sent"},
        ),
        (None, {}),
    ],
)
def test_a_message_status_is_understood_as_far_as_it_goes(payload: Any, data: Data) -> None:
    event = normalized("message_status", payload)

    assert event.type == "message.status_changed"
    assert event.detail == ""
    assert event.data == data
