"""Telegram: the token in its header, kinds of messages, who writes where, and members."""

import json
from typing import Any

import pytest

from relay.errors import Malformed, Unauthenticated
from relay.events.event import NormalizedEvent
from relay.vendors import telegram
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

HEADER = "x-telegram-bot-api-secret-token"
TOKEN = "Ab-9_" * 6
USER = {"id": 5, "is_bot": False, "first_name": "Ada"}
BOT = {"id": 9, "is_bot": True, "first_name": "Desk", "username": "desk_bot"}
PRIVATE = {"id": 5, "type": "private", "first_name": "Ada"}
GROUP = {"id": -100, "type": "supergroup", "title": "Garden"}


def understood(**update: Any) -> NormalizedEvent:
    body = json.dumps({"update_id": 7, **update}).encode()
    (event,) = telegram.normalize(Request(body=body))
    assert event.raw == body
    return event


def said(**fields: Any) -> NormalizedEvent:
    message = {"message_id": 1, "date": 1, "chat": PRIVATE, "from": USER, **fields}
    return understood(message=message)


def reason_of(request: Request, *secrets: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        telegram.authenticate(request, Secrets(secrets))
    return caught.value.reason


def test_each_live_token_is_let_in_and_no_other() -> None:
    live = Secrets(["next", TOKEN])

    for token in live.values:
        telegram.authenticate(Request(body=b"{}", headers={HEADER: token}), live)
    assert reason_of(Request(body=b"{}"), TOKEN) == "token_missing"
    assert reason_of(Request(body=b"{}", headers={HEADER: ""}), TOKEN) == "token_missing"
    elsewhere = Request(body=b"{}", query_string=f"token={TOKEN}", path_secret=TOKEN)
    assert reason_of(elsewhere, TOKEN) == "token_missing"


@for_each(place=range(len(TOKEN)))
def test_a_token_with_one_character_changed_is_refused(place: int) -> None:
    nearly = TOKEN[:place] + chr(ord(TOKEN[place]) ^ 1) + TOKEN[place + 1 :]

    assert reason_of(Request(body=b"{}", headers={HEADER: nearly}), TOKEN) == "token_wrong"


FILE = {"file_id": "F", "file_size": 12, "mime_type": "a/b", "file_name": "n"}


@for_each_row(
    ("fields", "kind", "attachments"),
    [
        ({"text": "hi"}, "text", None),
        ({"document": FILE}, "document", "F"),
        ({"animation": FILE, "document": {"file_id": "other"}}, "animation", "F"),
        ({"audio": FILE, "caption": "c"}, "audio", "F"),
        ({"video": FILE}, "video", "F"),
        ({"video_note": FILE}, "video_note", "F"),
        ({"voice": FILE}, "voice", "F"),
        ({"sticker": FILE}, "sticker", "F"),
        ({"photo": [{"file_id": "S"}, {"file_id": "F", "width": 2, "height": 2}]}, "photo", "F"),
        ({"photo": []}, "photo", None),
        ({"photo": [None, 3, {"file_id": "F"}]}, "photo", "F"),
        ({"location": {"latitude": 1.5, "longitude": 2}}, "location", None),
        ({"venue": {"title": "x"}, "location": {"latitude": 1}}, "venue", None),
        ({"contact": {"phone_number": "+1"}}, "contact", None),
        ({"dice": {"emoji": "🎲", "value": 4}}, "dice", None),
        ({"poll": {"id": "1"}}, "poll", None),
        ({"new_chat_members": [USER]}, "new_chat_members", None),
        ({"pinned_message": {}}, "pinned_message", None),
        ({"successful_payment": {}}, "successful_payment", None),
        ({"never_seen_before": {}}, "unknown", None),
    ],
)
def test_the_kind_of_a_message_is_what_it_holds(
    fields: dict[str, Any], kind: str, attachments: str | None
) -> None:
    event = said(**fields)

    message = event.data["message"]
    assert (event.type, event.detail, message["kind"]) == ("message.created", kind, kind)
    ids = [file["id"] for file in message.get("attachments", [])]
    assert ids == ([attachments] if attachments else [])
    assert message.get("text") == fields.get("text", fields.get("caption"))


@for_each_row(
    ("name", "event_type"),
    [
        ("message", "message.created"),
        ("channel_post", "message.created"),
        ("business_message", "message.created"),
        ("edited_message", "message.updated"),
        ("edited_channel_post", "message.updated"),
        ("edited_business_message", "message.updated"),
    ],
)
def test_an_edit_is_an_update_at_the_time_of_the_edit(name: str, event_type: str) -> None:
    message = {"message_id": 1, "date": 10, "edit_date": 20, "chat": GROUP, "text": "x"}

    event = understood(**{name: message})

    second = 10 if event_type == "message.created" else 20
    assert (event.type, event.vendortype) == (event_type, name)
    assert event.time == f"1970-01-01T00:00:{second}Z"


@for_each_row(
    ("fields", "contact", "actor"),
    [
        ({}, "5", ("contact", "5")),
        ({"from": {"id": 6, "first_name": "Owner"}}, "5", ("agent", "6")),
        ({"from": BOT}, "5", ("bot", "9")),
        ({"chat": GROUP}, "5", ("contact", "5")),
        ({"chat": GROUP, "from": BOT}, None, ("bot", "9")),
        ({"chat": GROUP, "from": BOT, "sender_chat": GROUP}, None, ("agent", None)),
        (
            {"chat": GROUP, "from": BOT, "sender_chat": {"id": -7, "title": "Fan club"}},
            "-7",
            ("contact", "-7"),
        ),
        ({"from": None}, "5", None),
    ],
)
def test_who_wrote_it_depends_on_the_chat(
    fields: dict[str, Any], contact: str | None, actor: tuple[str, str | None] | None
) -> None:
    event = said(text="x", **fields)

    assert event.data.get("contact", {}).get("id") == contact
    found = event.data.get("actor")
    assert (found and (found["type"], found.get("id"))) == actor


def test_a_phone_is_known_only_from_the_contact_of_the_sender() -> None:
    own = said(contact={"phone_number": "+15550100", "user_id": 5})
    another = said(contact={"phone_number": "+15550199", "user_id": 6})
    nobody = said(contact={"phone_number": "+15550199"}, **{"from": {}, "chat": {}})

    assert own.data["contact"]["phone"] == "+15550100"
    assert "phone" not in another.data["contact"]
    assert "contact" not in nobody.data


@for_each_row(
    ("old", "new", "event_type"),
    [
        ({"status": "left"}, {"status": "member"}, "conversation.joined"),
        ({"status": "kicked"}, {"status": "administrator"}, "conversation.joined"),
        ({"status": "member"}, {"status": "left"}, "conversation.left"),
        ({"status": "creator"}, {"status": "kicked"}, "conversation.left"),
        ({"status": "member"}, {"status": "restricted", "is_member": False}, "conversation.left"),
        (
            {"status": "member"},
            {"status": "restricted", "is_member": True},
            "conversation.updated",
        ),
        ({"status": "left"}, {"status": "kicked"}, "conversation.updated"),
        ({}, {}, "conversation.updated"),
    ],
    name=["chat_member", "my_chat_member"],
)
def test_members_come_and_go(
    name: str, old: dict[str, Any], new: dict[str, Any], event_type: str
) -> None:
    change = {"old_chat_member": old, "new_chat_member": new, "chat": GROUP, "from": USER}

    event = understood(**{name: change})

    assert event.type == event_type
    assert event.data["conversation"] == {"id": "-100", "title": "Garden"}


def test_a_reaction_taken_back_has_no_text() -> None:
    both = [{"type": "emoji", "emoji": "👍"}, {"type": "custom_emoji"}, {"emoji": "🔥"}]

    given, taken_back = (
        understood(message_reaction={"message_id": 3, "user": USER, "new_reaction": reactions})
        for reactions in (both, [])
    )

    assert given.data["message"]["text"] == "👍🔥"
    assert "text" not in taken_back.data["message"]
    assert given.detail == taken_back.detail == "reaction"


def test_a_button_of_a_message_that_is_gone_is_a_press_all_the_same() -> None:
    event = understood(callback_query={"id": "1", "from": USER, "data": "x"})

    assert event.detail == "callback_query"
    assert event.data["message"]["variables"] == [{"name": "data", "value": "x"}]
    assert "conversation" not in event.data


@pytest.mark.parametrize("name", ["poll", "business_connection", "chat_boost", "quiz_of_2031"])
def test_any_other_update_is_unrecognized(name: str) -> None:
    event = understood(**{name: {"chat": GROUP, "user": USER}})

    assert (event.type, event.detail, event.vendortype) == ("unrecognized", name, name)
    assert event.data["contact"]["id"] == "5"


@pytest.mark.parametrize("body", [b"[]", b"3", b"{}", b'{"update_id":1}', b'{"update_id":1,"m":2}'])
def test_what_holds_no_update_is_of_an_unknown_shape(body: bytes) -> None:
    with pytest.raises(Malformed, match="unknown_shape"):
        telegram.normalize(Request(body=body))


def test_an_update_is_known_by_its_id_whatever_else_has_changed() -> None:
    first, again = said(text="x"), said(text="x", reply_markup={"a": 1})
    other = understood(update_id=8, message={"text": "x"})

    assert first.identity == again.identity == ("update_id", "7")
    assert other.identity != first.identity
    assert understood(update_id=None, message={}).identity == "delivery"
