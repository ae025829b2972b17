"""Crisp: signatures of plugins, keys of websites, notes, edits, sessions."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from relay.errors import Malformed, Unauthenticated
from relay.events.event import NormalizedEvent
from relay.vendors import crisp
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

SECRET = "crisp-secret-1"
TIME = "1760010000123"
BODY = '{"event":"message:send","data":{"content":"Grüße","n":1}}'.encode()


def signed(
    body: bytes = BODY, secret: str = SECRET, at: str = TIME, of: bytes | None = None
) -> Request:
    """Return a request as Crisp documents it; `of` is what was signed instead of the body."""
    message = b"[" + at.encode() + b";" + (of or body) + b"]"
    signature = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    headers = {"x-crisp-signature": signature, "x-crisp-request-timestamp": at}
    return Request(body=body, headers=headers)


def reason_of(request: Request, *secrets: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        crisp.authenticate(request, Secrets(secrets or [SECRET]))
    return caught.value.reason


def with_header(request: Request, name: str, value: str | None) -> Request:
    headers = {key: text for key, text in request.headers.items() if key != name}
    return request._replace(headers=headers if value is None else {**headers, name: value})


def test_what_another_signs_is_let_in_under_each_live_secret() -> None:
    for live in ([SECRET], ["next", SECRET], [SECRET, "next"]):
        crisp.authenticate(signed(), Secrets(live))
    assert reason_of(signed(), "next") == "signature_wrong"


def test_what_we_sign_another_would_have_signed_so() -> None:
    request = crisp.sign(BODY, SECRET, 1_760_010_000.123)

    expected = signed().headers
    assert {name: request.headers[name] for name in expected} == expected


@pytest.mark.parametrize(
    "body",
    [b'{ "a" : 1.0,\n"b": [ ] }', b'\xef\xbb\xbf{"a":1,"b":[]}\n', rb'{"\u0061":1e0,"b":[]}'],
)
def test_the_stringified_body_may_have_been_signed(body: bytes) -> None:
    crisp.authenticate(signed(body, of=b'{"a":1,"b":[]}'), Secrets([SECRET]))

    assert reason_of(signed(body, of=b'{"a":2,"b":[]}')) == "signature_wrong"


def test_a_huge_body_is_not_stringified_for_a_stranger() -> None:
    body = b'{ "a":"' + b"x" * 600_000 + b'"}'

    assert reason_of(signed(body, of=body.replace(b" ", b""))) == "signature_wrong"
    crisp.authenticate(signed(body), Secrets([SECRET]))


@for_each(place=range(len(BODY)), change=[1, 32, 128])
def test_a_body_with_one_byte_changed_is_refused(place: int, change: int) -> None:
    forged = bytearray(BODY)
    forged[place] ^= change

    assert reason_of(signed()._replace(body=bytes(forged))) == "signature_wrong"


@for_each(place=range(len(TIME)))
def test_a_time_with_one_digit_changed_is_refused(place: int) -> None:
    other = TIME[:place] + str((int(TIME[place]) + 1) % 9 + 1) + TIME[place + 1 :]

    forged = with_header(signed(), "x-crisp-request-timestamp", other)

    assert reason_of(forged) == "signature_wrong"


@for_each(place=range(64))
def test_a_signature_with_one_digit_changed_is_refused(place: int) -> None:
    value = signed().headers["x-crisp-signature"]
    other = value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]

    assert reason_of(with_header(signed(), "x-crisp-signature", other)) == "signature_wrong"


@for_each_row(
    ("name", "value", "reason"),
    [
        ("x-crisp-signature", None, "signature_missing"),
        ("x-crisp-signature", "", "signature_wrong"),
        ("x-crisp-request-timestamp", None, "timestamp_missing"),
        *(
            ("x-crisp-request-timestamp", value, "timestamp_malformed")
            for value in ["", "]", "1;2", "-1", "01", "1.5", "²", "9" * 15]
        ),
    ],
)
def test_what_is_missing_or_malformed_is_told_apart(
    name: str, value: str | None, reason: str
) -> None:
    assert reason_of(with_header(signed(), name, value)) == reason


def test_a_key_in_the_url_is_enough_where_nothing_is_signed() -> None:
    live = Secrets([SECRET])

    crisp.authenticate(Request(body=BODY, query_string=f"key={SECRET}"), live)
    crisp.authenticate(Request(body=BODY, path_secret=SECRET), live)
    assert reason_of(Request(body=BODY, query_string="key=guess")) == "token_wrong"
    assert reason_of(Request(body=BODY, query_string=f"token={SECRET}")) == "signature_missing"
    assert reason_of(Request(body=BODY)) == "signature_missing"


def understood(event: str, timestamp: object = 1760010000123, **data: Any) -> NormalizedEvent:
    document = {"event": event, "data": {"session_id": "s", **data}, "timestamp": timestamp}
    body = json.dumps(document).encode()
    (found,) = crisp.normalize(Request(body=body))
    assert found.raw == body
    return found


@for_each(
    internal=[
        {"type": "note"},
        {"type": "Note"},
        {"type": "text", "stealth": True},
        {"type": "file", "stealth": 1},
        {"type": "text", "stealth": "false"},
    ],
    event=["message:send", "message:received", "message:updated"],
)
def test_what_visitors_do_not_see_is_a_note(event: str, internal: dict[str, Any]) -> None:
    found = understood(event, content="psst", fingerprint=1, **internal)

    assert (found.type, found.detail) == ("note.created", "")
    assert found.data["note"] == {"text": "psst"}
    assert "text" not in found.data["message"]


@for_each(content=["a note, for all we know", "", None, 3, [], {}])
def test_an_edit_that_may_be_of_a_note_is_no_message(content: object) -> None:
    found = understood("message:updated", content=content, fingerprint=1)

    assert (found.type, found.detail) == ("unrecognized", "message:updated")
    assert "psst" not in json.dumps(found.data)


@pytest.mark.parametrize(
    "fields",
    [
        {"content": {"id": "f", "text": "Your name?", "value": "Lea"}},
        {"content": {"text": "a carousel", "targets": []}},
        {"type": "text", "content": "Edited"},
    ],
)
def test_an_edit_of_what_visitors_see_is_an_update(fields: dict[str, Any]) -> None:
    found = understood("message:updated", fingerprint=1, **fields)

    assert found.type == "message.updated"
    assert found.data["message"]["id"] == "1"


@pytest.mark.parametrize("event", ["message:send", "message:received", "message:updated"])
def test_what_operators_did_between_the_messages_is_no_message(event: str) -> None:
    found = understood(event, type="event", content={"namespace": "state:resolved"})

    assert found.type == "unrecognized"


@for_each_row(
    ("event", "fields", "actor"),
    [
        ("message:send", {}, "contact"),
        ("message:send", {"from": "user"}, "contact"),
        ("message:send", {"from": "operator"}, "agent"),
        ("message:received", {}, "agent"),
        ("message:received", {"from": "user"}, "contact"),
        ("message:received", {"user": {"type": "website"}}, "bot"),
        ("message:received", {"automated": True}, "bot"),
        ("message:send", {"automated": True}, "contact"),
        ("message:received", {"from": [], "user": 3}, "agent"),
    ],
)
def test_who_wrote_it(event: str, fields: dict[str, Any], actor: str) -> None:
    found = understood(event, type="text", content="x", **fields)

    assert found.data["actor"]["type"] == actor


@for_each_row(
    ("kind", "content", "message"),
    [
        ("text", "hi", {"text": "hi"}),
        ("file", {"url": "https://e/x", "type": "a/b", "name": "n"}, {"attachments": 1}),
        ("animation", {"url": "https://e/x"}, {"attachments": 1}),
        ("audio", {"url": "https://e/x", "duration": 3}, {"attachments": 1}),
        ("file", {"name": "n"}, {}),
        ("field", {"id": "f", "text": "?", "value": "v"}, {"text": "?", "variables": ["v"]}),
        (
            "picker",
            {"id": "p", "choices": [{"value": 1, "selected": True}, {"value": 2}, None, 3]},
            {"variables": [1]},
        ),
        ("carousel", {"text": "look", "targets": []}, {"text": "look"}),
        ("a.new.kind", {"text": 3}, {}),
        (None, 3, {}),
    ],
)
def test_the_kinds_of_messages(kind: object, content: object, message: dict[str, Any]) -> None:
    found = understood("message:received", type=kind, content=content)

    said = found.data["message"]
    assert found.detail == said.pop("kind") == str(kind or "unknown").replace(".", "_")
    shown = {
        "attachments": len(said.get("attachments", [])),
        "variables": [variable["value"] for variable in said.get("variables", [])],
        "text": said.get("text"),
    }
    assert {name: value for name, value in shown.items() if value} == message


@for_each_row(
    ("event", "data", "event_type", "part"),
    [
        ("session:set_state", {"state": "resolved"}, "conversation.closed", "status"),
        ("session:set_state", {"state": "unresolved"}, "conversation.opened", "status"),
        ("session:set_state", {"state": "pending"}, "conversation.status_changed", "status"),
        ("session:set_state", {"state": 3}, "conversation.status_changed", None),
        ("session:request:initiated", {}, "conversation.created", None),
        ("session:set_routing", {"routing_id": "o"}, "conversation.assigned", "assignment"),
        ("session:set_routing", {"routing_id": None}, "conversation.assigned", None),
        ("session:set_email", {"email": "a@e"}, "contact.updated", "contact"),
        ("session:set_phone", {"phone": "+1"}, "contact.updated", "contact"),
        ("session:set_nickname", {"nickname": "Lea"}, "contact.updated", "contact"),
        ("session:set_avatar", {"avatar": "https://e/x"}, "contact.updated", "contact"),
        ("session:set_subject", {"subject": "Broken"}, "conversation.updated", "conversation"),
        ("session:set_segments", {"segments": ["a", 3]}, "labels.changed", "labels"),
        ("session:set_data", {"data": {"a": 1}}, "variables.updated", "variables"),
        ("session:set_data", {"data": []}, "variables.updated", None),
        ("session:removed", {}, "unrecognized", None),
        ("session:sync:pages", {"pages": []}, "unrecognized", None),
        ("message:removed", {"fingerprint": 1}, "unrecognized", None),
        (
            "message:acknowledge:delivered",
            {"fingerprints": [1, 2]},
            "message.status_changed",
            "status",
        ),
        ("people:profile:updated", {"people_id": "p"}, "contact.updated", "contact"),
        ("people:profile:removed", {"people_id": "p"}, "contact.deleted", "contact"),
        ("something:of:2031", {}, "unrecognized", None),
    ],
)
def test_other_events(event: str, data: dict[str, Any], event_type: str, part: str | None) -> None:
    found = understood(event, **data)

    assert (found.type, found.vendortype) == (event_type, event)
    assert part is None or part in found.data


def test_what_tells_events_apart() -> None:
    one = understood("message:send", fingerprint=1, content="a")
    again = understood("message:send", 5, fingerprint=1, content="b", read="chat")
    other = understood("message:send", fingerprint=2, content="a")

    assert one.identity == again.identity != other.identity
    assert understood("session:set_state", state="resolved").identity == "element"
    for no_clock in (None, 0, "x", 1.5, 10**30):
        assert understood("session:set_state", no_clock, state="resolved").identity == "delivery"


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"event":3}', b'{"data":{}}', b'"x"'])
def test_what_names_no_event_is_of_an_unknown_shape(body: bytes) -> None:
    with pytest.raises(Malformed, match="unknown_shape"):
        crisp.normalize(Request(body=body))
