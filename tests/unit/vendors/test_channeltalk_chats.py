"""Channel Talk's chats and customers, whichever part of a push speaks of them."""

from typing import Any

import pytest

from relay.events.event import Data
from tests.support.rows import for_each_row
from tests.unit.vendors.test_channeltalk_messages import pushed

# What the chat adds.

CHAT = {
    "id": "c9",
    "channelId": 7,
    "userId": "u9",
    "name": "Ann",
    "state": "opened",
    "assigneeId": "m9",
    "teamId": "t9",
    "mediumType": "app",
    "contactMediumType": "appKakao",
}


def test_a_bots_message_is_about_the_customer_of_its_chat() -> None:
    event = pushed({"personType": "bot", "personId": "b1", "plainText": "hi"}, userChat=CHAT)

    assert event.data == {
        "conversation": {"id": "c9"},
        "contact": {"id": "u9", "name": "Ann"},
        "account": {"id": "7"},
        "channel": {"type": "appKakao"},
        "actor": {"type": "bot", "id": "b1"},
        "status": "opened",
        "assignment": {"to": {"type": "agent", "id": "m9"}},
        "message": {"kind": "text", "text": "hi"},
    }


@for_each_row(
    ("chat", "expected"),
    [
        ({"teamId": "t9"}, {"assignment": {"to": {"type": "team", "id": "t9"}}}),
        ({"assigneeId": "", "teamId": 7}, {"assignment": {"to": {"type": "team", "id": "7"}}}),
        ({"mediumType": "phone", "contactMediumType": ""}, {"channel": {"type": "phone"}}),
        ({"contactMediumType": "appLine"}, {"channel": {"type": "appLine"}}),
        ({"state": "snoozed"}, {"status": "snoozed"}),
        (
            {"state": 1, "mediumType": [], "assigneeId": {}, "teamId": False, "name": 5, "id": []},
            {},
        ),
        ({}, {}),
    ],
)
def test_what_the_chat_says_is_taken_field_by_field(chat: Data, expected: Data) -> None:
    event = pushed({"plainText": "hi"}, userChat=chat)

    assert event.data == {"message": {"kind": "text", "text": "hi"}} | expected


@for_each_row(
    ("content", "event_type"),
    [
        ({"plainText": "hi"}, "message.created"),
        ({"files": [{"key": "k"}]}, "message.created"),
        ({"form": {"inputs": [{"label": "a", "value": 1}]}}, "message.created"),
        ({"meet": {"state": "ended"}}, "message.created"),
        ({"log": {"action": "startWorkflow"}}, "message.created"),
        ({"log": {"action": "close"}}, "conversation.closed"),
        ({"log": {"action": "addTags", "values": ["a"]}}, "labels.added"),
        ({"plainText": "psst", "options": ["private"]}, "note.created"),
    ],
    role=["manager", "bot", "user", None],
)
def test_whatever_a_message_holds_the_chat_says_the_rest(
    content: Data, event_type: str, role: str | None
) -> None:
    event = pushed(content | {"personType": role}, userChat=CHAT)

    expected = {
        "conversation": {"id": "c9"},
        "contact": {"id": "u9", "name": "Ann"},
        "account": {"id": "7"},
        "channel": {"type": "appKakao"},
        "status": "opened",
        "assignment": {"to": {"type": "agent", "id": "m9"}},
    }
    assert event.type == event_type
    assert {name: event.data.get(name) for name in expected} == expected


@pytest.mark.parametrize("chat", [None, "c1", [], 5])
def test_a_chat_that_is_none_adds_nothing(chat: Any) -> None:
    event = pushed({"plainText": "hi"}, userChat=chat, user=chat, manager=chat)

    assert event.data == {"message": {"kind": "text", "text": "hi"}}


# Contacts.

PROFILE = {"name": "Ann", "email": "a@n.example", "mobileNumber": "+821", "landlineNumber": "+822"}
ANN = {"id": "u9", "name": "Ann", "email": "a@n.example", "phone": "+821"}


@pytest.mark.parametrize(
    ("user", "contact"),
    [
        ({"id": "u9", "profile": PROFILE}, ANN),
        ({"id": "u9", "name": "Koala 205", "email": "k@n.example", "profile": PROFILE}, ANN),
        (
            {"id": "u9", "profile": PROFILE | {"mobileNumber": None, "name": ""}},
            {"id": "u9", "email": "a@n.example", "phone": "+822"},
        ),
        (
            {"id": "u9", "name": "Ann", "mobileNumber": "+823", "profile": []},
            {"id": "u9", "name": "Ann", "phone": "+823"},
        ),
        ({"id": 9, "profile": {"name": 5, "email": {}, "mobileNumber": 821}}, {"id": "9"}),
    ],
)
def test_a_contact_is_what_the_profile_says_wherever_it_lies(user: Data, contact: Data) -> None:
    upserted = pushed(user, model="user", verb="upsert")
    chat = pushed({"userId": user["id"]}, model="userChat", user=user)
    answered = pushed({"personType": "manager"}, user=user)
    asked = pushed({"personType": "user", "personId": user["id"]}, user=user)

    for event in (upserted, chat, answered, asked):
        assert event.data["contact"] == contact
    who = {name: value for name, value in contact.items() if name != "phone"}
    assert asked.data["actor"] == {"type": "contact"} | who


