"""Picky Assist: a secret in the URL, seven numbered events, and another webhook's look-alikes."""

import json
from typing import Any

import pytest

from relay.errors import Malformed, Unauthenticated
from relay.events.event import Data, NormalizedEvent
from relay.vendors import pickyassist
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

SECRETS = Secrets(["pa-2", "pa-1"])
CONTACT = {"contact": {"id": "20"}}


def normalized(event_id: Any = 2, **fields: Any) -> NormalizedEvent:
    body = {"event_id": event_id, "contact_id": "20"} | fields
    [event] = pickyassist.normalize(Request(body=json.dumps(body).encode()))
    return event


@pytest.mark.parametrize(
    "request_",
    [
        Request(body=b"", path_secret="pa-1"),
        Request(body=b"", query_string="token=pa-1"),
        Request(body=b"", query_string="secret=pa-2"),
        Request(body=b"", query_string="a=1&token=x&secret=pa-1", path_secret="x"),
        Request(body=b"", query_string="token=pa%2D1"),
    ],
)
def test_a_secret_in_the_url_lets_in(request_: Request) -> None:
    assert pickyassist.authenticate(request_, SECRETS) is None


@for_each(
    request_=[
        Request(body=b""),
        Request(body=b'{"token": "pa-1"}', headers={"authorization": "pa-1"}),
        Request(body=b"", path_secret=""),
        Request(body=b"", path_secret="pa-3", query_string="token="),
        Request(body=b"", query_string="key=pa-1"),
        Request(body=b"", query_string="pa-1"),
        Request(body=b"", query_string="a=1&" * 64 + "token=pa-1"),
    ]
)
def test_a_secret_anywhere_else_does_not(request_: Request) -> None:
    with pytest.raises(Unauthenticated):
        pickyassist.authenticate(request_, SECRETS)


@for_each_row(
    ("event_id", "event_type"),
    [
        (1, "conversation.assigned"),
        (2, "conversation.accepted"),
        (3, "conversation.rejected"),
        (4, "conversation.closed"),
        (5, "conversation.missed"),
        (6, "conversation.joined"),
        (7, "conversation.left"),
    ],
)
def test_the_number_decides_the_type(event_id: int, event_type: str) -> None:
    as_number, as_text = normalized(event_id), normalized(str(event_id))

    assert as_number.type == as_text.type == event_type
    assert as_number.vendortype == as_text.vendortype == str(event_id)
    assert as_number.detail == as_text.detail == ""


@pytest.mark.parametrize("event_id", [7, "7"])
def test_people_of_one_name_who_are_removed_at_once_are_told_apart_by_nothing(
    event_id: int | str,
) -> None:
    assert normalized(event_id).identity == "delivery"


@for_each(event_id=[1, 2, 3, 4, 5, 6, 8, "1", "new"])
def test_what_one_person_did_to_one_contact_is_told_apart_by_the_element(
    event_id: int | str,
) -> None:
    assert normalized(event_id).identity == "element"


@for_each(event_id=[0, 8, -1, 2**63, "01", "1.0", "\u0667", "new"])
def test_an_unknown_number_is_unrecognized(event_id: Any) -> None:
    event = normalized(event_id)

    assert event.type == "unrecognized"
    assert event.detail == event.vendortype == str(event_id)
    assert event.data == CONTACT


@for_each(
    body=[
        '{"event_id": 1, "project_id": 5, "data": [{"push_id": 1}]}',
        '{"event_id": 1, "contact_id": "20", "data": []}',
        '{"event_id": 1}',
        '{"contact_id": "20"}',
        '{"event_id": null, "contact_id": "20"}',
        '{"event_id": true, "contact_id": "20"}',
        '{"event_id": "", "contact_id": "20"}',
        '{"event_id": 1.0, "contact_id": "20"}',
        '{"event_id": [1], "contact_id": "20"}',
        '[{"event_id": 1, "contact_id": "20"}]',
        '"test"',
        "null",
    ]
)
def test_the_vendors_other_webhooks_have_an_unknown_shape(body: str) -> None:
    with pytest.raises(Malformed) as caught:
        pickyassist.normalize(Request(body=body.encode()))

    assert caught.value.reason == "unknown_shape"


