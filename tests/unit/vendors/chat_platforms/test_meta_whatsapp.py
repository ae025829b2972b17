"""WhatsApp Cloud API: what the samples do not show."""

import json
from typing import Any

import pytest

from relay.events.event import NormalizedEvent
from relay.vendors import meta, normalize
from relay.vendors.kit.request import Request
from tests.support.rows import for_each_row


def change(
    *messages: Any, statuses: tuple[Any, ...] = (), field: str = "messages", **more: Any
) -> Any:
    value = {"metadata": {"phone_number_id": "9"}, "messages": list(messages)} | more
    if statuses:
        value["statuses"] = list(statuses)
    return {"value": value, "field": field}


def whatsapp(*changes: Any) -> bytes:
    entry = {"id": "5", "changes": list(changes)}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def found(body: bytes) -> list[NormalizedEvent]:
    events = normalize(meta, Request(body=body))
    assert all(isinstance(event, NormalizedEvent) for event in events)
    return [event for event in events if isinstance(event, NormalizedEvent)]


def message(kind: str = "text", **fields: Any) -> dict[str, Any]:
    return {"from": "491", "id": "wamid.1", "timestamp": "1749416383", "type": kind} | fields


@for_each_row(
    ("kind", "content", "expected"),
    [
        ("text", {"body": "hi"}, {"text": "hi"}),
        ("text", {"body": 5}, {}),
        ("text", "hi", {}),
        ("sticker", {"id": "7", "mime_type": "image/webp", "animated": False},
         {"attachments": [{"id": "7", "mime_type": "image/webp"}]}),
        ("audio", {"id": 7, "voice": True}, {"attachments": [{"id": "7"}]}),
        ("video", {"caption": "c", "id": None}, {"text": "c"}),
        ("document", ["x"], {}),
        ("location", {"latitude": 1.5, "address": "Road 1"}, {"text": "Road 1"}),
        ("button", {"text": "Yes", "payload": "YES"},
         {"text": "Yes", "variables": [{"name": "payload", "value": "YES"}]}),
        ("interactive", {"list_reply": {"id": "l1", "title": "One", "description": "d"}},
         {"text": "One", "variables": [{"name": "id", "value": "l1"}]}),
        ("interactive", {"nfm_reply": {"body": "Sent", "response_json": "{}"}},
         {"text": "Sent", "variables": [{"name": "response_json", "value": "{}"}]}),
        ("interactive", {"button_reply": "x"}, {}),
        ("reaction", {"message_id": "wamid.0"}, {}),
        ("order", {"catalog_id": "1", "text": "two please"}, {"text": "two please"}),
        ("contacts", [{"name": {}}], {}),
        ("unsupported", None, {}),
        ("new.kind", {"body": "x"}, {}),
    ],
)  # fmt: skip
def test_a_whatsapp_message_is_read_by_its_type(kind: str, content: Any, expected: Any) -> None:
    (event,) = found(whatsapp(change(message(kind, **{kind: content}))))

    named = kind.replace(".", "_")
    assert (event.type, event.detail, event.vendortype) == ("message.created", named, kind)
    assert event.data["message"] == {"id": "wamid.1", "kind": named} | expected
    assert event.identity == ("message", "wamid.1")


@pytest.mark.parametrize(
    ("contacts", "name"),
    [
        ([{"wa_id": "490", "profile": {"name": "No"}},
          {"wa_id": "491", "profile": {"name": "Yes"}}], "Yes"),
        ([{"wa_id": "490", "profile": {"name": "No"}}], None),
        ([{"wa_id": "491", "profile": "Yes"}], None),
        ([5, None, {"wa_id": ["491"]}], None),
        ({"wa_id": "491"}, None),
    ],
)  # fmt: skip
def test_a_contacts_name_is_the_one_of_its_number(contacts: Any, name: str | None) -> None:
    (event,) = found(whatsapp(change(message(), contacts=contacts)))

    assert event.data["contact"].get("name") == event.data["actor"].get("name") == name