@pytest.mark.parametrize(
    ("entity", "refers", "contact_id"),
    [
        ({"personType": "user", "personId": "u1"}, {"user": {"id": "u2"}, "userChat": CHAT}, "u1"),
        ({"personType": "manager"}, {"user": {"id": "u2"}, "userChat": CHAT}, "u9"),
        ({"personType": "bot"}, {"user": {"id": "u2"}, "userChat": {"userId": []}}, "u2"),
        ({"personType": "user", "personId": None}, {"userChat": CHAT}, "u9"),
    ],
)
def test_the_contacts_id_is_the_first_that_is_one(
    entity: Data, refers: Data, contact_id: str
) -> None:
    assert pushed(entity, **refers).data["contact"]["id"] == contact_id


# Until 2020: an unknown customer was a "veil", and a chat named its customer as a message does.

VEIL = {"id": "v1", "name": "Koala", "profile": {"email": "k@n.example", "mobileNumber": "+821"}}
KOALA = {"id": "v1", "name": "Koala", "email": "k@n.example", "phone": "+821"}


@for_each_row(
    ("model", "entity", "refers", "contact"),
    [
        ("Message", {"personType": "Veil", "personId": "v1"}, {"veil": VEIL}, KOALA),
        ("Message", {"personType": "Manager", "personId": "m1"}, {"veil": VEIL}, KOALA),
        (
            "Message",
            {"personType": "Bot"},
            {"userChat": {"id": "c1", "personType": "Veil", "personId": 7}},
            {"id": "7"},
        ),
        (
            "Message",
            {"personType": "Manager"},
            {"userChat": {"personType": "User", "personId": "u1", "userId": "u2"}},
            {"id": "u2"},
        ),
        ("UserChat", {"personType": "Veil", "personId": "v1"}, {"veil": VEIL}, KOALA),
        ("UserChat", {"personType": "Manager", "personId": "m1"}, {}, None),
    ],
)
def test_a_customer_of_former_times_is_a_contact(
    model: str, entity: Data, refers: Data, contact: Data | None
) -> None:
    event = pushed(entity, model=model, **refers)

    assert event.data.get("contact") == contact


def test_a_message_of_a_veil_is_the_contacts() -> None:
    event = pushed({"personType": "Veil", "personId": "v1", "message": "hi"}, veil=VEIL)

    assert event.data["actor"] == {
        "type": "contact",
        "id": "v1",
        "name": "Koala",
        "email": "k@n.example",
    }
    assert event.data["message"] == {"kind": "text", "text": "hi"}


# Chats.


@for_each_row(
    ("chat", "event_type", "time"),
    [
        ({"firstOpenedAt": 1000, "openedAt": 5000}, "conversation.opened", "1970-01-01T00:00:05Z"),
        ({"firstOpenedAt": 0, "openedAt": 1}, "conversation.opened", "1970-01-01T00:00:00.001000Z"),
        (
            {"firstOpenedAt": 5000, "openedAt": 5000},
            "conversation.created",
            "1970-01-01T00:00:00.500000Z",
        ),
        (
            {"firstOpenedAt": 5001, "openedAt": 5000},
            "conversation.created",
            "1970-01-01T00:00:00.500000Z",
        ),
        ({"openedAt": 5000}, "conversation.created", "1970-01-01T00:00:00.500000Z"),
        ({"firstOpenedAt": 1000}, "conversation.created", "1970-01-01T00:00:00.500000Z"),
        (
            {"firstOpenedAt": None, "openedAt": 5000},
            "conversation.created",
            "1970-01-01T00:00:00.500000Z",
        ),
        (
            {"firstOpenedAt": "1", "openedAt": 5000},
            "conversation.created",
            "1970-01-01T00:00:00.500000Z",
        ),
        (
            {"firstOpenedAt": True, "openedAt": 5.0},
            "conversation.created",
            "1970-01-01T00:00:00.500000Z",
        ),
        (
            {"firstOpenedAt": 1, "openedAt": 10**18},
            "conversation.opened",
            "1970-01-01T00:00:00.500000Z",
        ),
    ],
)
def test_a_chat_that_was_open_before_is_opened_again(
    chat: Data, event_type: str, time: str
) -> None:
    event = pushed({"id": "c1", "createdAt": 500} | chat, model="userChat")

    assert (event.type, event.time) == (event_type, time)


def test_a_change_of_a_chat_that_was_opened_again_is_no_opening() -> None:
    chat = {"firstOpenedAt": 1, "openedAt": 2, "updatedAt": 3000}

    event = pushed(chat, model="userChat", verb="update")

    assert (event.type, event.time) == ("conversation.updated", "1970-01-01T00:00:03Z")


@pytest.mark.parametrize("verb", ["push", "update"])
def test_a_chat_says_where_it_is_held_and_who_has_it(verb: str) -> None:
    event = pushed(CHAT, model="userChat", verb=verb)

    assert event.data == {
        "conversation": {"id": "c9", "title": "Ann"},
        "contact": {"id": "u9", "name": "Ann"},
        "account": {"id": "7"},
        "channel": {"type": "appKakao"},
        "assignment": {"to": {"type": "agent", "id": "m9"}},
        "status": "opened",
    }