def test_the_old_form_encoding_is_not_json() -> None:
    with pytest.raises(Malformed) as caught:
        pickyassist.normalize(Request(body=b"event_id=1&contact_id=20"))

    assert caught.value.reason == "not_json"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"user": "Ann", "user_id": "5"}, {"actor": {"type": "agent", "id": "5", "name": "Ann"}}),
        ({"user_id": 5}, {"actor": {"type": "agent", "id": "5"}}),
        ({"user": "", "user_id": None}, {}),
        ({"project_id": 7, "channel": 0}, {"account": {"id": "7"}, "channel": {"id": "0"}}),
        ({"project_id": "", "channel": []}, {}),
    ],
)
def test_ids_are_strings_whatever_they_were(fields: Data, expected: Data) -> None:
    event = normalized(2, **fields)

    assert event.data == CONTACT | expected


@pytest.mark.parametrize("mobile", ["9186", 9186])
def test_a_contact_has_a_phone(mobile: Any) -> None:
    event = normalized(contact_id=20, contact_mobile=mobile)

    assert event.data == {"contact": {"id": "20", "phone": "9186"}}


@for_each_row(
    ("timestamp", "time"),
    [
        ("1775220730", "2026-04-03T12:52:10Z"),
        (1775220730, "2026-04-03T12:52:10Z"),
        ("2026-04-03", None),
        ("-5", None),
        (1775220730.5, None),
        ("9" * 39, None),
        (None, None),
    ],
)
def test_the_clock_is_in_seconds(timestamp: Any, time: str | None) -> None:
    event = normalized(timestamp=timestamp)

    assert event.time == time


@for_each_row(
    ("fields", "assignment"),
    [
        (
            {"assigned_to": "Bo", "assigned_to_userid": 9, "assign_type": "Manual Assign"},
            {"to": {"type": "agent", "id": "9", "name": "Bo"}, "mode": "manual"},
        ),
        (
            {"assign_type": "Forced Assign", "assigned_through": "Teambox"},
            {"mode": "forced", "through": "teambox"},
        ),
        (
            {"assign_type": "forcefully", "assigned_through": "Smart Replies"},
            {"mode": "forced", "through": "smart_replies"},
        ),
        (
            {"assign_type": "other", "assigned_through": "Connector", "connector_name": "Sheets"},
            {"through": "connector", "via": "Sheets"},
        ),
        (
            {"assigned_through": "Flows", "flow_name": "Welcome", "connector_name": ""},
            {"through": "flow", "via": "Welcome"},
        ),
        ({"assigned_through": "connectors"}, {"through": "connector"}),
        ({"assigned_through": "Flow"}, {"through": "flow"}),
        ({"assigned_through": "Smart Reply"}, {"through": "smart_replies"}),
        ({"assigned_through": "Magic", "assign_type": 3}, {}),
        ({}, {}),
    ],
)
def test_an_assignment_says_to_whom_how_and_through_what(fields: Data, assignment: Data) -> None:
    event = normalized(1, **fields)

    assert event.data["assignment"] == {"to": {"type": "agent"}} | assignment


@pytest.mark.parametrize(
    ("by", "actor"),
    [
        ("System", {"type": "system", "name": "System"}),
        ("SYSTEM", {"type": "system", "name": "SYSTEM"}),
        ("Ann", {"type": "agent", "name": "Ann"}),
    ],
)
def test_who_left_is_not_who_removed_them(by: str, actor: Data) -> None:
    event = normalized(7, user="Ann", user_id=5, kicked_out_user="Nandu", kicked_out_by=by)

    assert event.data == CONTACT | {"actor": actor, "member": {"type": "agent", "name": "Nandu"}}


@pytest.mark.parametrize("by", [None, "", 5, {}])
def test_if_nobody_is_said_to_have_removed_them_the_user_did(by: Any) -> None:
    event = normalized(7, user="Ann", user_id=5, kicked_out_user="Nandu", kicked_out_by=by)

    assert event.data["actor"] == {"type": "agent", "id": "5", "name": "Ann"}
