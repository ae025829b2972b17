"""Sunshine Conversations: several events in a delivery, and what the samples do not show."""

import json
from typing import Any

import pytest

from relay.errors import Malformed
from relay.events.event import NormalizedEvent, NotUnderstood
from relay.vendors import normalize, zendesk
from relay.vendors.kit.request import Request
from tests.support.rows import for_each


def event(
    kind: str = "conversation:message", event_id: Any = "e1", **payload: Any
) -> dict[str, Any]:
    return {
        "id": event_id,
        "type": kind,
        "createdAt": "2020-02-25T18:06:37.547Z",
        "payload": {"conversation": {"id": "c1"}} | payload,
    }


def delivery(*events: Any) -> bytes:
    return json.dumps({"app": {"id": "a1"}, "webhook": {"id": "w1"}, "events": events}).encode()


def found(body: bytes) -> list[NormalizedEvent | NotUnderstood]:
    return list(normalize(zendesk, Request(body=body)))


def only(one: Any) -> NormalizedEvent:
    (event,) = found(delivery(one))
    assert isinstance(event, NormalizedEvent)
    return event


def test_no_events_are_none() -> None:
    assert found(delivery()) == []


@pytest.mark.parametrize(
    "kind",
    [
        *("conversation:create", "conversation:join", "conversation:leave", "conversation:message"),
        *("conversation:postback", "conversation:read", "conversation:message:delivery:user"),
        *("user:update", "user:merge", "conversation:typing", "switchboard:passControl", "é" * 99),
    ],
)
@for_each(
    payload=[
        {},
        {"conversation": 5, "message": "x", "activity": [], "user": "u", "source": 1},
        {"message": {"author": 5, "content": "x", "source": []}, "postback": 5},
        {"message": {"author": {"type": ["user"], "user": 5, "subtypes": {"AI": 1}}}},
        {"message": {"author": {"type": "business", "subtypes": [1]}, "source": {"type": []}}},
        {"message": {"content": {"type": 5, "text": [], "mediaUrl": 5, "mediaSize": -1}}},
        {"user": {"id": [], "profile": {"givenName": 5, "surname": None, "email": {}}}},
    ]
)
def test_an_odd_payload_is_still_an_event(kind: str, payload: Any) -> None:
    one = only(event(kind, **payload))

    assert one.type in zendesk.TYPES | {"unrecognized"}
    assert one.vendortype == kind
    assert one.data["account"] == {"id": "a1"}


@pytest.mark.parametrize(
    ("author", "source", "actor"),
    [
        ({"type": "user", "userId": "u1"}, "web", {"type": "contact", "id": "u1"}),
        ({"type": "business", "displayName": "Bo"}, "zd:agentWorkspace",
         {"type": "agent", "name": "Bo"}),
        ({"type": "business"}, "zd:answerBot", {"type": "bot"}),
        ({"type": "business", "subtypes": ["AI"]}, "api:conversations", {"type": "bot"}),
        ({"type": "other"}, "web", None),
    ],
)  # fmt: skip
def test_an_author_is_a_contact_an_agent_or_a_bot(author: Any, source: str, actor: Any) -> None:
    message = {"author": author, "source": {"type": source}, "content": {"type": "text"}}

    assert only(event(message=message)).data.get("actor") == actor


def test_a_resend_is_the_same_event_and_another_id_another_one() -> None:
    first, again, other = (
        only(event(event_id=one, x=x)) for one, x in (("e1", 1), ("e1", 2), ("e2", 1))
    )

    assert first.identity == again.identity
    assert first.identity != other.identity
    assert only(event(event_id=None)).identity == "delivery"


GOOD = json.dumps(event()).encode()


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (b"5", "unknown_shape"),
        (b"{}", "unknown_shape"),
        (b'{"type":"conversation:message"}', "unknown_shape"),
        (b'{"type":"x","payload":[]}', "unknown_shape"),
        (b'{"type":"x","payload":{"a":NaN}}', "not_json"),
    ],
)
def test_an_odd_event_among_good_ones_is_kept_alone(odd: bytes, reason: str) -> None:
    first, second, third = found(b'{"events":[%b,%b,%b]}' % (GOOD, odd, GOOD))

    assert isinstance(first, NormalizedEvent)
    assert second == NotUnderstood(reason=reason, raw=odd)
    assert isinstance(third, NormalizedEvent)


def test_an_event_that_comes_alone_is_understood() -> None:
    (one,) = found(GOOD)

    assert isinstance(one, NormalizedEvent)
    assert (one.type, one.raw) == ("message.created", GOOD)


@pytest.mark.parametrize(
    "body",
    [
        b'{"events":null}',
        b'{"events":{"a":1}}',
        b'{"events":[1]}',
        b'{"events":[%b],"events":[]}' % GOOD,
        b'{"app":{"events":[%b]}}' % GOOD,
    ],
)
def test_what_is_not_understood_says_why(body: bytes) -> None:
    with pytest.raises(Malformed, match="unknown_shape"):
        normalize(zendesk, Request(body=body))
