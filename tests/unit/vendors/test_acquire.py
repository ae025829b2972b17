"""Acquire: two readings of what was signed, and the events of its two generations."""

import json
from typing import Any

import pytest

from relay.errors import Malformed, Unauthenticated
from relay.events.event import Data, NormalizedEvent
from relay.vendors import acquire
from relay.vendors.kit.authentication import Secrets, signature_of
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

KEY = "acq-1"
SECRETS = Secrets(["acq-2", KEY])


def signed(body: bytes, text: str | bytes | None = None, key: str = KEY) -> Request:
    """Return a delivery of body whose signature is that of text."""
    message = body if text is None else text.encode() if isinstance(text, str) else text
    return Request(body=body, headers={acquire.SIGNATURE: signature_of(message, key)})


@for_each(
    body=[
        b'{"event":"case:new","data":{}}',
        b'{ "event" : "case:new" }\n',
        b"<event>case:new</event>",
        b"event=case%3Anew",
        b'"{\\"event\\":\\"case:new\\"}"',
        b"\xff\x00",
        b"",
    ]
)
def test_a_signature_of_the_bytes_lets_in(body: bytes) -> None:
    request = signed(body)

    assert acquire.authenticate(request, SECRETS) is None
    assert acquire.authenticate(signed(body, key="acq-2"), SECRETS) is None


@for_each_row(
    ("body", "stringified"),
    [
        (b'{ "event": "case:new",\r\n "data": [ 1 ] }', '{"event":"case:new","data":[1]}'),
        (b'\xef\xbb\xbf{"a":1}', '{"a":1}'),
        (b'{"b":{"10":1,"2":2},"a":3}', '{"b":{"2":2,"10":1},"a":3}'),
        (b'{"a":1,"b":2,"a":3}', '{"a":3,"b":2}'),
        (
            b'{"a":1.0,"b":1E3,"c":12345678901234567890}',
            '{"a":1,"b":1000,"c":12345678901234567000}',
        ),
        (b'{"a":"\\u00e9\\/\\uD83D\\uDE00"}', '{"a":"é/😀"}'),
        ('{"a":"é"}'.encode(), '{"a":"é"}'),
        (b'{"a":"\\uD83D"}', '{"a":"\\ud83d"}'),
        (b'{"a":1e400}', '{"a":null}'),
    ],
)
def test_a_signature_of_what_javascript_would_write_lets_in(body: bytes, stringified: str) -> None:
    request = signed(body, stringified)

    assert acquire.authenticate(request, SECRETS) is None


@for_each(
    request_=[
        Request(body=b"{}"),
        Request(body=b"{}", headers={acquire.SIGNATURE: ""}),
        Request(body=b"{}", headers={acquire.SIGNATURE: KEY}),
        Request(body=b"{}", headers={acquire.SIGNATURE: "sha256=" + signature_of(b"{}", KEY)}),
        Request(body=b"{}", headers={acquire.SIGNATURE: signature_of(b"{}", KEY)[:-1]}),
        Request(body=b"{}", headers={acquire.SIGNATURE: "\udcff" * 64}),
        Request(body=b"{}", headers={"x-signature": signature_of(b"{}", KEY)}),
        Request(body=b"{}", query_string=f"token={KEY}", path_secret=KEY),
        signed(b"{}", key="acq-3"),
        signed(b"{}", ""),
        signed(b'{"b":1,"a":2}', '{"a":2,"b":1}'),
        signed(b'{"a":1}', '{"a": 1}'),
        signed(b"[" * 300 + b"]" * 300, "[" * 299 + "]" * 299),
    ]
)
def test_anything_else_is_refused(request_: Request) -> None:
    with pytest.raises(Unauthenticated):
        acquire.authenticate(request_, SECRETS)


def test_a_signature_may_be_in_upper_case() -> None:
    request = Request(body=b"{}", headers={acquire.SIGNATURE: signature_of(b"{}", KEY).upper()})

    assert acquire.authenticate(request, SECRETS) is None


# What was said.


def normalized(event: Any, data: Any = None, **flat: Any) -> NormalizedEvent:
    body = {"event": event} | ({} if data is None else {"data": data}) | flat
    [found] = acquire.normalize(Request(body=json.dumps(body).encode()))
    return found


@for_each_row(
    ("body", "reason"),
    [
        (b"<event>case:new</event>", "not_json"),
        (b"event=case%3Anew&data%5BcaseId%5D=1", "not_json"),
        (b'{"event":"x","data":1e400}', "not_json"),
        (b"[" * 300 + b"]" * 300, "too_deep"),
        (b'"{\\"event\\":\\"case:new\\"}"', "unknown_shape"),
        (b'{"event":""}', "unknown_shape"),
        (b'{"event":{"a":1}}', "unknown_shape"),
        (b"{}", "unknown_shape"),
        (b"[]", "unknown_shape"),
        (b"7", "unknown_shape"),
    ],
)
def test_what_is_not_understood_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        acquire.normalize(Request(body=body))

    assert caught.value.reason == reason


CASE = {"conversation": {"id": "72"}}


