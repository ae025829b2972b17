"""Channel Talk's logs: what happened to a chat comes as a message that says so."""

import json
from typing import Any

import pytest

from relay.events.event import Data, NormalizedEvent
from relay.vendors import channeltalk
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

CHAT = {"id": "c1", "userId": "u1", "name": "Ann", "state": "opened"}
BO = {"type": "agent", "id": "m1", "name": "Bo"}


def logged(
    action: Any, values: Any = None, *, chat: Data | None = None, **entity: Any
) -> NormalizedEvent:
    """Return the event of a log that a manager caused, in a chat that has changed by then."""
    push = {
        "type": "message",
        "event": entity.pop("event", "push"),
        "entity": {
            "id": "l1",
            "chatType": "userChat",
            "chatId": "c1",
            "personType": "manager",
            "personId": "m1",
            "version": 0,
            "createdAt": 1_700_000_000_000,
            "log": {"action": action, "values": values, "triggerType": "workflow"},
            **entity,
        },
        "refers": {"userChat": CHAT | (chat or {}), "manager": {"id": "m1", "name": "Bo"}},
    }
    [event] = channeltalk.normalize(Request(body=json.dumps(push).encode()))
    return event


@for_each_row(
    ("actions", "event_type"),
    [
        ("close autoClose", "conversation.closed"),
        ("open autoOpen", "conversation.opened"),
        ("assign autoAssign unassign assignTeam unassignTeam", "conversation.assigned"),
        ("join invite", "conversation.joined"),
        ("leave remove", "conversation.left"),
        ("miss processByMiss", "conversation.missed"),
        ("snooze enqueue", "conversation.status_changed"),
        ("addTags", "labels.added"),
        ("removeTags", "labels.removed"),
    ],
    beside=[
        {},
        {"plainText": "Bo closed it"},
        {"blocks": [{"type": "text", "value": "x"}], "files": [1]},
    ],
)
def test_an_action_is_the_event_it_tells_of_even_beside_words(
    actions: str, event_type: str, beside: Data
) -> None:
    for action in actions.split():
        event = logged(action, **beside)

        assert (event.type, event.detail, event.vendortype) == (event_type, "", "message.push")
        assert event.time == "2023-11-14T22:13:20Z"
        assert event.identity == ("message", "push", "l1", "0")
        assert event.data["conversation"] == {"id": "c1"}
        assert event.data["contact"] == {"id": "u1", "name": "Ann"}
        assert event.data["actor"] == BO
        assert event.data["status"] == "opened"
        assert "message" not in event.data


@for_each(
    action=[
        *("changeName", "changeScope", "create", "joinMeet", "leaveMeet", "inviteMeet", "missMeet"),
        *("callbackMeet", "tryConnectCall", "processBranch", "sendXms", "addUserTags", "share"),
        *("removeUserTags", "updatePriority", "startWorkflow", "endWorkflow", "applyRules"),
        *("interruptWorkflow", "interruptWorkflowByBot", "tryOpenWithAlf", "startTask"),
        *("taskApproval", "cancelAlfByUser", "fallbackCall", "handoffVoiceToText"),
        *("closed", "CLOSE", "somethingNew", "\u2603"),
    ]
)
def test_any_other_action_is_a_message_that_names_it(action: str) -> None:
    event = logged(action, ["x"])

    assert (event.type, event.detail) == ("message.created", "log")
    assert event.data["message"] == {
        "id": "l1",
        "kind": "log",
        "variables": [{"name": "action", "value": action}],
    }


def test_words_beside_an_action_nobody_knows_are_kept() -> None:
    event = logged("sendXms", plainText="sent by SMS")

    assert event.detail == "log"
    assert event.data["message"]["text"] == "sent by SMS"
    assert event.data["message"]["variables"] == [{"name": "action", "value": "sendXms"}]


@for_each(action=[None, "", 5, ["close"], {"close": 1}, True])
def test_a_log_without_an_action_is_no_change(action: Any) -> None:
    event = logged(action)

    assert (event.type, event.detail) == ("message.created", "log")
    assert "variables" not in event.data["message"]


@pytest.mark.parametrize("log", [None, "close", ["close"], 5, {"actions": "close"}])
def test_what_is_no_log_is_left_out(log: Any) -> None:
    event = logged("close", log=log, plainText="hi")

    assert (event.type, event.detail) == ("message.created", "text")


