"""WotNot's messages: kinds, texts, files and the variables in them."""

import json
from typing import Any

import pytest

from relay.events.event import Data, NormalizedEvent
from relay.vendors import swiftsell
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row


def normalized(vendortype: str, payload: Any) -> NormalizedEvent:
    body = {"events": [{"event": {"type": vendortype, "payload": payload}}]}
    [event] = swiftsell.normalize(Request(body=json.dumps(body).encode()))
    return event


def message(kind: Any, content: Any, **beside: Any) -> Data:
    """Return what is known of a message with this payload."""
    sent = {"message": {"type": kind, "payload": content} | beside}
    return normalized("message", sent).data["message"]


@pytest.mark.parametrize("kind", ["note", "Note", "NOTE"])
def test_a_message_that_calls_itself_a_note_is_one(kind: str) -> None:
    sent = {"message_by": {"type": "user", "id": 7}, "message": {"type": kind, "text": "psst"}}

    event = normalized("message", sent)

    assert (event.type, event.detail) == ("note.created", "")
    assert event.data == {
        "actor": {"type": "agent", "id": "7"},
        "message": {"kind": kind},
        "note": {"text": "psst"},
    }


@for_each_row(
    ("kind", "seen", "detail"),
    [
        ("text", "text", "text"),
        ("form.response", "form_response", "form.response"),
        ("file_upload.response", "file_upload_response", "file_upload.response"),
        ("reply buttons", "reply buttons", "reply buttons"),
        ("whatsapp.flow.v2", "whatsapp_flow_v2", "whatsapp.flow.v2"),
        ("", "unknown", "unknown"),
        (None, "unknown", "unknown"),
        (7, "unknown", "unknown"),
    ],
)
def test_a_kind_is_the_vendors_own_whether_known_or_not(kind: Any, seen: str, detail: str) -> None:
    event = normalized("message", {"message": {"type": kind, "text": "hi"}})

    assert event.type == "message.created"
    assert event.data == {"message": {"kind": seen, "text": "hi"}}
    assert event.detail.replace(".", "_") == detail.replace(".", "_")


@for_each(payload=[None, [], "x", {"message": None}, {"message": "hi"}, {}])
def test_a_message_of_an_odd_shape_is_still_a_message(payload: Any) -> None:
    event = normalized("message", payload)

    assert event.type == "message.created"
    assert event.data == {"message": {"kind": "unknown"}}


@for_each_row(
    ("content", "text"),
    [
        ({"text": "13", "value": 13}, "13"),
        ({"body": "Yes", "callback": {}}, "Yes"),
        ({"title": "Pick one", "buttons": []}, "Pick one"),
        ({"message": "Fill in", "fields": []}, "Fill in"),
        ({"title": "", "message": "second"}, "second"),
        ({"title": {"a": 1}, "message": None}, None),
        ({"title": "t", "body": "b", "text": "first"}, "first"),
    ],
)
def test_the_text_is_what_a_person_in_the_chat_reads(content: Data, text: str | None) -> None:
    seen = message("any", content)

    assert seen.get("text") == text
    assert message("any", content, text="above all")["text"] == "above all"


@pytest.mark.parametrize(
    "html", ["<p>Hi &amp; welcome<br></p>", "1 < 2", "<script>x()</script>", "a &lt; b", "<"]
)
def test_the_html_of_a_bot_stays_as_it_is(html: str) -> None:
    assert message("text", None, text=html)["text"] == html
    assert message("button", {"title": html})["text"] == html


@pytest.mark.parametrize(
    ("content", "attachments"),
    [
        (
            {"link": "https://a/1", "mime_type": "image/png", "file_name": "a.png"},
            [{"url": "https://a/1", "mime_type": "image/png", "file_name": "a.png"}],
        ),
        (
            {"type": "image", "payload": {"link": "https://a/2", "mime_type": None}},
            [{"url": "https://a/2"}],
        ),
        (
            {"items": [{"image": "https://a/3"}, {"image": None}, {"image": {}}, None, "x"]},
            [{"url": "https://a/3"}],
        ),
        ({"link": {"href": "x"}, "payload": [], "items": {}}, None),
        ({"link": ""}, None),
    ],
)
def test_files_are_found_wherever_a_kind_keeps_them(content: Data, attachments: Any) -> None:
    seen = message("any", content)

    assert seen.get("attachments") == attachments


@for_each_row(
    ("sent", "variables"),
    [
        (
            [{"type": "text", "name": "a", "value": True}],
            [{"name": "a", "type": "text", "value": True}],
        ),
        (
            [{"type": "number", "name": "a", "value": "1"}],
            [{"name": "a", "type": "number", "value": "1"}],
        ),
        (
            [{"name": "\u00bf\u00b7$user.info.name\u00b7?", "value": None}],
            [{"name": "$user.info.name", "value": None}],
        ),
        (
            {"\u00bf\u00b7date\u00b7?": "01/09/2023", "plain": {"x": []}},
            [{"name": "date", "value": "01/09/2023"}, {"name": "plain", "value": {"x": []}}],
        ),
        ([{"value": 1}, {}, None, "x", 5], [{"value": 1}]),
        ({"": 1, "\u00bf\u00b7\u00b7?": 2}, [{"value": 1}, {"value": 2}]),
        ([], None),
        ({}, None),
        ("None", None),
        (None, None),
    ],
)
def test_variables_are_one_array_whatever_was_sent(sent: Any, variables: Any) -> None:
    event = normalized("variables", {"variables": sent})

    assert event.type == "variables.updated"
    assert event.data.get("variables") == variables
    assert message("calendly.response", {"variables": sent}).get("variables") == variables


def test_the_answers_of_a_form_are_variables() -> None:
    fields = [
        {
            "label": "Name",
            "variable": "\u00bf\u00b7name\u00b7?",
            "type": "text",
            "value": "abc",
            "extra": "None",
        },
        {"label": "Phone", "variable": None, "type": "phone", "value": "+91"},
        None,
    ]

    answered, asked = (message(kind, {"fields": fields}) for kind in ("form.response", "form"))

    assert answered["variables"] == [
        {"name": "name", "type": "text", "value": "abc"},
        {"type": "phone", "value": "+91"},
    ]
    assert asked == {"kind": "form"}


def test_a_new_conversation_tells_who_has_it_and_what_is_known() -> None:
    payload = {
        "assigned_to_user": {"type": "bot", "id": "8181", "email": ""},
        "created_at": "2023-08-29 04:27:48",
        "title": "Visitor",
        "channel": {"name": 0, "provider": 0},
        "variables": {"a": 0},
    }

    event = normalized("conversation_create", payload)

    assert event.type == "conversation.created"
    assert event.data == {
        "conversation": {"title": "Visitor", "created_at": "2023-08-29T04:27:48Z"},
        "channel": {"id": "0"},
        "assignment": {"to": {"type": "bot", "id": "8181"}},
        "variables": [{"name": "a", "value": 0}],
    }
