"""Channel Talk: tokens in the query, three models times any verb, and what a message carries."""

import json
from typing import Any

import pytest

from relay.errors import Malformed, Unauthenticated
from relay.events.event import TYPES, Data, Identity, NormalizedEvent
from relay.vendors import channeltalk
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row


def normalized(model: str, verb: str, entity: Data, **refers: Any) -> NormalizedEvent:
    body = {"type": model, "event": verb, "entity": entity, "refers": refers}
    [event] = channeltalk.normalize(Request(body=json.dumps(body).encode()))
    return event


def message(**entity: Any) -> Data:
    return normalized("message", "push", entity).data["message"]


@for_each(
    query=[
        *("token=ct-1", "token=ct-2", "a=b&token=x&token=ct-1", "token=&token=ct-2"),
        *("token=ct%2D1", "a=1?token=ct-1", "a=1&b=2?token=ct-2", "?token=ct-1", "a?token=ct-1"),
        *("a=1%3Ftoken=ct-1", "a=%3ftoken=ct-1&c=3", "token=old?token=ct-1", "a=1?b=2&token=ct-3"),
        *("token=c?t", "token=c%3Ft", "a=1?token=c%26t"),
        *("a=1%3Ftoken%3Dct-1", "a%3ftoken%3dct-1&c=3", "a=b%3Fc%3D1%3Ftoken%3Dc%26t"),
    ]
)
def test_any_live_token_in_the_query_lets_in(query: str) -> None:
    secrets = Secrets(["ct-1", "ct-2", "ct-3", "c?t", "c&t"])

    assert channeltalk.authenticate(Request(body=b"", query_string=query), secrets) is None


@for_each(
    request_=[
        Request(body=b""),
        Request(body=b"", query_string="token=ct-4"),
        Request(body=b"", query_string="a=1?token=ct-4"),
        Request(body=b"", query_string="a=1?Token=ct-1"),
        Request(body=b"", query_string="a=1%3Fmytoken%3Dct-1"),
        Request(body=b"", query_string="a=1%3Ftoken%3Dct-4"),
        Request(body=b"", query_string="a=1?b=token=ct-1"),
        Request(body=b"", query_string="Token=ct-1"),
        Request(body=b"", query_string="secret=ct-1"),
        Request(body=b'{"token": "ct-1"}', headers={"x-signature": "ct-1"}, path_secret="ct-1"),
    ]
)
def test_no_other_place_does(request_: Request) -> None:
    with pytest.raises(Unauthenticated):
        channeltalk.authenticate(request_, Secrets(["ct-1"]))


@for_each_row(
    ("model", "verb", "event_type", "detail"),
    [
        ("message", "push", "message.created", "unknown"),
        ("message", "create", "message.created", "unknown"),
        ("message", "update", "message.updated", ""),
        ("message", "upsert", "message.updated", ""),
        ("userChat", "push", "conversation.created", ""),
        ("userChat", "update", "conversation.updated", ""),
        ("user", "upsert", "contact.updated", ""),
        ("user", "update", "contact.updated", ""),
        ("user", "delete", "contact.deleted", ""),
        ("user", "remove", "contact.deleted", ""),
        ("user", "deleted", "contact.deleted", ""),
        ("user", "removed", "contact.deleted", ""),
        ("user", "upserted", "contact.updated", ""),
        ("userChat", "updated", "conversation.updated", ""),
        ("message", "created", "message.created", "unknown"),
        ("user", "push", "unrecognized", "user_push"),
        ("message", "delete", "unrecognized", "message_delete"),
        ("Message", "push", "message.created", "unknown"),
        ("MESSAGE", "Update", "message.updated", ""),
        ("userchat", "Push", "conversation.created", ""),
        ("UserChat", "UPDATED", "conversation.updated", ""),
        ("User", "upsert", "contact.updated", ""),
        ("USER", "Delete", "contact.deleted", ""),
        ("Meet", "Push", "unrecognized", "Meet_Push"),
        ("meet", "member.upserted.contact", "unrecognized", "meet_member.upserted.contact"),
    ],
)
def test_model_and_verb_decide_the_type(
    model: str, verb: str, event_type: str, detail: str
) -> None:
    event = normalized(model, verb, {"id": "1", "channelId": 7})

    assert (event.type, event.detail) == (event_type, detail)
    assert event.type in TYPES
    assert event.vendortype == f"{model}.{verb}"
    assert event.data["account"] == {"id": "7"}