def test_a_log_that_is_changed_later_changes_the_chat_no_second_time() -> None:
    assert logged("close", event="update").type == "message.updated"
    assert logged("addTags", ["vip"], event="upsert").type == "message.updated"


@for_each(
    action=["close", "join", "changeName", "somethingNew"],
    chat_type=["group", "directChat", "Group", "DIRECTCHAT"],
)
def test_in_a_team_chat_a_log_is_a_message(chat_type: str, action: str) -> None:
    event = logged(action, ["m2"], chatType=chat_type)

    assert (event.type, event.detail) == ("team_message.created", "log")
    assert event.data["message"]["variables"] == [{"name": "action", "value": action}]


# Assignments.

AGENT = {"type": "agent", "id": "9"}
TEAM = {"type": "team", "id": "13"}


@for_each_row(
    ("action", "values", "chat", "to"),
    [
        ("assign", ["8"], {"assigneeId": "9", "teamId": "13"}, AGENT),
        ("autoAssign", [], {"assigneeId": 9}, AGENT),
        ("assign", None, {"teamId": "13"}, TEAM),
        ("assign", ["9", "8"], {}, AGENT),
        ("autoAssign", [9], {"assigneeId": None, "teamId": ""}, AGENT),
        ("assign", [{"id": "9", "name": "Cy"}], {"assigneeId": []}, AGENT),
        ("assignTeam", ["14"], {"assigneeId": "9", "teamId": "13"}, TEAM),
        ("assignTeam", ["13"], {"assigneeId": "9"}, TEAM),
        ("assignTeam", [13], {}, TEAM),
        ("assignTeam", [], {"assigneeId": "9"}, None),
        ("assign", [], {}, None),
        ("assign", "9", {"teamId": 1.5}, None),
        ("assign", [[9], None], {}, None),
        ("unassign", ["9"], {}, None),
        ("unassign", ["9"], {"assigneeId": "9", "teamId": "13"}, None),
        ("unassignTeam", ["13"], {"assigneeId": "9"}, None),
        ("unassignTeam", [], {"teamId": "13"}, None),
    ],
)
def test_an_assignment_is_to_whom_the_chat_has_now(
    action: str, values: Any, chat: Data, to: Data | None
) -> None:
    event = logged(action, values, chat=chat)

    assert event.type == "conversation.assigned"
    assert event.data.get("assignment") == ({"to": to} if to else None)


@for_each_row(
    ("action", "values", "member"),
    [
        ("join", ["m2"], BO),
        ("join", [], BO),
        ("leave", ["m2"], BO),
        ("leave", None, BO),
        ("invite", ["m2", "m3"], {"type": "agent", "id": "m2"}),
        ("remove", ["m2"], {"type": "agent", "id": "m2"}),
        ("remove", [7], {"type": "agent", "id": "7"}),
        ("remove", [{"id": "m2"}], {"type": "agent", "id": "m2"}),
        ("remove", [], None),
        ("remove", "m2", None),
        ("invite", [None], None),
    ],
)
def test_a_member_is_who_came_or_went(action: str, values: Any, member: Data | None) -> None:
    event = logged(action, values)

    assert event.data["actor"] == BO
    assert event.data.get("member") == member


def test_who_left_may_be_known_by_the_log_alone() -> None:
    event = logged("leave", ["m2"], personType=None)

    assert "actor" not in event.data
    assert event.data["member"] == {"type": "agent", "id": "m2"}


@for_each_row(
    ("values", "labels"),
    [
        (["refund", "vip"], [{"name": "refund"}, {"name": "vip"}]),
        (["\ud658\ubd88"], [{"name": "\ud658\ubd88"}]),
        ([2024, {"name": "vip"}], [{"name": "2024"}, {"name": "vip"}]),
        (["vip", "", None, 1.5, [], {}], [{"name": "vip"}]),
        ([], None),
        ("vip", None),
        ({"vip": 1}, None),
    ],
    action=["addTags", "removeTags"],
)
def test_labels_are_known_by_name(action: str, values: Any, labels: list[Data] | None) -> None:
    assert logged(action, values).data.get("labels") == labels


@for_each(
    action=["snooze", "close", "open", "miss"],
    state=["closed", "snoozed", "queued", "missed", None, 5],
)
def test_the_status_is_the_chats_own_word(action: str, state: Any) -> None:
    event = logged(action, chat={"state": state, "contactMediumType": "appLine"})

    assert event.data.get("status") == (state if isinstance(state, str) else None)
    assert event.data["channel"] == {"type": "appLine"}
