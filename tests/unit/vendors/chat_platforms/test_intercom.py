"""Intercom: signatures, the ping, topics, and what the samples do not show."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from relay.errors import Malformed, Unauthenticated
from relay.events.event import NormalizedEvent
from relay.vendors import intercom
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Answer, Request
from tests.support.generic_sources import changed
from tests.support.rows import for_each, for_each_row

SECRET = "client-secret-1"
SECRETS = Secrets(["client-secret-0", SECRET])
BODY = b'{"type":"notification_event","topic":"company.created","id":"notif_1"}'


def signature_of(body: bytes, secret: str = SECRET) -> str:
    """Sign as the documentation says: sha1= and the hex HMAC-SHA1 of the body."""
    return "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()


def signed(body: bytes, signature: str | None = None) -> Request:
    return Request(body=body, headers={intercom.SIGNATURE: signature or signature_of(body)})


def reason_of(request: Request) -> str:
    with pytest.raises(Unauthenticated) as caught:
        intercom.authenticate(request, SECRETS)
    return caught.value.reason


@for_each(body=[BODY, b"", '{"a":"é"}'.encode(), b"\xff\x00"], secret=SECRETS.values)
def test_a_signature_under_any_live_secret_lets_in(body: bytes, secret: str) -> None:
    assert intercom.authenticate(signed(body, signature_of(body, secret)), SECRETS) is None


def test_every_change_of_body_or_signature_is_refused() -> None:
    for body in changed(BODY):
        assert reason_of(signed(body, signature_of(BODY))) == "signature_wrong"
    for value in changed(signature_of(BODY).encode()):
        assert reason_of(signed(BODY, value.decode("latin-1"))) == "signature_wrong"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request(body=BODY), "signature_missing"),
        (signed(BODY, signature_of(BODY).removeprefix("sha1=")), "signature_wrong"),
        (signed(BODY, "sha256=" + hmac.new(SECRET.encode(), BODY, "sha256").hexdigest()),
         "signature_wrong"),
        (signed(BODY, signature_of(BODY, "stranger")), "signature_wrong"),
        (Request(body=BODY, query_string=f"token={SECRET}"), "signature_missing"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(request_: Request, reason: str) -> None:
    assert reason_of(request_) == reason


def test_head_is_answered_with_nothing_and_nothing_else_is_asked() -> None:
    for method, expected in (("HEAD", Answer()), ("GET", None), ("OPTIONS", None)):
        request = Request(body=b"", method=method, query_string="hub.challenge=1")
        assert intercom.answer(request, SECRETS) == expected


# What was said.


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation", "id": "7"} | fields


def parts(*found: Any) -> dict[str, Any]:
    return {"conversation_parts": {"conversation_parts": list(found)}}


def notification(topic: str, about: Any = None, **fields: Any) -> bytes:
    body = {"topic": topic, "id": "notif_1", "created_at": 1_539_897_610, "app_id": "a1"}
    return json.dumps(body | {"data": {"item": about}} | fields).encode()


def found(topic: str, about: Any = None, **fields: Any) -> list[NormalizedEvent]:
    return intercom.normalize(Request(body=notification(topic, about, **fields)))


@pytest.mark.parametrize("about", [None, {"type": "ping", "message": "interzen"}, [], "x"])
def test_a_ping_holds_no_event(about: Any) -> None:
    assert found("ping", about) == []
    assert intercom.normalize(Request(body=b'{"topic":"ping"}')) == []


@pytest.mark.parametrize(
    ("topic", "event_types"),
    [
        ("conversation.user.created", ["conversation.created", "message.created"]),
        ("conversation.contact.created", ["conversation.created", "message.created"]),
        ("conversation.admin.single.created", ["conversation.created", "message.created"]),
        ("conversation.operator.replied", ["message.created"]),
        ("conversation.contact.replied", ["message.created"]),
        ("conversation.admin.open.assigned", ["conversation.assigned"]),
        ("conversation.admin.unsnoozed", ["conversation.status_changed"]),
        ("contact.email.updated", ["contact.updated"]),
        ("contact.lead.signed_up", ["contact.updated"]),
        ("user.created", ["contact.updated"]),
        ("user.deleted", ["contact.deleted"]),
        ("visitor.signed_up", ["contact.updated"]),
        ("admin.logged_out", ["agent.status_changed"]),
        ("conversation.rating.added", ["unrecognized"]),
        ("conversation.deleted", ["unrecognized"]),
        ("ticket.state.updated", ["unrecognized"]),
        ("conversation.created", ["unrecognized"]),
        ("é" * 300, ["unrecognized"]),
    ],
)
@for_each(
    about=[
        None,
        {},
        [],
        item(),
        item(**parts(None)),
        item(**parts(5, {"author": 5, "body": {}, "assigned_to": [], "attachments": {"a": 1}})),
        item(contacts={"contacts": "x"}, source=[], tags_added={"tags": [1, {}]}, state={}),
        item(id=[7], tag="x", assignee=[], admin_assignee_id={}, name=5, away_mode_enabled="no"),
    ]
)
def test_a_topic_decides_the_types_whatever_comes_with_it(
    topic: str, event_types: list[str], about: Any
) -> None:
    events = found(topic, about)

    assert [event.type for event in events] == event_types
    assert {event.vendortype for event in events} == {topic}
    assert all(event.data["account"] == {"id": "a1"} for event in events)


def test_a_resend_has_the_same_id_and_the_two_events_of_one_have_not() -> None:
    first = found("conversation.user.created", item())
    again = found("conversation.user.created", item(read=True), delivery_attempts=2)
    other = found("conversation.user.created", item(), id="notif_2")

    assert [event.identity for event in first] == [event.identity for event in again]
    assert len({event.identity for event in [*first, *other]}) == 4


@pytest.mark.parametrize("notification_id", [None, "", [], 1.5])
def test_without_an_id_nothing_tells_a_notification_apart(notification_id: Any) -> None:
    (event,) = found("conversation.admin.closed", item(), id=notification_id)

    assert event.identity == "delivery"


@for_each_row(
    ("body", "text"),
    [
        ("<p>Hello</p>", "Hello"),
        ("<p>One</p>\n<p>Two<br>Three</p>", "One\n\nTwo\nThree"),
        ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
        ("<p>1 &lt; 2 &amp;&amp; &quot;x&quot;</p>", '1 < 2 && "x"'),
        ('<p><a href="https://x.example/?a=1&amp;b=2">Link</a></p>', "Link"),
        ("plain, since 2.15: 1 < 2 &amp; <p>", "plain, since 2.15: 1 < 2 &amp; <p>"),
        ("<p></p>", None),
        ("", None),
        (None, None),
        (["<p>x</p>"], None),
    ],
)
def test_html_becomes_text(body: Any, text: str | None) -> None:
    (event,) = found("conversation.user.replied", item(**parts({"id": 1, "body": body})))

    assert event.data["message"].get("text") == text


def test_hostile_html_takes_no_longer_than_its_length() -> None:
    for body in (
        "<" * 200_000,
        "<p" * 100_000,
        "<img " * 50_000,
        "&" * 200_000,
        "<img src='" * 20_000,
    ):
        (event,) = found("conversation.user.replied", item(**parts({"id": 1, "body": body})))
        assert event.type == "message.created"


@for_each_row(
    ("part", "kind"),
    [
        ({"body": "<p>x</p>", "attachments": [{"url": "https://x.example/a"}]}, "text"),
        ({"body": None, "attachments": [{"url": "https://x.example/a"}]}, "file"),
        ({"body": '<img src="https://x.example/a.png">'}, "file"),
        ({"body": '<img src="&#1;">'}, "unknown"),  # a character that HTML has not
        ({"body": None, "part_type": "comment"}, "comment"),
        ({"attachments": [{"name": "no url"}]}, "unknown"),
    ],
)
def test_a_message_has_a_kind_by_what_it_carries(part: Any, kind: str) -> None:
    (event,) = found("conversation.admin.replied", item(**parts({"id": 1} | part)))

    assert (event.detail, event.data["message"]["kind"]) == (kind, kind)


@pytest.mark.parametrize(
    ("author", "actor"),
    [
        ({"type": "lead", "id": 1}, {"type": "contact", "id": "1"}),
        ({"type": "bot", "id": "2", "name": "Fin"}, {"type": "bot", "id": "2", "name": "Fin"}),
        ({"type": "team", "id": "3"}, {"type": "team", "id": "3"}),
        ({"type": "robot"}, None),
        ({"type": ["admin"]}, None),
    ],
)
def test_an_author_is_a_contact_an_agent_a_bot_or_a_team(author: Any, actor: Any) -> None:
    (event,) = found("conversation.admin.replied", item(**parts({"id": 1, "author": author})))

    assert event.data.get("actor") == actor


@for_each_row(
    ("about", "to"),
    [
        (item(**parts({"assigned_to": {"type": "admin", "id": 5}})), {"type": "agent", "id": "5"}),
        (item(**parts({"assigned_to": {"type": "bot", "id": "6"}})), {"type": "bot", "id": "6"}),
        (item(**parts({"assigned_to": {"type": "nobody_admin", "id": None}})), None),
        (item(assignee={"type": "admin", "id": "8", "name": "Bo"}),
         {"type": "agent", "id": "8", "name": "Bo"}),
        (item(admin_assignee_id=9, team_assignee_id=10), {"type": "agent", "id": "9"}),
        (item(admin_assignee_id=0, team_assignee_id=10), {"type": "team", "id": "10"}),
        (item(admin_assignee_id=None, team_assignee_id="0"), None),
    ],
)  # fmt: skip
def test_a_conversation_is_given_to_whom_its_part_says(about: Any, to: Any) -> None:
    (event,) = found("conversation.admin.assigned", about)

    assert event.data.get("assignment", {}).get("to") == to


@for_each(
    part_type=["note", "Note", "note_and_reopen"],
    topic=[
        *("conversation.admin.noted", "conversation_part.redacted"),
        *("conversation.admin.replied", "conversation.operator.replied"),
    ],
)
def test_a_note_is_never_a_message(topic: str, part_type: str) -> None:
    note = parts({"id": 1, "part_type": part_type, "body": "<p>internal</p>"})

    (event,) = found(topic, item(**note))

    assert event.type == "note.created"
    assert event.data["note"] == {"text": "internal"}
    assert "text" not in event.data["message"]


@pytest.mark.parametrize(
    ("away", "status"), [(True, "away"), (False, "available"), (None, None), ("yes", None)]
)
def test_an_agent_is_away_or_available(away: Any, status: str | None) -> None:
    (event,) = found(
        "admin.away_mode_updated", {"type": "admin", "id": 1, "away_mode_enabled": away}
    )

    assert event.data.get("status") == status
    assert event.data["actor"] == {"type": "agent", "id": "1"}


def test_the_shape_before_version_2_is_understood() -> None:
    old = item(
        conversation_message={
            "id": "9",
            "body": "<p>Hi</p>",
            "author": {"type": "user", "id": "u1"},
        },
        user={"type": "user", "id": "u1", "name": "Ada"},
    )

    _, event = found("conversation.user.created", old)

    assert event.data["contact"] == {"id": "u1", "name": "Ada"}
    assert event.data["message"] == {"id": "9", "kind": "text", "text": "Hi"}


@for_each_row(
    ("body", "reason"),
    [
        (b"{}", "unknown_shape"),
        (b"[]", "unknown_shape"),
        (b'{"topic":""}', "unknown_shape"),
        (b'{"topic":{"a":1}}', "unknown_shape"),
        (b'{"topic":"x","data":NaN}', "not_json"),
        (b"topic=x", "not_json"),
        (b'{"topic":"x","a":' + b"[" * 300 + b"]" * 300 + b"}", "too_deep"),
    ],
)
def test_what_is_not_understood_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        intercom.normalize(Request(body=body))

    assert caught.value.reason == reason
