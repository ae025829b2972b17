"""LiveChat: the secret in the body, which nobody sees, threads and their events, notes, people."""

import json
from typing import Any

import pytest

from relay import vendors
from relay.errors import Malformed, Unauthenticated
from relay.events.envelope import encode_events
from relay.events.event import MAX_EVENTS, Data, NormalizedEvent
from relay.events.message import Origin
from relay.vendors import livechat
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

SECRET = 'l1ve "secret" é/1'
CUSTOMER = "a1b2c3d4-0000-4000-8000-0000000000ee"
AGENT, BOT = "mara@example.com", "0123456789abcdef0123456789abcdef"


def body_of(action: str, payload: object, **more: object) -> bytes:
    return json.dumps({"secret_key": SECRET, "action": action, "payload": payload, **more}).encode()


def reason_of(body: bytes, *secrets: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        livechat.authenticate(Request(body=body), Secrets(secrets or [SECRET]))
    return caught.value.reason


def events(action: str, payload: object, **more: object) -> list[NormalizedEvent]:
    return list(livechat.normalize(Request(body=body_of(action, payload, **more))))


def understood(action: str, **payload: object) -> NormalizedEvent:
    (event,) = events(action, payload)
    return event


@for_each(
    body=[
        body_of("x", {}),
        json.dumps({"secret_key": SECRET}, ensure_ascii=False).encode(),
        b"\xef\xbb\xbf" + body_of("x", {}) + b"\n",
        body_of("x", {"text": "half an emoji: \ud83d"}),
        body_of("x", {"n": 1}).replace(b"1}", b"NaN}"),
        body_of("x", {})[:-1],
    ]
)
def test_who_says_a_live_secret_is_let_in_whatever_else_is_wrong(body: bytes) -> None:
    for live in ([SECRET], ["next", SECRET], [SECRET, "next"]):
        livechat.authenticate(Request(body=body), Secrets(live))
    assert reason_of(body, "next") == "token_wrong"


@for_each_row(
    ("body", "reason"),
    [
        (b"", "token_missing"),
        (b"{}", "token_missing"),
        (b"[]", "token_missing"),
        (b'{"secret_key":""}', "token_missing"),
        (b'{"secret_key":3}', "token_missing"),
        (b'{"secret_key":null}', "token_missing"),
        (b'{"secret_key":["x"]}', "token_missing"),
        (b'{"secret_key":"x"}', "token_wrong"),
        (json.dumps({"payload": {"secret_key": SECRET}}).encode(), "token_missing"),
        (json.dumps({"text": f'"secret_key":"{SECRET}"'}).encode(), "token_missing"),
        (json.dumps({"Secret_Key": SECRET}).encode(), "token_missing"),
        (b'{"secret_key":"x"', "token_wrong"),
        (b'{"secret_key":', "token_missing"),
        (b'{"secret_key":"\\ud8"}', "token_missing"),
    ],
)
def test_a_secret_elsewhere_or_of_another_type_is_none(body: bytes, reason: str) -> None:
    assert reason_of(body) == reason


@for_each(place=range(len(SECRET)))
def test_a_secret_with_one_character_changed_is_refused(place: int) -> None:
    nearly = SECRET[:place] + chr(ord(SECRET[place]) ^ 1) + SECRET[place + 1 :]

    assert reason_of(json.dumps({"secret_key": nearly}).encode()) == "token_wrong"


def test_many_guesses_in_a_broken_body_are_not_all_compared() -> None:
    guesses = b",".join(b'"secret_key":"%d"' % number for number in range(10_000))

    assert reason_of(b"{" + guesses) == "token_wrong"


SAMPLES = [sample.read_bytes() for sample in vendors.samples("livechat")]


@for_each(sample=SAMPLES)
def test_the_secret_is_in_nothing_that_is_kept(sample: bytes) -> None:
    delivery = livechat.sign(sample, SECRET)
    livechat.authenticate(Request(body=delivery.body), Secrets([SECRET]))

    found = livechat.normalize(Request(body=delivery.body))

    messages = encode_events(
        found, origin=Origin(vendor="livechat", source="a"), received_at=1.5, delivery_id="d"
    )
    for message in messages:
        assert b"secret_key" not in message.body
        assert b"l1ve" not in message.body
    assert [event.identity for event in found] == [
        event.identity for event in livechat.normalize(Request(body=sample))
    ]


def test_a_secret_named_twice_or_by_an_escape_is_removed_each_time() -> None:
    body = b'{"secret_key":"a","n":12345678901234567890123,"action":"x","secret\\u005fkey":"b"}'

    (event,) = livechat.normalize(Request(body=body))

    assert event.raw == b'{"n":12345678901234567890123,"action":"x"}'


TOO_MANY_MEMBERS = json.dumps({str(number): number for number in range(100_000)}).encode()


@for_each(body=[b"", b"[]", b"x", b"3", b'{"a":NaN}', TOO_MANY_MEMBERS])
def test_what_is_no_object_or_too_large_a_one_has_no_place_for_a_secret(body: bytes) -> None:
    assert livechat.sign(body, SECRET).body == body


@pytest.mark.parametrize("body", [b"{}", b"{ }", b' {"a":1} ', b'{"secret_key":"x"}'])
def test_a_signed_object_has_the_secret_once(body: bytes) -> None:
    signed = json.loads(livechat.sign(body, SECRET).body)

    assert signed == {**json.loads(body), "secret_key": SECRET}


def thread(*said: object, **more: object) -> dict[str, Any]:
    users = [{"id": CUSTOMER, "type": "customer", "name": "Nils"}, {"id": AGENT, "type": "agent"}]
    return {"chat": {"id": "C", "users": users, "thread": {"id": "T", "events": said, **more}}}


def test_the_events_that_a_thread_begins_with_are_events_of_their_own() -> None:
    said = {"id": "T_1", "type": "message", "text": "Hi", "author_id": CUSTOMER}
    psst = {"id": "T_2", "type": "message", "text": "psst", "visibility": "agents"}

    chat, message, note = events("incoming_chat", thread(said, psst))
    (alone,) = events("incoming_event", {"chat_id": "C", "thread_id": "T", "event": said})

    assert chat.type == "conversation.created"
    assert json.loads(message.raw) == said
    assert json.loads(note.raw) == psst
    assert (note.type, note.data["note"]) == ("note.created", {"text": "psst"})
    assert message.data["contact"]["name"] == "Nils"
    assert message.identity == alone.identity == ("event", "C", "T_1")


def test_what_is_no_event_stays_in_its_chat() -> None:
    good = {"id": "T_1", "type": "message", "text": "Hi"}

    found = events("incoming_chat", thread(None, 3, "x", [], {}, {"type": 3}, good))

    assert [event.type for event in found] == ["conversation.created", "message.created"]
    assert json.loads(found[1].raw) == good


@for_each(odd=[None, 3, "x", {}, {"events": 3}, {"events": {}}])
def test_a_thread_without_events_is_a_chat_alone(odd: object) -> None:
    for payload in ({"chat": {"id": "C", "thread": odd}}, {"chat": odd}, odd):
        (event,) = events("incoming_chat", payload)
        assert event.type == "conversation.created"


def test_more_events_than_a_delivery_may_hold_are_quarantined() -> None:
    events("incoming_chat", thread(*[{"type": "message"}] * 100))

    with pytest.raises(Malformed, match="too_many_events"):
        events("incoming_chat", thread(*[{}] * MAX_EVENTS))


@pytest.mark.parametrize(
    ("previous", "event_type"),
    [(None, "conversation.created"), ("", "conversation.created"), ("T0", "conversation.opened")],
)
def test_a_second_thread_opens_the_conversation_again(previous: object, event_type: str) -> None:
    chat = events("incoming_chat", thread(previous_thread_id=previous))[0]

    assert chat.type == event_type
    assert chat.identity == ("thread", "C", "T")


@for_each(
    seen_by=[
        *({"visibility": value} for value in ("agents", "supervisors", ["agents"], "All")),
        *({"recipients": value} for value in ("agents", {"agents": True}, 5)),
        {"visibility": "all", "recipients": "agents"},
    ],
    action=["incoming_event", "event_updated"],
)
def test_what_not_everyone_sees_is_a_note(action: str, seen_by: Data) -> None:
    event = {"type": "message", "text": "psst", "id": "1", **seen_by}

    found = understood(action, chat_id="C", event=event)

    assert (found.type, found.detail) == ("note.created", "")
    assert found.data["note"] == {"text": "psst"}
    assert "text" not in found.data["message"]


@pytest.mark.parametrize(
    "seen_by", [{}, {"visibility": "all"}, {"recipients": "all"}, {"visibility": None}]
)
def test_what_everyone_sees_is_a_message(seen_by: Data) -> None:
    event = {"type": "message", "text": "hi", "id": "1", **seen_by}

    assert understood("incoming_event", chat_id="C", event=event).type == "message.created"
    assert understood("event_updated", chat_id="C", event=event).type == "message.updated"


@for_each_row(
    ("event", "kind", "text"),
    [
        ({"type": "message", "text": "hi"}, "text", "hi"),
        ({"type": "file", "url": "https://e/x"}, "file", None),
        ({"type": "filled_form", "fields": [{"value": "v"}]}, "filled_form", None),
        ({"type": "rich_message", "elements": [{}, 3, {"title": "t"}]}, "rich_message", "t"),
        ({"type": "system_message", "text": "joined"}, "system_message", "joined"),
        ({"type": "custom", "content": {}}, "custom", None),
        ({"type": "of.2031"}, "of_2031", None),
        ({"type": 3, "text": []}, "unknown", None),
    ],
)
def test_the_kinds_of_messages(event: dict[str, Any], kind: str, text: str | None) -> None:
    found = understood("incoming_event", chat_id="C", event=event)

    assert (found.detail, found.data["message"]["kind"]) == (kind, kind)
    assert found.data["message"].get("text") == text


@for_each_row(
    ("field", "value"),
    [
        ({"value": "v"}, "v"),
        ({"value": "", "answer": {"label": "a"}}, {"label": "a"}),
        ({"answers": [{"label": "a"}]}, [{"label": "a"}]),
        ({"value": 0}, 0),
        ({"value": False}, False),
        ({"value": ""}, None),
        ({}, None),
        (3, None),
    ],
)
def test_the_answers_of_a_form(field: object, value: object) -> None:
    event = {"type": "filled_form", "fields": [field]}

    found = understood("incoming_event", chat_id="C", event=event)

    variables = found.data["message"].get("variables", [])
    assert [variable["value"] for variable in variables] == ([] if value is None else [value])


@for_each_row(
    ("author", "actor"),
    [
        (CUSTOMER, "contact"),
        (CUSTOMER.upper(), "contact"),
        (AGENT, "agent"),
        (BOT, "bot"),
        ("somebody", None),
        (None, None),
        (3, None),
    ],
)
def test_the_form_of_an_id_says_who_it_is_of(author: object, actor: str | None) -> None:
    event = {"type": "message", "text": "x", "author_id": author}

    found = understood("incoming_event", chat_id="C", event=event)

    assert found.data.get("actor", {}).get("type") == actor
    assert ("contact" in found.data) == (actor == "contact")


@for_each_row(
    ("target", "to"),
    [
        ({"agent_ids": [AGENT], "group_ids": [2]}, ("agent", AGENT)),
        ({"agent_ids": [BOT]}, ("bot", BOT)),
        ({"group_ids": [0]}, ("team", "0")),
        ({"agent_ids": [None, []], "group_ids": ["", 3]}, ("team", "3")),
        ({}, None),
        (3, None),
    ],
)
def test_to_whom_a_chat_went(target: object, to: tuple[str, str] | None) -> None:
    found = understood("chat_transferred", chat_id="C", transferred_to=target)

    assert found.type == "conversation.assigned"
    party = found.data.get("assignment", {}).get("to")
    assert (party and (party["type"], party["id"])) == to


@for_each_row(
    ("old", "new"),
    [
        ("incoming_chat_thread", "incoming_chat"),
        ("thread_closed", "chat_deactivated"),
        ("chat_user_added", "user_added_to_chat"),
        ("chat_user_removed", "user_removed_from_chat"),
        ("chat_thread_tagged", "thread_tagged"),
        ("chat_thread_untagged", "thread_untagged"),
        ("agent_status_changed", "routing_status_set"),
        ("customer_created", "incoming_customer"),
    ],
)
def test_what_webhooks_were_called_before_is_understood(old: str, new: str) -> None:
    payload = {"chat_id": "C", "thread_id": "T", "tag": "t", "user_id": AGENT, "agent_id": AGENT}

    before, since = (understood(action, **payload) for action in (old, new))

    assert before._replace(vendortype=new, raw=since.raw) == since
    assert since.type != "unrecognized"


def test_what_tells_events_apart() -> None:
    closed = understood("chat_deactivated", chat_id="C", thread_id="T", user_id=AGENT)

    assert closed.identity == ("closed", "C", "T")
    assert understood("chat_deactivated", chat_id="C").identity == "delivery"
    assert understood("event_updated", chat_id="C", event={"id": "1"}).identity == "delivery"
    assert understood("incoming_event", chat_id="C", event={}).identity == "delivery"


@pytest.mark.parametrize("action", ["event_deleted", "agent_created", "something_of_2031"])
def test_any_other_webhook_is_unrecognized(action: str) -> None:
    found = understood(action, chat_id="C")

    assert (found.type, found.detail) == ("unrecognized", action)
    assert found.data["conversation"] == {"id": "C"}


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"action":3}', b'{"payload":{}}', b'"x"'])
def test_what_names_no_action_is_of_an_unknown_shape(body: bytes) -> None:
    with pytest.raises(Malformed, match="unknown_shape"):
        livechat.normalize(Request(body=body))
