"""Acquire's older generation, docs 1.0.0: flat bodies, and JSON within strings."""

import json
from typing import Any

import pytest

from relay.events.event import Data, NormalizedEvent
from relay.vendors import acquire
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row


def normalized(event: str, **flat: Any) -> NormalizedEvent:
    [found] = acquire.normalize(Request(body=json.dumps({"event": event} | flat).encode()))
    return found


@pytest.mark.parametrize("key", [" id", "id"])
def test_a_chat_that_starts_has_its_id_under_a_key_with_a_space(key: str) -> None:
    details = {"name": "Ann", "email": "a@n.example", "phone": "", "remarks": "x"}

    event = normalized("CHAT_ON_START", data={key: 104, "details": details, "status": "active"})

    assert event.type == "conversation.created"
    assert event.data == {
        "conversation": {"id": "104"},
        "contact": {"name": "Ann", "email": "a@n.example"},
    }


@pytest.mark.parametrize("chat_id", ["104", 104])
def test_a_chat_that_is_accepted_has_an_agent(chat_id: Any) -> None:
    user = {"id": "agent-12345", "id_real": 15416, "name": "Bo"}

    event = normalized("CHAT_ON_ACCEPT", id=chat_id, user=user, chat_wait_time="null")

    assert event.type == "conversation.accepted"
    assert event.data == {
        "conversation": {"id": "104"},
        "actor": {"type": "agent", "id": "15416", "name": "Bo"},
    }


MESSAGE = {"type": "message", "msg": "hi", "user": {"id": 15, "name": "Bo", "type": "agent"}}


@pytest.mark.parametrize("message", [MESSAGE, json.dumps(MESSAGE)])
def test_a_message_is_an_object_or_json_in_a_string(message: Any) -> None:
    event = normalized("CHAT_ON_MESSAGE", id=1, visitor_id="6", account_id=10, message=message)

    assert (event.type, event.detail) == ("message.created", "message")
    assert event.data == {
        "conversation": {"id": "1"},
        "contact": {"id": "6"},
        "account": {"id": "10"},
        "actor": {"type": "agent", "id": "15", "name": "Bo"},
        "message": {"kind": "message", "text": "hi"},
    }


@for_each_row(
    ("message", "expected"),
    [
        ({"type": "file.pdf", "msg": None}, {"message": {"kind": "file_pdf"}}),
        (
            {"user": {"type": "visitor", "id": "v"}},
            {"actor": {"type": "contact", "id": "v"}, "message": {"kind": "message"}},
        ),
        (
            {"user": {"type": "system"}},
            {"actor": {"type": "system"}, "message": {"kind": "message"}},
        ),
        ({"user": {"type": "alien", "id": 1}}, {"message": {"kind": "message"}}),
        ({"user": {"type": "agent"}}, {"message": {"kind": "message"}}),
        ("{", {"message": {"kind": "message"}}),
        ("[1]", {"message": {"kind": "message"}}),
        ("null", {"message": {"kind": "message"}}),
        (None, {"message": {"kind": "message"}}),
        (7, {"message": {"kind": "message"}}),
    ],
)
def test_a_message_of_an_odd_shape_is_still_a_message(message: Any, expected: Data) -> None:
    event = normalized("CHAT_ON_MESSAGE", message=message)

    assert event.type == "message.created"
    assert event.data == expected


@pytest.mark.parametrize("note", [{"type": "note", "msg": "rude"}, {"type": "NOTE", "msg": "rude"}])
@pytest.mark.parametrize("written", [dict, json.dumps])
def test_a_note_is_no_message(note: Data, written: Any) -> None:
    event = normalized("CHAT_ON_MESSAGE", id=1, message=written(note))

    assert (event.type, event.detail) == ("note.created", "")
    assert event.data == {
        "conversation": {"id": "1"},
        "message": {"kind": note["type"]},
        "note": {"text": "rude"},
    }


USERS = {"visitor": {"name": "Ann", "email": ""}}


@for_each(by=["agent-15", "", None, 15], users=[USERS, json.dumps(USERS)])
def test_a_chat_that_is_closed_says_closed_and_by_whom(users: Any, by: Any) -> None:
    event = normalized("CHAT_ON_CLOSE", id="1", users=users, by=by, status="active")

    assert event.type == "conversation.closed"
    who = {"actor": {"type": "agent", "id": "15"}} if by == "agent-15" else {}
    assert (
        event.data
        == {
            "conversation": {"id": "1"},
            "contact": {"name": "Ann"},
            "status": "closed",
        }
        | who
    )


def test_dates_without_a_zone_are_no_time() -> None:
    event = normalized("CHAT_ON_CLOSE", date_created="2018-07-23 05:17:40")

    assert event.time is None
