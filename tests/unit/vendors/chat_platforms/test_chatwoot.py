"""Chatwoot: notes, kinds of messages, statuses, assignments, labels."""

import json
from typing import Any

import pytest

from relay import vendors
from relay.errors import Malformed
from relay.events.event import NormalizedEvent
from relay.vendors import chatwoot
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row


def understood(event: str, **fields: Any) -> NormalizedEvent:
    body = json.dumps({"event": event, **fields}).encode()
    (found,) = chatwoot.normalize(Request(body=body))
    assert found.raw == body
    return found


@for_each(
    private=[True, 1, "true", "false", [], {"a": 1}], event=["message_created", "message_updated"]
)
def test_what_may_be_private_is_a_note(event: str, private: object) -> None:
    found = understood(event, private=private, content="psst", id=1, message_type="outgoing")

    assert (found.type, found.detail) == ("note.created", "")
    assert found.data["note"] == {"text": "psst"}
    assert "text" not in found.data["message"]


@pytest.mark.parametrize("fields", [{}, {"private": False}, {"private": None}])
def test_what_is_not_private_is_a_message(fields: dict[str, Any]) -> None:
    assert understood("message_created", content="hi", **fields).type == "message.created"
    assert understood("message_updated", content="hi", **fields).type == "message.updated"


@pytest.mark.parametrize("message_type", ["activity", 2])
@pytest.mark.parametrize("event", ["message_created", "message_updated"])
def test_a_line_that_only_agents_see_is_no_message(event: str, message_type: object) -> None:
    found = understood(event, message_type=message_type, content="Jo resolved it")

    assert (found.type, found.detail) == ("unrecognized", f"{event}_activity")


@for_each_row(
    ("sender", "message_type", "actor"),
    [
        ({"type": "user", "id": 7}, "outgoing", {"type": "agent", "id": "7"}),
        ({"type": "contact", "id": 4}, "incoming", {"type": "contact", "id": "4"}),
        ({"type": "agent_bot", "id": 2}, "outgoing", {"type": "bot", "id": "2"}),
        ({"id": 7}, "outgoing", {"type": "agent", "id": "7"}),
        ({"id": 7}, 1, {"type": "agent", "id": "7"}),
        (None, 0, {"type": "contact"}),
        (None, "template", {"type": "system"}),
        (None, 3, {"type": "system"}),
        (None, 4, None),
        (None, -1, None),
        (None, [], None),
    ],
)
def test_who_wrote_it(sender: object, message_type: object, actor: object) -> None:
    found = understood("message_created", sender=sender, message_type=message_type)

    assert found.data.get("actor") == actor


def test_an_agent_is_never_taken_for_the_customer() -> None:
    agent = {"id": 7, "name": "Jo"}

    found = understood("message_created", sender=agent, message_type="outgoing")

    assert "contact" not in found.data


@for_each_row(
    ("fields", "kind"),
    [
        ({"content": "hi", "content_type": "text"}, "text"),
        ({"content": "hi", "attachments": [{"file_type": "image"}]}, "text"),
        ({"attachments": [{"file_type": "audio", "data_url": "https://e/x"}]}, "audio"),
        ({"attachments": [{}]}, "file"),
        ({"content_type": "input_select", "content": "Which?"}, "input_select"),
        ({"content_type": "cards"}, "cards"),
        ({}, "text"),
    ],
)
def test_the_kind_of_a_message(fields: dict[str, Any], kind: str) -> None:
    assert understood("message_created", **fields).detail == kind


@pytest.mark.parametrize(
    ("submitted", "variables"),
    [
        ([{"title": "Red", "value": "r"}], [{"name": "Red", "value": "r"}]),
        ([{"name": "size", "value": 0}], [{"name": "size", "value": 0}]),
        ([{"name": "size"}, 3, None], None),
        ({"csat": {"rating": 5}}, [{"name": "csat", "value": {"rating": 5}}]),
        ("x", None),
    ],
)
def test_what_was_entered_into_a_form(submitted: object, variables: object) -> None:
    found = understood("message_updated", content_attributes={"submitted_values": submitted})

    assert found.data["message"].get("variables") == variables


@for_each_row(
    ("event", "status", "event_type"),
    [
        ("conversation_status_changed", "resolved", "conversation.closed"),
        ("conversation_status_changed", "open", "conversation.opened"),
        ("conversation_status_changed", "pending", "conversation.status_changed"),
        ("conversation_status_changed", "snoozed", "conversation.status_changed"),
        ("conversation_status_changed", None, "conversation.status_changed"),
        ("conversation_resolved", "open", "conversation.closed"),
        ("conversation_opened", "pending", "conversation.opened"),
        ("conversation_created", "open", "conversation.created"),
        ("conversation_updated", "open", "conversation.updated"),
        ("conversation_typing_off", "open", "unrecognized"),
        ("conversation_of_2031", "open", "unrecognized"),
    ],
)
def test_what_happens_to_a_conversation(event: str, status: object, event_type: str) -> None:
    assert understood(event, id=5, status=status).type == event_type


