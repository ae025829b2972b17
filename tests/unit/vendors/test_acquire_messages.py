"""Acquire's `case:message:new`: whole or spread out, a message or a note, of any shape."""

import json
from typing import Any

import pytest

from relay.events.event import Data, Identity, NormalizedEvent
from relay.vendors import acquire
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

CASE = {"conversation": {"id": "72"}}


def normalized(vendortype: str, data: Any) -> NormalizedEvent:
    body = {"event": vendortype, "data": data}
    [found] = acquire.normalize(Request(body=json.dumps(body).encode()))
    return found


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {
                "id": 323,
                "senderId": "5",
                "senderType": "contact",
                "type": "message",
                "message": "hi",
            },
            {
                "actor": {"type": "contact", "id": "5"},
                "message": {"id": "323", "kind": "message", "text": "hi"},
            },
        ),
        (
            {"senderType": "user", "senderId": 1, "type": "event", "message": "joined"},
            {"actor": {"type": "agent", "id": "1"}, "message": {"kind": "event", "text": "joined"}},
        ),
        (
            {"senderType": "bot", "type": "a.b"},
            {"actor": {"type": "bot"}, "message": {"kind": "a_b"}},
        ),
        ({"senderType": "queue", "message": {"a": 1}}, {"message": {"kind": "message"}}),
    ],
)
def test_a_case_message_comes_whole_or_spread_out(message: Data, expected: Data) -> None:
    whole = normalized("case:message:new", {"caseId": "72", "message": message})
    spread = normalized("case:message:new", {"caseId": "72"} | message)

    assert whole.type == spread.type == "message.created"
    assert whole.detail.replace(".", "_") == expected["message"]["kind"]
    assert whole.data == CASE | expected
    if not isinstance(message.get("message"), dict):
        assert spread.data == whole.data


@for_each_row(
    ("message", "identity"),
    [
        ({"id": 323}, ("case:message:new", "323")),
        ({"id": "323", "message": "ok", "seen": "yes"}, ("case:message:new", "323")),
        ({"id": "323", "type": "note"}, ("case:message:new", "323")),
        ({"id": ""}, "delivery"),
        ({"id": 323.0}, "delivery"),
        ({"message": "ok"}, "delivery"),
    ],
)
def test_a_case_message_is_told_apart_by_its_id_alone(message: Data, identity: Identity) -> None:
    whole = normalized("case:message:new", {"caseId": "72", "message": message})
    spread = normalized("case:message:new", {"caseId": "72"} | message)

    assert whole.identity == spread.identity == identity


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"id": 9, "senderType": "user", "senderId": 7, "type": "note", "message": "rude"},
            {
                "actor": {"type": "agent", "id": "7"},
                "message": {"id": "9", "kind": "note"},
                "note": {"text": "rude"},
            },
        ),
        (
            {"type": "Note", "message": "rude"},
            {"message": {"kind": "Note"}, "note": {"text": "rude"}},
        ),
        (
            {"id": "9", "type": "note", "message": {"a": 1}},
            {"message": {"id": "9", "kind": "note"}},
        ),
        ({"id": [], "type": "note", "message": ""}, {"message": {"kind": "note"}}),
    ],
)
def test_a_note_is_no_message(message: Data, expected: Data) -> None:
    whole = normalized("case:message:new", {"caseId": "72", "message": message})
    beside = normalized(
        "case:message:new", {"caseId": "72", "type": message["type"], "message": untyped(message)}
    )

    for event in (whole, beside):
        assert (event.type, event.detail) == ("note.created", "")
        assert event.data == CASE | expected


def untyped(message: Data) -> Data:
    """Return a message without its type, but never an empty one."""
    return {"seen": "no"} | {name: value for name, value in message.items() if name != "type"}


def test_a_note_spread_out_is_no_message() -> None:
    note = {"caseId": 72, "id": 9, "type": "note", "message": "rude"}

    event = normalized("case:message:new", note)

    assert (event.type, event.detail) == ("note.created", "")
    assert event.data == CASE | {"message": {"id": "9", "kind": "note"}, "note": {"text": "rude"}}


