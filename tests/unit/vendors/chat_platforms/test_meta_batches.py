"""Meta: several elements in a delivery, of which some are odd, and elements that come alone."""

import json
from typing import Any

import pytest

from relay.errors import Malformed
from relay.events.event import NormalizedEvent, NotUnderstood
from relay.vendors import meta, normalize
from relay.vendors.kit.request import Request
from tests.support.rows import for_each_row


def found(body: bytes) -> list[NormalizedEvent]:
    events = normalize(meta, Request(body=body))
    assert all(isinstance(event, NormalizedEvent) for event in events)
    return [event for event in events if isinstance(event, NormalizedEvent)]


def change(
    *messages: Any, statuses: tuple[Any, ...] = (), field: str = "messages", **more: Any
) -> Any:
    value = {"metadata": {"phone_number_id": "9"}, "messages": list(messages)} | more
    if statuses:
        value["statuses"] = list(statuses)
    return {"value": value, "field": field}


def message(kind: str = "text", **fields: Any) -> dict[str, Any]:
    return {"from": "491", "id": "wamid.1", "timestamp": "1749416383", "type": kind} | fields


def status(**fields: Any) -> dict[str, Any]:
    return {"id": "wamid.1", "status": "read", "timestamp": "1", "recipient_id": "491"} | fields


def element(**fields: Any) -> dict[str, Any]:
    people = {"sender": {"id": "2"}, "recipient": {"id": "1"}, "timestamp": 1_458_692_752_478}
    return people | fields


GOOD = json.dumps(element(message={"mid": "m", "text": "x"})).encode()


@for_each_row(
    ("odd", "reason"),
    [
        (b'"x"', "unknown_shape"),
        (b"null", "unknown_shape"),
        (b"{}", "unknown_shape"),
        (b'{"sender":{"id":"2"},"timestamp":1}', "unknown_shape"),
        (b'{"message":NaN}', "not_json"),
        (b"[" * 300 + b"]" * 300, "too_deep"),
    ],
    where=["one entry", "two entries"],
)
def test_an_odd_element_among_good_ones_is_kept_alone(odd: bytes, reason: str, where: str) -> None:
    between = b"," if where == "one entry" else b']},{"messaging":['
    body = b'{"entry":[{"messaging":[%b%b%b,%b]}]}' % (GOOD, between, odd, GOOD)

    first, second, third = normalize(meta, Request(body=body))

    assert isinstance(first, NormalizedEvent)
    assert second == NotUnderstood(reason=reason, raw=odd)
    assert isinstance(third, NormalizedEvent)
    assert third.raw == GOOD


@for_each_row(
    ("odd", "reason"),
    [(b"5", "unknown_shape"), (b"{}", "unknown_shape"), (b'{"id":NaN,"type":"text"}', "not_json")],
    name=[b"messages", b"statuses"],
)
def test_an_odd_message_among_good_ones_is_kept_alone(name: bytes, odd: bytes, reason: str) -> None:
    good = json.dumps(message() if name == b"messages" else status()).encode()
    body = b'{"entry":[{"changes":[{"value":{"%b":[%b,%b,%b]},"field":"messages"}]}]}' % (
        *(name, good),
        *(odd, good),
    )

    first, second, third = normalize(meta, Request(body=body))

    assert isinstance(first, NormalizedEvent)
    assert second == NotUnderstood(reason=reason, raw=odd)
    assert isinstance(third, NormalizedEvent)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (b'{"value":{"messages":[1]},"field":"messages" "x"}', "not_json"),
        (b'{"value":{}}', "unknown_shape"),
        (b'{"field":5,"value":{}}', "unknown_shape"),
        (b"7", "unknown_shape"),
    ],
)
def test_an_odd_change_or_entry_among_good_ones_is_kept_alone(odd: bytes, reason: str) -> None:
    body = b'{"entry":[{"changes":[%b]},{"messaging":[%b]},{"x":1,}]}' % (odd, GOOD)

    first, second, third = normalize(meta, Request(body=body))

    assert first == NotUnderstood(reason=reason, raw=odd)
    assert isinstance(second, NormalizedEvent)
    assert third == NotUnderstood(reason="not_json", raw=b'{"x":1,}')


@for_each_row(
    ("alone", "event_type"),
    [
        (message(text={"body": "x"}), "message.created"),
        (status(), "message.status_changed"),
        (message(to="491"), "message.created"),
        (element(postback={"mid": "m"}), "message.created"),
        (change(message()), "message.created"),
        ({"field": "feed", "value": {}}, "unrecognized"),
        ({"id": "1", "messaging": [element(read={})]}, "message.status_changed"),
    ],
)
def test_an_element_that_comes_alone_is_understood(alone: Any, event_type: str) -> None:
    (event,) = found(json.dumps(alone).encode())

    assert event.type == event_type


def test_half_an_emoji_is_repaired_in_its_element_alone() -> None:
    half = GOOD.replace(b'"x"', b'"\\ud83d"')

    first, second = found(b'{"entry":[{"messaging":[%b,%b]}]}' % (GOOD, half))

    assert (first.is_repaired, second.is_repaired) == (False, True)
    assert second.data["message"]["text"] == "\ufffd"


@for_each_row(
    ("body", "reason"),
    [
        (b"{}", "unknown_shape"),
        (b"[]", "unknown_shape"),
        (b'{"object":"page"}', "unknown_shape"),
        (b'{"entry":null}', "unknown_shape"),
        (b'{"entry":{"id":1}}', "unknown_shape"),
        (b'{"entry":[1,null,"x"]}', "unknown_shape"),
        (b'{"entry":[{"messaging":{}}]}', "unknown_shape"),
        (b'{"entry":[{"id":"1"}]}', "unknown_shape"),
        (b'{"entry":[{"a":{"messaging":[%b]}}]}' % GOOD, "unknown_shape"),
        (b'{"entry":[{"messaging":[%b],"messaging":[]}]}' % GOOD, "unknown_shape"),
        (b'{"entry":[%b],"entry":[]}' % GOOD, "unknown_shape"),
        (b'{"entry":[{"messaging":[%b]}]' % GOOD, "not_json"),
        (b"entry=1", "not_json"),
    ],
)
def test_what_is_not_understood_at_all_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        normalize(meta, Request(body=body))

    assert caught.value.reason == reason