def test_an_id_that_is_no_number_is_no_phone() -> None:
    nameless = message(from_user_id="US.13491208655302741918")
    del nameless["from"]

    (event,) = found(
        whatsapp(change(nameless, contacts=[{"user_id": "US.13491208655302741918",
                                             "profile": {"name": "Ada"}}]))
    )  # fmt: skip

    assert event.data["contact"] == {"id": "US.13491208655302741918", "name": "Ada"}


def status(**fields: Any) -> dict[str, Any]:
    return {"id": "wamid.1", "status": "read", "timestamp": "1", "recipient_id": "491"} | fields


def test_each_status_of_a_message_is_an_occurrence_and_a_resend_is_none() -> None:
    sent = [status(status=name) for name in ("sent", "delivered", "read", "failed")]

    once = found(whatsapp({"value": {"statuses": sent}, "field": "messages"}))
    again = found(whatsapp(*[{"value": {"statuses": [one]}, "field": "messages"} for one in sent]))

    assert [event.identity for event in once] == [event.identity for event in again]
    assert len({event.identity for event in once}) == 4
    assert {event.identity[:2] for event in once} == {("status", "wamid.1")}


def test_a_status_in_a_group_is_one_per_member() -> None:
    members = [
        status(recipient_id="G1", recipient_type="group", recipient_participant_id=member)
        for member in ("491", "492")
    ]

    one, two = found(whatsapp({"value": {"statuses": members}, "field": "messages"}))

    assert one.data["conversation"] == two.data["conversation"] == {"id": "G1"}
    assert one.data["contact"] == {"id": "491", "phone": "491"}
    assert one.identity != two.identity


def test_messages_and_statuses_of_one_change_are_told_apart_in_order() -> None:
    value = {"statuses": [status()], "messages": [message()], "metadata": {"phone_number_id": "9"}}

    events = found(whatsapp({"value": value, "field": "messages"}))

    assert [event.type for event in events] == ["message.status_changed", "message.created"]
    assert events[1].data["channel"] == {"id": "9", "type": "whatsapp"}


@pytest.mark.parametrize(
    ("echo", "event_type", "data"),
    [
        (message("text", to="491", text={"body": "x"}), "message.created",
         {"message": {"id": "wamid.1", "kind": "text", "text": "x"}}),
        (message("edit", to="491", edit={"original_message_id": "wamid.0",
                                         "message": {"type": "text", "text": {"body": "y"}}}),
         "message.updated", {"message": {"id": "wamid.0", "text": "y"}, "status": "edit"}),
        (message("revoke", to="491", revoke=[]), "message.updated", {"status": "revoke"}),
    ],
)  # fmt: skip
def test_what_the_business_wrote_on_a_phone_is_an_agents(
    echo: Any, event_type: str, data: Any
) -> None:
    value = {"message_echoes": [echo]}

    (event,) = found(whatsapp({"value": value, "field": "smb_message_echoes"}))

    assert event.type == event_type
    assert event.data["actor"] == {"type": "agent"}
    assert event.data["contact"]["id"] == "491"
    assert {name: event.data[name] for name in ("message", "status") if name in event.data} == data


@for_each_row(
    ("other", "detail"),
    [
        ({"field": "account_update", "value": {"event": "VERIFIED_ACCOUNT"}}, "account_update"),
        (
            {"field": "history", "value": {"history": [{"threads": [{"messages": [1, 2]}]}]}},
            "history",
        ),
        ({"field": "messages", "value": {"errors": [{"code": 130429}]}}, "messages"),
        ({"field": "messages", "value": {"messages": []}}, "messages"),
        ({"field": "messages", "value": {"a": {"messages": [1]}}}, "messages"),
        ({"field": "feed", "value": {"messages": [{"id": "1"}]}}, "feed"),
        ({"field": "x", "value": None}, "x"),
    ],
)
def test_any_other_change_is_unrecognized_and_whole(other: Any, detail: str) -> None:
    (event,) = found(whatsapp(other))

    assert (event.type, event.detail) == ("unrecognized", detail)
    assert json.loads(event.raw) == other
    assert event.data == {"account": {"id": "5"}}
