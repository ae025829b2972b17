"""Messenger and Instagram: what the samples do not show."""

import json
from typing import Any

import pytest

from relay.events.event import NormalizedEvent
from relay.vendors import meta, normalize
from relay.vendors.kit.request import Request
from tests.support.rows import for_each_row


def found(body: bytes) -> list[NormalizedEvent]:
    events = normalize(meta, Request(body=body))
    assert all(isinstance(event, NormalizedEvent) for event in events)
    return [event for event in events if isinstance(event, NormalizedEvent)]


def messaging(*elements: Any, **entry: Any) -> bytes:
    whole = {"id": "1", "time": 5, "messaging": list(elements)} | entry
    return json.dumps({"object": "page", "entry": [whole]}).encode()


def element(**fields: Any) -> dict[str, Any]:
    people = {"sender": {"id": "2"}, "recipient": {"id": "1"}, "timestamp": 1_458_692_752_478}
    return people | fields


@for_each_row(
    ("content", "kind"),
    [
        ({"mid": "m", "text": "x", "attachments": [{"type": "image"}]}, "text"),
        ({"mid": "m", "attachments": [{"type": "video", "payload": {"url": "u"}}]}, "video"),
        ({"mid": "m", "attachments": [{"payload": 5}, "x"]}, "unknown"),
        ({"mid": "m", "attachments": "image"}, "unknown"),
        ({"mid": "m", "is_unsupported": True}, "unsupported"),
        ({"mid": ["m"], "text": {}}, "unknown"),
        ("text", "unknown"),
    ],
)
def test_a_message_has_a_kind_whatever_is_in_it(content: Any, kind: str) -> None:
    (event,) = found(messaging(element(message=content)))

    assert (event.type, event.detail) == ("message.created", kind)
    assert event.data["message"]["kind"] == kind


@pytest.mark.parametrize(
    ("fields", "actor"),
    [
        ({"app_id": 77}, {"type": "bot", "id": "77"}),
        ({"app_id": 263902037430900}, {"type": "agent"}),
        ({"app_id": "1217981644879628"}, {"type": "agent"}),
        ({}, {"type": "agent"}),
        ({"app_id": [77]}, {"type": "agent"}),
    ],
)
def test_an_echo_is_an_apps_or_a_persons(fields: Any, actor: Any) -> None:
    echo = element(sender={"id": "1"}, recipient={"id": "2"})

    (event,) = found(messaging(echo | {"message": {"mid": "m", "is_echo": True} | fields}))

    assert event.data["actor"] == actor
    assert event.data["contact"] == {"id": "2"}


@for_each_row(
    ("one", "other"),
    [
        ({"message": {"mid": "m"}}, {"message": {"mid": "n"}}),
        ({"message": {"mid": "m"}}, {"message": {"mid": "m", "is_deleted": True}}),
        ({"message": {"mid": "m"}}, {"message_edit": {"mid": "m", "num_edit": 1}}),
        ({"postback": {"mid": "m"}}, {"message": {"mid": "m"}}),
        (
            {"reaction": {"mid": "m", "action": "react"}},
            {"reaction": {"mid": "m", "action": "unreact"}},
        ),
        ({"read": {"watermark": 1}}, {"read": {"watermark": 2}}),
        ({"delivery": {"mids": ["a"]}}, {"delivery": {"mids": ["b"]}}),
    ],
)
def test_occurrences_are_told_apart_and_resends_are_not(one: Any, other: Any) -> None:
    (first,), (again,), (second,) = (
        found(messaging(element(**fields), time=time))
        for fields, time in ((one, 5), (one, 6), (other, 5))
    )

    assert (first.identity, first.raw) == (again.identity, again.raw)
    assert (first.identity, first.raw) != (second.identity, second.raw)
    assert "delivery" not in {first.identity, second.identity}


@pytest.mark.parametrize("timestamp", [None, "1458692752478", 1.5, []])
def test_without_an_id_and_a_clock_nothing_tells_an_element_apart(timestamp: Any) -> None:
    (event,) = found(messaging(element(read={"watermark": 1}, timestamp=timestamp)))

    assert event.identity == "delivery"
    assert event.time is None


@pytest.mark.parametrize(
    "name", ["optin", "referral", "account_linking", "pass_thread_control", "new-thing"]
)
def test_any_other_element_is_unrecognized(name: str) -> None:
    (event,) = found(messaging(element(**{name: {"ref": "x"}})))

    assert (event.type, event.detail, event.vendortype) == ("unrecognized", name, name)
    assert event.data["contact"] == {"id": "2"}