@for_each_row(
    ("status", "event_type"),
    [
        ("closed", "conversation.closed"),
        ("Closed", "conversation.closed"),
        ("active", "conversation.opened"),
        ("pending", "conversation.status_changed"),
        ("queue", "conversation.status_changed"),
        ("snoozed", "conversation.status_changed"),
    ],
)
def test_a_case_status_decides_the_type(status: str, event_type: str) -> None:
    event = normalized("case:status", {"caseId": 72, "status": status})

    assert (event.type, event.detail) == (event_type, "")
    assert event.data == CASE | {"status": status}


@pytest.mark.parametrize("data", [{}, [], "x", {"status": None}, {"caseId": "", "contact": []}])
def test_a_case_status_of_an_odd_shape_is_still_a_change_of_status(data: Any) -> None:
    event = normalized("case:status", data)

    assert event.type == "conversation.status_changed"
    assert event.data == {}


@pytest.mark.parametrize("vendortype", ["case:new", "case:created"])
def test_a_new_case_has_a_contact(vendortype: str) -> None:
    contact = {"id": 5, "fields": {"name": "Jhon", "email": "", "phone": "626", "city": "x"}}

    event = normalized(vendortype, {"caseId": "72", "status": "queue", "contact": contact})

    assert event.type == "conversation.created"
    assert event.data == CASE | {"contact": {"id": "5", "name": "Jhon", "phone": "626"}}


@for_each(
    vendortype=[
        *("case:status", "case:new", "user:case-invite", "user:case-joined", "case:feedback"),
        *("case:message:seen", "CHAT_ON_MESSAGE", "x"),
    ]
)
def test_nothing_tells_another_event_apart(vendortype: str) -> None:
    data = {"caseId": "72", "status": "closed", "id": "323", "message": {"id": "323"}}

    assert normalized(vendortype, data).identity == "delivery"
    assert (
        normalized(vendortype, id="323", message={"id": "323", "msg": "ok"}).identity == "delivery"
    )


AGENT = {"type": "agent", "id": "7", "name": "Bo"}


@for_each_row(
    ("data", "actor"),
    [
        ({"user": {"id": "agent-7", "name": "Bo"}}, AGENT),
        ({"user": {"id": "x", "id_real": 7, "name": "Bo"}}, AGENT),
        ({"userId": 7}, {"type": "agent", "id": "7"}),
        ({"user": {"id": "agent-"}}, None),
        ({"user": 7}, None),
        ({}, None),
    ],
)
def test_who_joined_a_case_is_an_agent(data: Data, actor: Data | None) -> None:
    event = normalized("user:case-joined", {"caseId": "72"} | data)

    assert event.type == "conversation.joined"
    assert event.data == CASE | ({"actor": actor} if actor else {})


@for_each_row(
    ("data", "expected"),
    [
        ({"caseId": 5, "userId": 8, "rating": 4}, {"conversation": {"id": "5"}}),
        (
            {"case": {"id": "5", "contact": {"id": 9}}, "user": {"id": 8}},
            {"conversation": {"id": "5"}, "contact": {"id": "9"}},
        ),
        (
            {"contact": {"id": "9", "fields": {"name": "Ann"}}},
            {"contact": {"id": "9", "name": "Ann"}},
        ),
        ({"case": None, "contact": []}, {}),
    ],
    vendortype=["user:case-invite", "feedback", "chat:rating"],
)
def test_what_a_bots_webhook_or_a_new_trigger_sends_says_whom_it_is_about(
    vendortype: str, data: Data, expected: Data
) -> None:
    event = normalized(vendortype, data)

    assert (event.type, event.detail) == ("unrecognized", vendortype)
    assert event.data == expected


@pytest.mark.parametrize("vendortype", ["user:status", "agent:status"])
@pytest.mark.parametrize("data", [{"user": {"id": 7, "name": "Bo"}}, {"id": 7, "name": "Bo"}])
def test_an_agents_status_is_the_agents(vendortype: str, data: Data) -> None:
    event = normalized(vendortype, data | {"status": "available"})

    assert event.type == "agent.status_changed"
    assert event.data == {"actor": AGENT, "status": "available"}


@pytest.mark.parametrize("vendortype", ["user:status", "agent:status"])
@pytest.mark.parametrize("data", [{"userId": 7}, {"userId": "agent-7", "user": {}}])
def test_an_agents_status_may_name_the_agent_by_id_alone(vendortype: str, data: Data) -> None:
    event = normalized(vendortype, data | {"status": "away"})

    assert event.data == {"actor": {"type": "agent", "id": "7"}, "status": "away"}


@for_each(
    vendortype=["user:case-invite", "feedback", "case:feedback", "CHAT_ON_TYPING", "é", "x" * 1000]
)
def test_an_unknown_event_is_unrecognized(vendortype: str) -> None:
    event = normalized(vendortype, {"caseId": "72", "status": "closed"})

    assert (event.type, event.detail, event.vendortype) == ("unrecognized", vendortype, vendortype)
    assert event.data == CASE
    assert event.time is None


def test_a_large_body_is_only_read_as_it_was_sent() -> None:
    # Writing it as JavaScript would costs seconds of CPU, and anyone may ask for it.
    body = b'{"event": "a", "data": "' + b"x" * 600_000 + b'"}'
    rewritten = body.replace(b": ", b":").replace(b", ", b",")

    acquire.authenticate(signed(body), SECRETS)

    with pytest.raises(Unauthenticated):
        acquire.authenticate(signed(body, rewritten), SECRETS)
