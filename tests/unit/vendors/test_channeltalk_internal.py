"""What Channel Talk's staff write for each other: notes and team chats, and what is a message."""

from typing import Any

import pytest

from relay.events.event import Data
from relay.vendors import channeltalk
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row
from tests.unit.vendors.test_channeltalk_messages import pushed

# Notes.


@pytest.mark.parametrize(
    ("entity", "note", "message"),
    [
        ({"plainText": "he is angry"}, {"text": "he is angry"}, {"kind": "text"}),
        (
            {"id": "m1", "blocks": [{"type": "text", "value": "<b>he</b> is &lt;angry&gt;"}]},
            {"text": "he is <angry>"},
            {"id": "m1", "kind": "text"},
        ),
        (
            {"files": [{"id": "f", "key": "k", "name": "a.png", "size": 5}]},
            None,
            {
                "kind": "file",
                "attachments": [{"id": "f", "key": "k", "file_name": "a.png", "size_bytes": 5}],
            },
        ),
        (
            {"plainText": "see", "files": [{"id": "f"}]},
            {"text": "see"},
            {"kind": "text", "attachments": [{"id": "f"}]},
        ),
        (
            {"log": {"action": "startTask"}},
            None,
            {"kind": "log", "variables": [{"name": "action", "value": "startTask"}]},
        ),
        ({"form": {"inputs": [{"value": 5}]}}, None, {"kind": "form", "variables": [{"value": 5}]}),
        ({}, None, {"kind": "unknown"}),
    ],
)
@for_each(who=["manager", "bot", "user", None], where=["userChat", "group", "directChat", None])
def test_a_private_message_is_a_note_whatever_it_holds(
    entity: Data, note: Data | None, message: Data, who: Any, where: Any
) -> None:
    event = pushed(
        entity | {"options": ["silent", "private"], "personType": who, "chatType": where}
    )

    assert (event.type, event.detail) == ("note.created", "")
    assert event.data.get("note") == note
    assert event.data["message"] == message


def test_an_edited_note_is_another_note() -> None:
    entity = {"id": "m1", "version": 2, "options": ["private"], "plainText": "no, calm"}

    event = pushed(entity, verb="update")

    assert (event.type, event.detail) == ("note.created", "")
    assert event.data == {"note": {"text": "no, calm"}, "message": {"id": "m1", "kind": "text"}}


@for_each(
    options=[
        *(["private"], "private", [None, {}, "private", 5], ["Private"], "PRIVATE"),
        *("silent,private", "silent private", [["private"]], {"private": True}, {"private": 1}),
        [{"private": "yes"}],
    ]
)
def test_a_note_is_known_by_an_option(options: Any) -> None:
    assert pushed({"plainText": "x", "options": options}).type == "note.created"


@for_each(
    options=[
        ["actAsManager", "displayAsChannel", "doNotPost", "doNotSearch", "doNotSendApp"],
        ["doNotUpdateDesk", "immutable", "silent", "silentToManager", "silentToUser"],
        ["alertToWriter"],
        ["privately", "nonprivate", 5, None],
        [],
        None,
        {"private": False, "silent": True},
        {"private": None},
        5,
    ]
)
def test_no_other_option_makes_a_note(options: Any) -> None:
    event = pushed({"plainText": "x", "options": options, "chatType": "userChat"})

    assert (event.type, event.detail) == ("message.created", "text")


def test_an_action_that_is_private_still_changes_the_chat() -> None:
    event = pushed({"log": {"action": "close"}, "options": ["private"], "plainText": "psst"})

    assert event.type == "conversation.closed"
    assert "message" not in event.data
    assert "note" not in event.data


# Team chats.


@for_each_row(
    ("entity", "kind"),
    [
        ({"plainText": "lunch?"}, "text"),
        ({"files": [{"id": "f"}]}, "file"),
        ({"log": {"action": "changeName"}}, "log"),
        ({"meet": {"id": 1}}, "meet"),
        ({}, "unknown"),
    ],
    verb=["push", "update", "upsert"],
    chat_type=["group", "directChat", "Group", "directchat"],
)
def test_what_staff_say_among_themselves_is_no_message_of_a_customers(
    entity: Data, kind: str, chat_type: str, verb: str
) -> None:
    event = pushed(entity | {"chatType": chat_type, "personType": "manager"}, verb=verb)

    assert (event.type, event.detail) == ("team_message.created", kind)
    assert event.data["message"]["kind"] == kind


@for_each(chat_type=["userChat", "UserChat", None, "", 5, ["group"]])
def test_any_other_chat_is_a_customers(chat_type: Any) -> None:
    assert pushed({"chatType": chat_type, "plainText": "hi"}).type == "message.created"


GROUP = {"group": {"id": "7", "name": "Sales"}}


@for_each_row(
    ("chat", "refers"),
    [
        ({"chatKey": "group-7"}, {}),
        ({"mainKey": "directChat-7", "chatType": None}, {}),
        ({"chatKey": "GROUP-7-8", "chatType": ""}, {"userChat": {"id": "c1"}}),
        ({"chatKey": "userChat-7", "mainKey": "group-7", "chatType": 5}, {}),
        ({"chatType": "teamChat"}, {}),
        ({}, GROUP),
        ({"chatKey": 7}, GROUP | {"userChat": None}),
    ],
    verb=["push", "update"],
)
def test_a_team_chat_may_be_known_by_its_key_or_its_group(
    chat: Data, refers: Data, verb: str
) -> None:
    event = pushed({"plainText": "lunch?", "personType": "manager"} | chat, verb=verb, **refers)

    assert (event.type, event.detail) == ("team_message.created", "text")


@for_each_row(
    ("chat", "refers"),
    [
        ({"chatKey": "userChat-7"}, {}),
        ({"chatKey": "userChat-group-7"}, {}),
        ({"chatKey": "groups-7", "mainKey": ["group-7"]}, {}),
        ({"chatType": "userChat"}, GROUP),
        ({}, GROUP | {"userChat": {"id": "c1"}}),
        ({}, {"group": {}}),
    ],
)
def test_a_chat_that_nothing_calls_a_team_chat_is_a_customers(chat: Data, refers: Data) -> None:
    assert pushed({"plainText": "hi"} | chat, **refers).type == "message.created"


# A type that is missing.


@for_each(chat_type=["userChat", "group"], model=[None, "", 5, ["message"]])
def test_what_has_a_chat_and_a_person_is_a_message(model: Any, chat_type: str) -> None:
    entity = {"id": "m1", "version": 3, "chatType": chat_type, "personType": "user"}

    event = pushed(entity | {"plainText": "hi"}, model=model)

    expected = "message.created" if chat_type == "userChat" else "team_message.created"
    assert (event.type, event.detail, event.vendortype) == (expected, "text", "message.push")
    assert event.identity == ("message", "push", "m1", "3")


def test_a_body_may_lack_the_type_altogether() -> None:
    body = b'{"event":"push","entity":{"chatType":"userChat","personType":"bot","plainText":"a"}}'

    [event] = channeltalk.normalize(Request(body=body))

    assert (event.type, event.detail) == ("message.created", "text")