@for_each(
    body=[
        {"type": "message", "event": "push"},
        {"type": "message", "event": "push", "entity": []},
        {"type": "message", "event": "", "entity": {}},
        {"type": None, "event": "push", "entity": {}},
        {"events": []},
        [],
        "push",
        None,
    ]
)
def test_a_body_without_model_verb_and_entity_has_an_unknown_shape(body: Any) -> None:
    with pytest.raises(Malformed) as caught:
        channeltalk.normalize(Request(body=json.dumps(body).encode()))

    assert caught.value.reason == "unknown_shape"


@for_each_row(
    ("verb", "entity", "time"),
    [
        ("push", {"createdAt": 1600158433443}, "2020-09-15T08:27:13.443000Z"),
        ("push", {"createdAt": 1600158433000, "updatedAt": 5}, "2020-09-15T08:27:13Z"),
        ("update", {"createdAt": 5, "updatedAt": 1600158433443}, "2020-09-15T08:27:13.443000Z"),
        ("update", {"createdAt": 1600158433443}, "2020-09-15T08:27:13.443000Z"),
        ("update", {"createdAt": 1600158433443, "updatedAt": "5"}, "2020-09-15T08:27:13.443000Z"),
        ("push", {"createdAt": "1600158433443"}, None),
        ("push", {"createdAt": 1600158433.443}, None),
        ("push", {"createdAt": 10**18}, None),
        ("push", {}, None),
    ],
)
def test_the_clock_is_in_milliseconds(verb: str, entity: Data, time: str | None) -> None:
    event = normalized("userChat", verb, entity)

    assert event.time == time


@for_each_row(
    ("model", "verb", "entity", "identity"),
    [
        ("message", "push", {"id": "m1", "version": 1}, ("message", "push", "m1", "1")),
        ("Message", "Push", {"id": "m1", "version": "1"}, ("message", "push", "m1", "1")),
        ("userChat", "update", {"id": 7, "version": 0}, ("userchat", "update", "7", "0")),
        ("user", "delete", {"id": "u1"}, "delivery"),
        ("user", "upsert", {"id": "u1", "version": 1.0}, "delivery"),
        ("user", "upsert", {"id": "u1", "version": None}, "delivery"),
        ("message", "push", {"version": 1}, "delivery"),
        ("message", "push", {"id": "", "version": 1}, "delivery"),
    ],
)
def test_an_entity_and_its_version_tell_a_change_apart(
    model: str, verb: str, entity: Data, identity: Identity
) -> None:
    plain = normalized(model, verb, entity)
    surrounded = normalized(model, verb, entity | {"plainText": "hi"}, user={"id": "u2"})

    assert plain.identity == surrounded.identity == identity


# Messages.