@pytest.mark.parametrize("kinds", [("message", "note"), ("note", "message"), ("event", "NOTE")])
def test_a_note_is_one_wherever_it_says_so(kinds: tuple[str, str]) -> None:
    inner, outer = kinds
    message = {"id": 9, "type": inner, "message": "rude"}

    event = normalized("case:message:new", {"type": outer, "message": message})

    assert (event.type, event.data["note"]) == ("note.created", {"text": "rude"})
    assert event.data["message"]["kind"].lower() == "note"


NOTE = {"id": 9, "type": "note", "message": "rude"}
HELLO = {"id": 8, "type": "message", "message": "hi", "senderType": "contact"}


@for_each(
    data=[
        {"messages": [HELLO, NOTE]},
        {"message": [NOTE]},
        {"case": {"id": 72, "messages": [NOTE]}},
        {"case": {"id": 72, "message": NOTE}},
        {"message": {"seen": "no", "message": NOTE | {"type": "Note"}}},
        HELLO | {"messages": [NOTE]},
        {"type": "message", "messages": [[], None, NOTE]},
    ]
)
def test_a_note_is_no_message_whatever_it_lies_in(data: Data) -> None:
    event = normalized("case:message:new", {"caseId": 72} | data)

    assert (event.type, event.detail) == ("note.created", "")
    assert event.data["conversation"] == {"id": "72"}
    assert "text" not in event.data["message"]


@for_each(
    data=[
        {"messages": [HELLO]},
        {"messages": [{"id": 7, "message": "before"}, HELLO]},
        {"message": [HELLO], "type": "other"},
        {"case": {"messages": [HELLO]}},
        {"messages": [NOTE, HELLO]},
        HELLO | {"messages": [{"id": 7, "message": "before"}]},
    ]
)
def test_of_several_messages_the_last_is_the_new_one(data: Data) -> None:
    event = normalized("case:message:new", data)

    assert event.data == {
        "actor": {"type": "contact"},
        "message": {"id": "8", "kind": "message", "text": "hi"},
    }
    assert event.identity == ("case:message:new", "8")


@pytest.mark.parametrize(
    "body",
    [
        {"message": {"type": "note", "msg": "rude"}},
        {"type": "Note", "message": {"type": "message", "msg": "rude"}},
        {"type": "note", "message": '{"msg": "rude"}'},
        {"message": '{"type": "NOTE", "msg": "rude"}'},
    ],
)
def test_a_note_of_the_older_version_is_one_wherever_it_says_so(body: Data) -> None:
    text = json.dumps({"event": "CHAT_ON_MESSAGE", "id": 4} | body).encode()

    [event] = acquire.normalize(Request(body=text))

    assert (event.type, event.data["note"]) == ("note.created", {"text": "rude"})


@for_each(kind=["message", "event", "notes", "footnote", "", None, ["note"]])
def test_only_a_note_is_a_note(kind: Any) -> None:
    event = normalized("case:message:new", {"message": {"id": 9, "type": kind, "message": "hi"}})

    assert event.type == "message.created"
    assert event.data["message"]["text"] == "hi"


@for_each(
    odd=[None, "", 0, [], {}, "x", [1], {"id": {}}, {"a": None}, 1.5],
    name=[
        *("caseId", "case", "contact", "message", "id", "type", "senderType", "senderId"),
        *("user", "userId", "status", "fields"),
    ],
    vendortype=[*acquire._CASES, "user:case-invite", "feedback"],
)
def test_a_field_of_an_odd_shape_keeps_no_event_back(vendortype: str, name: str, odd: Any) -> None:
    data = {"caseId": "72", "status": "closed", "type": "note", "message": "hi"} | {name: odd}

    event = normalized(vendortype, data)

    assert event.vendortype == vendortype
    assert name == "caseId" or event.data["conversation"] == CASE["conversation"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"case": {"id": 72}}, CASE),
        ({"caseId": 72, "case": {"id": 73}}, CASE),
        ({"case": {"id": "72", "contact": {"id": 5}}}, CASE | {"contact": {"id": "5"}}),
        ({"case": {"contact": {"id": 5}}, "contact": {"id": 6}}, {"contact": {"id": "6"}}),
        ({"case": "72"}, {}),
    ],
)
def test_a_message_may_lie_around_its_case(data: Data, expected: Data) -> None:
    event = normalized("case:message:new", data | {"id": 9, "message": "hi"})

    assert event.data == expected | {"message": {"id": "9", "kind": "message", "text": "hi"}}