def changed(**changes: tuple[object, object]) -> list[dict[str, Any]]:
    return [
        {name: {"previous_value": old, "current_value": new}}
        for name, (old, new) in changes.items()
    ]


AGENT, TEAM = {"id": 7, "type": "user"}, {"id": 5, "name": "sales"}


@for_each_row(
    ("changes", "meta", "assignment"),
    [
        ({"assignee_id": (None, 7)}, {"assignee": AGENT}, {"to": ("agent", "7")}),
        ({"assignee_id": (3, None)}, {"assignee": None}, {"from": ("agent", "3")}),
        (
            {"assignee_id": (3, 7), "team_id": (None, 5)},
            {"assignee": AGENT, "team": TEAM},
            {"to": ("agent", "7"), "from": ("agent", "3")},
        ),
        (
            {"team_id": (4, 5)},
            {"assignee": AGENT, "team": TEAM},
            {"to": ("team", "5"), "from": ("team", "4")},
        ),
        ({"team_id": (None, None)}, {}, {}),
        (
            {"assignee_id": (None, 2)},
            {"assignee": {"id": 2, "type": "agent_bot"}},
            {"to": ("bot", "2")},
        ),
    ],
)
def test_who_is_responsible_now_and_was_before(
    changes: dict[str, tuple[object, object]],
    meta: dict[str, Any],
    assignment: dict[str, tuple[str, str]],
) -> None:
    found = understood("conversation_updated", meta=meta, changed_attributes=changed(**changes))

    assert found.type == "conversation.assigned"
    assert {
        name: (party["type"], party["id"])
        for name, party in found.data.get("assignment", {}).items()
    } == assignment


@for_each_row(
    ("old", "new", "event_type", "labels"),
    [
        ([], ["a"], "labels.added", ["a"]),
        (None, ["a", "b"], "labels.added", ["a", "b"]),
        (["a", "b"], ["b"], "labels.removed", ["a"]),
        (["a"], None, "labels.removed", ["a"]),
        (["a"], ["b", "c"], "labels.changed", ["b", "c"]),
        (["a"], ["a"], "labels.changed", ["a"]),
        ("x", 3, "labels.changed", []),
    ],
)
def test_which_labels_came_and_went(
    old: object, new: object, event_type: str, labels: list[str]
) -> None:
    found = understood("conversation_updated", changed_attributes=changed(label_list=(old, new)))

    assert found.type == event_type
    assert [label["name"] for label in found.data.get("labels", [])] == labels


@for_each(value=[None, "x", 3, [None], [3], [{"a": None}], {"assignee_id": 1}])
def test_odd_changes_are_no_changes(value: object) -> None:
    found = understood("conversation_updated", changed_attributes=value)

    assert found.type == "conversation.updated"


def test_what_tells_events_apart() -> None:
    one, again = (understood("message_created", id=1, status=status) for status in ("a", "b"))
    other = understood("message_created", id=2)
    chat, same_number = (understood("conversation_created", id=1, inbox_id=n) for n in (3, 4))

    assert one.identity == again.identity != other.identity
    assert chat.identity != same_number.identity
    assert understood("conversation_created", id=1).identity == "delivery"
    assert understood("conversation_updated", id=1, updated_at=1760000000.25).identity == "element"
    assert understood("conversation_updated", id=1, updated_at=1760000000).identity == "delivery"
    assert (
        understood("message_updated", id=1, conversation={"updated_at": 1.5}).identity == "element"
    )
    assert understood("contact_updated", id=1).identity == "delivery"


@for_each_row(
    ("created_at", "time"),
    [
        ("2020-03-03 13:05:57 UTC", "2020-03-03T13:05:57Z"),
        ("2021-07-23T18:02:48.000Z", "2021-07-23T18:02:48Z"),
        (1627063369, "2021-07-23T18:02:49Z"),
        (1627063369.25, "2021-07-23T18:02:49.250000Z"),
        (1e300, None),
        (-1.5, None),
        ("yesterday", None),
        ([], None),
    ],
)
def test_the_notations_of_time(created_at: object, time: str | None) -> None:
    assert understood("message_created", created_at=created_at).time == time


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"event":3}', b'{"event":""}', b'"x"'])
def test_what_names_no_event_is_of_an_unknown_shape(body: bytes) -> None:
    with pytest.raises(Malformed, match="unknown_shape"):
        vendors.normalize(chatwoot, Request(body=body))