@for_each_row(
    ("entity", "kind"),
    [
        ({"plainText": "hi", "files": [{}]}, "text"),
        ({"blocks": [{"type": "text", "value": "hi"}], "log": {}}, "text"),
        ({"plainText": "", "blocks": [], "files": [{"name": "a"}]}, "file"),
        ({"log": {"action": "sendXms"}}, "log"),
        ({"log": {"action": "share"}, "plainText": "shared", "files": [{"id": 1}]}, "log"),
        ({"log": {"values": ["a"]}}, "log"),
        ({"log": {"action": ""}, "plainText": "hi"}, "text"),
        ({"file": {"url": "https://a/1"}}, "file"),
        ({"plainText": 5, "blocks": "b", "files": {"id": 1}, "form": "f", "meet": True}, "unknown"),
        ({"blocks": [{"type": "text", "value": ""}], "files": [{"id": "f"}]}, "file"),
        ({"form": {"inputs": []}}, "form"),
        ({"carousel": [{}]}, "carousel"),
        ({"buttons": [{"title": "a"}]}, "buttons"),
        ({"webPage": {"url": "a"}}, "webPage"),
        ({"email": {"subject": "a"}}, "email"),
        ({"meet": {"id": 1}}, "meet"),
        ({"marketing": {"type": "a"}}, "marketing"),
        ({"log": {}, "reactions": [1]}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_a_kind_is_what_the_message_carries(entity: Data, kind: str) -> None:
    event = normalized("message", "push", entity)

    assert event.detail == event.data["message"]["kind"] == kind


BULLETS = {
    "type": "bullets",
    "blocks": [{"type": "text", "value": "one"}, {"type": "text", "value": "two"}],
}


@for_each_row(
    ("entity", "text"),
    [
        ({"plainText": "plain", "blocks": [{"type": "text", "value": "block"}]}, "plain"),
        ({"blocks": [{"type": "text", "value": "a"}, {"type": "code", "value": "b"}]}, "a\nb"),
        ({"blocks": [{"type": "text", "value": "list:"}, BULLETS]}, "list:\none\ntwo"),
        ({"blocks": [{"type": "bullets", "blocks": [BULLETS, BULLETS]}]}, "one\ntwo\none\ntwo"),
        ({"blocks": [{"type": "text"}, {"value": 5}, None, "x", {"blocks": [{}]}]}, None),
        ({"plainText": 5}, None),
    ],
)
def test_the_text_is_that_of_the_blocks_when_there_is_no_plain_one(
    entity: Data, text: str | None
) -> None:
    assert message(**entity).get("text") == text


def test_files_are_attachments() -> None:
    files = [
        {"url": "https://a/1", "contentType": "image/png", "type": "image", "name": "a.png"},
        {"type": "image", "name": "", "key": "k/2", "id": 7, "size": 12},
        {"type": "image", "name": "lost.png", "size": 12},
        {},
        None,
    ]

    seen = message(files=files)

    assert seen["attachments"] == [
        {"url": "https://a/1", "mime_type": "image/png", "file_name": "a.png"},
        {"id": "7", "key": "k/2", "mime_type": "image", "size_bytes": 12},
    ]


@for_each_row(
    ("entity", "refers", "expected"),
    [
        (
            {"personType": "user", "personId": "u1"},
            {"user": {"id": "u2", "name": "Ann"}},
            {
                "actor": {"type": "contact", "id": "u1", "name": "Ann"},
                "contact": {"id": "u1", "name": "Ann"},
            },
        ),
        (
            {"personType": "manager", "personId": 5},
            {"manager": {"name": "Bo", "email": "b@o.example"}, "user": {"id": "u2", "email": ""}},
            {
                "actor": {"type": "agent", "id": "5", "name": "Bo", "email": "b@o.example"},
                "contact": {"id": "u2"},
            },
        ),
        (
            {"personType": "bot", "personId": "b"},
            {"bot": {"name": "Robo"}},
            {"actor": {"type": "bot", "id": "b", "name": "Robo"}},
        ),
        (
            {"personType": "Manager", "personId": "m"},
            {"manager": {"name": "Bo"}},
            {"actor": {"type": "agent", "id": "m", "name": "Bo"}},
        ),
        ({"personType": "BOT"}, {"bot": {"name": "R"}}, {"actor": {"type": "bot", "name": "R"}}),
        (
            {"personType": "User", "personId": "u1"},
            {},
            {"actor": {"type": "contact", "id": "u1"}, "contact": {"id": "u1"}},
        ),
        ({"personType": "team", "personId": "t"}, {"team": {"name": "x"}}, {}),
        ({"personType": ["bot"]}, {"bot": "x", "user": None}, {}),
    ],
)
def test_who_wrote_is_no_contact_unless_a_user(entity: Data, refers: Data, expected: Data) -> None:
    event = normalized("message", "push", entity | {"chatId": "c1"}, **refers)

    common = {"conversation": {"id": "c1"}, "message": {"kind": "unknown"}}
    assert event.data == common | expected


# Chats and contacts.


def test_a_chat_has_a_title_an_assignee_and_a_contact() -> None:
    entity = {"id": "c1", "userId": "u1", "name": "Koala", "assigneeId": 3, "state": "opened"}
    user = {"id": "u2", "name": "Ann", "email": "a@n.example", "mobileNumber": "+821"}

    event = normalized("userChat", "push", entity | {"createdAt": 0}, user=user)

    assert event.data == {
        "conversation": {"id": "c1", "title": "Koala", "created_at": "1970-01-01T00:00:00Z"},
        "contact": {"id": "u1", "name": "Ann", "email": "a@n.example", "phone": "+821"},
        "assignment": {"to": {"type": "agent", "id": "3"}},
        "status": "opened",
    }


def test_a_contact_may_be_gone_but_for_its_id() -> None:
    updated = normalized("user", "upsert", {"id": "u1", "name": "Ann", "mobileNumber": ""})
    deleted = normalized("user", "delete", {"id": "u1"})

    assert updated.data == {"contact": {"id": "u1", "name": "Ann"}}
    assert deleted.data == {"contact": {"id": "u1"}}
