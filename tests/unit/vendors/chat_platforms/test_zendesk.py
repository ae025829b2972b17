"""Zendesk: signatures and their age, events of Support, and what the samples do not show."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from relay.errors import Malformed, Unauthenticated
from relay.events.event import NormalizedEvent
from relay.vendors import normalize, zendesk
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.generic_sources import changed
from tests.support.rows import for_each, for_each_row

# Not decoded, though it looks like base64: the one that all tests before creation are signed with.
SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="
SECRETS = Secrets(["another", SECRET])
AT, NOW = "2026-07-22T10:00:00Z", 1_784_714_400.0
BODY = b'{"type":"zen:event-type:ticket.created","id":"1","detail":{"id":"5158"}}'


def signature_of(body: bytes, at: str = AT, secret: str = SECRET) -> str:
    """Sign as the documentation says: base64 of the HMAC-SHA256 of timestamp + body."""
    message = at.encode(errors="surrogateescape") + body
    return base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()


def signed(
    body: bytes = BODY, at: str = AT, signature: str | None = None, **fields: Any
) -> Request:
    headers = {
        zendesk.SIGNATURE: signature or signature_of(body, at),
        zendesk.TIMESTAMP: at,
    }
    return Request(body=body, headers=headers, **fields)


def reason_of(request: Request) -> str:
    with pytest.raises(Unauthenticated) as caught:
        zendesk.authenticate(request, SECRETS)
    return caught.value.reason


@for_each(body=[BODY, b"", '{"a":"é"}'.encode(), b"\xff\x00"], secret=SECRETS.values)
def test_a_signature_under_any_live_secret_lets_in(body: bytes, secret: str) -> None:
    request = signed(body, signature=signature_of(body, secret=secret))

    assert zendesk.authenticate(request, SECRETS) is None


def test_every_change_of_body_time_or_signature_is_refused() -> None:
    for body in changed(BODY):
        assert reason_of(signed(body, signature=signature_of(BODY))) == "signature_wrong"
    for value in changed(signature_of(BODY).encode()):
        assert reason_of(signed(signature=value.decode("latin-1"))) == "signature_wrong"
    for value in changed(AT.encode()):
        at = value.decode("latin-1")
        assert reason_of(signed(at=at, signature=signature_of(BODY))) == "signature_wrong"


@for_each(cut=range(1, len(AT) + 1))
def test_the_end_of_the_time_can_not_be_moved_to_the_body(cut: int) -> None:
    moved = AT[-cut:].encode() + BODY

    reason = reason_of(signed(moved, AT[:-cut], signature_of(BODY)))

    assert reason == "timestamp_malformed"


@pytest.mark.parametrize("length", range(1, 4))
def test_the_beginning_of_the_body_can_not_be_moved_to_the_time(length: int) -> None:
    at = AT + BODY[:length].decode()

    assert reason_of(signed(BODY[length:], at, signature_of(BODY))) == "timestamp_malformed"


@for_each(at=["", "soon", "2026-07-22", "2026-07-22T10:00:00", "x" * 500, "\udcff"])
def test_a_time_that_is_none_is_refused_though_signed(at: str) -> None:
    assert reason_of(signed(at=at)) == "timestamp_malformed"


@for_each(
    seconds=[-299, 0, 299], at=[AT, "2026-07-22T10:00:00.123456789Z", "2026-07-22T12:00:00+02:00"]
)
def test_a_signature_of_now_lets_in(at: str, seconds: int) -> None:
    assert zendesk.authenticate(signed(at=at, received_at=NOW + seconds), SECRETS) is None


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(301, "too_old"), (1e8, "too_old"), (-301, "too_new"), (-1e8, "too_new")],
)
def test_an_old_signature_is_refused_and_so_is_one_of_the_future(
    seconds: float, reason: str
) -> None:
    assert reason_of(signed(received_at=NOW + seconds)) == reason


def test_what_the_relay_sends_is_signed_now() -> None:
    delivery = zendesk.sign(BODY, SECRET, NOW + 0.9)

    assert delivery.headers[zendesk.TIMESTAMP] == AT
    assert delivery.headers[zendesk.SIGNATURE] == signature_of(BODY)


@for_each_row(
    ("headers", "reason"),
    [
        ({}, "signature_missing"),
        ({zendesk.TIMESTAMP: AT}, "signature_missing"),
        ({zendesk.SIGNATURE: signature_of(BODY)}, "timestamp_missing"),
        ({zendesk.SIGNATURE: "x", zendesk.TIMESTAMP: "\ud83d"}, "timestamp_malformed"),
        ({zendesk.SIGNATURE: "x", zendesk.TIMESTAMP: "\uff12"}, "timestamp_malformed"),
        ({zendesk.API_KEY: "stranger"}, "token_wrong"),
        ({zendesk.API_KEY: ""}, "token_missing"),
        (
            {zendesk.API_KEY: SECRET, zendesk.SIGNATURE: "x", zendesk.TIMESTAMP: AT},
            "signature_wrong",
        ),
        ({"authorization": f"Bearer {SECRET}"}, "signature_missing"),
    ],
)
def test_anything_else_is_refused(headers: dict[str, str], reason: str) -> None:
    assert reason_of(Request(body=BODY, headers=headers, received_at=NOW)) == reason


@pytest.mark.parametrize("secret", SECRETS.values)
def test_the_shared_secret_of_sunshine_conversations_lets_in(secret: str) -> None:
    request = Request(body=b'{"events":[]}', headers={zendesk.API_KEY: secret}, received_at=1.0)

    assert zendesk.authenticate(request, SECRETS) is None


# What an event of Support says.


def support(name: str, event: Any = None, detail: Any = None, **fields: Any) -> NormalizedEvent:
    body = {
        "type": f"zen:event-type:{name}",
        "id": "e1",
        "time": "2025-01-08T10:12:07Z",
        "account_id": 22,
        "detail": {"id": "5158", "requester_id": "1"} if detail is None else detail,
        "event": event,
    }
    (found,) = normalize(zendesk, Request(body=json.dumps(body | fields).encode()))
    assert isinstance(found, NormalizedEvent)
    return found


NAMES = [
    *("ticket.created", "ticket.comment_added", "ticket.comment_made_private"),
    *("ticket.comment_redacted", "ticket.agent_assignment_changed", "ticket.tags_changed"),
    *("ticket.status_changed", "ticket.priority_changed", "ticket.merged", "ticket."),
    *("messaging_ticket.message_added", "messaging_ticket.x", "user.created", "user.deleted"),
    *("agent.state_changed", "agent.work_item_added", "article.published", "x", ""),
]
ODD: list[Any] = [None, 5, "x", [], [1], {"comment": 5, "message": [], "actor": "x"}, {
    "comment": {"author": [], "body": {}, "id": [], "is_public": "true"},
    "current": {}, "previous": [1], "tags_added": "x", "tags_removed": [1, None], "new_state": 5,
    "actor": {"type": ["agent"]}, "message": {"id": 1.5},
}]  # fmt: skip


@for_each(
    name=NAMES, event=ODD, detail=[5, [], {}, {"id": [], "via": 5, "tags": {"a": 1}, "role": []}]
)
def test_an_odd_event_is_still_one(name: str, event: Any, detail: Any) -> None:
    found = support(name, event, detail)

    assert found.type in zendesk.TYPES | {"unrecognized"}
    assert found.data["account"] == {"id": "22"}
    assert found.identity == ("e1",)


@pytest.mark.parametrize("public", [False, None, "true", 1, {}])
def test_a_comment_is_a_message_only_if_it_says_that_it_is_public(public: Any) -> None:
    comment = {"id": "c", "body": "secret", "is_public": public}

    for name in ("ticket.comment_added", "ticket.comment_redacted"):
        found = support(name, {"comment": comment})
        assert found.type == "note.created"
        assert found.data["note"] == {"text": "secret"}
        assert "text" not in found.data["message"]


@pytest.mark.parametrize(
    ("author", "actor", "contact"),
    [
        ({"id": 1, "is_staff": False, "name": "Ada"}, {"type": "contact", "id": "1", "name": "Ada"},
         {"id": "1", "name": "Ada"}),
        ({"id": 2, "is_staff": False}, {"type": "contact", "id": "2"}, {"id": "1"}),
        ({"id": 3, "is_staff": True}, {"type": "agent", "id": "3"}, {"id": "1"}),
        ({"id": 3}, None, {"id": "1"}),
        (None, None, {"id": "1"}),
    ],
)  # fmt: skip
def test_a_comment_is_its_authors(author: Any, actor: Any, contact: Any) -> None:
    comment = {"id": "c", "body": "x", "is_public": True, "author": author}

    data = support("ticket.comment_added", {"comment": comment}).data

    assert (data.get("actor"), data["contact"]) == (actor, contact)


@for_each_row(
    ("current", "event_type"),
    [
        *(("SOLVED", "closed"), ("solved", "closed"), ("CLOSED", "closed"), ("open", "opened")),
        *(("NEW", "status_changed"), ("HOLD", "status_changed"), ("other", "status_changed")),
    ],
)
def test_a_status_decides_the_type(current: str, event_type: str) -> None:
    found = support("ticket.status_changed", {"current": current, "previous": "NEW"})

    assert found.type == f"conversation.{event_type}"
    assert found.data["status"] == current


@pytest.mark.parametrize(
    ("doer", "actor"),
    [
        ("1", {"type": "contact", "id": "1"}),
        (7, {"type": "agent", "id": "7"}),
        ("-1", {"type": "system"}),
        (None, None),
    ],
)
def test_who_did_it_is_requester_agent_or_system(doer: Any, actor: Any) -> None:
    detail = {"id": "5158", "requester_id": 1, "actor_id": doer}

    assert support("ticket.priority_changed", {}, detail).data.get("actor") == actor


@for_each_row(
    ("kind", "actor"),
    [
        *(("end_user", "contact"), ("agent", "agent"), ("trigger", "bot"), ("system", "system")),
        *(("robot", None), (None, None)),
    ],
)
def test_a_message_of_messaging_is_its_actors(kind: Any, actor: str | None) -> None:
    event = {"actor": {"id": "9", "type": kind}, "message": {"id": "m", "body": "x"}}

    data = support("messaging_ticket.message_added", event).data

    assert data.get("actor", {}).get("type") == actor
    assert ("contact" in data) == (actor == "contact")


@pytest.mark.parametrize("role", ["agent", "admin", 5, ["end-user"]])
def test_an_agent_is_no_contact(role: Any) -> None:
    assert support("user.created", {}, {"id": "1", "role": role}).type == "unrecognized"


@pytest.mark.parametrize("event_id", [None, "", [], 1.5])
def test_without_an_id_nothing_tells_an_event_apart(event_id: Any) -> None:
    assert support("ticket.created", {}, id=event_id).identity == "delivery"


def test_a_resend_is_the_same_event_and_another_id_another_one() -> None:
    first, again = support("ticket.created", {}), support("ticket.created", {"meta": {"a": 1}})

    assert first.identity == again.identity
    assert first.identity != support("ticket.created", {}, id="e2").identity


@for_each_row(
    ("body", "reason"),
    [
        (b"{}", "unknown_shape"),
        (b"[]", "unknown_shape"),
        (b'{"ticket_id":"1","status":"open"}', "unknown_shape"),
        (b'{"type":"incident"}', "unknown_shape"),
        (b'{"type":["zen:event-type:x"]}', "unknown_shape"),
        (b"<ticket/>", "not_json"),
        (b'{"type":"zen:event-type:x","a":NaN}', "not_json"),
    ],
)
def test_what_is_not_understood_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        normalize(zendesk, Request(body=body))

    assert caught.value.reason == reason
