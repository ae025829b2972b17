"""Channel Talk's messages: what they hold."""

import json
from typing import Any

import pytest

from relay.events.event import Data, NormalizedEvent
from relay.vendors import channeltalk
from relay.vendors.kit.request import Request
from tests.support.rows import for_each_row


def pushed(
    entity: Data, *, model: Any = "message", verb: str = "push", **refers: Any
) -> NormalizedEvent:
    body = {"type": model, "event": verb, "entity": entity, "refers": refers}
    [event] = channeltalk.normalize(Request(body=json.dumps(body).encode()))
    return event


BULLETS = {
    "type": "bullets",
    "blocks": [{"type": "text", "value": "a &amp; b"}, {"value": "<i>c</i>"}],
}


@for_each_row(
    ("entity", "text"),
    [
        ({"plainText": "<b>literally</b> &amp; so"}, "<b>literally</b> &amp; so"),
        ({"blocks": [{"type": "text", "value": "1 < 2 i 3 > 2"}]}, "1 < 2 i 3 > 2"),
        ({"blocks": [{"type": "text", "value": "<b>a</b>"}, BULLETS]}, "a\na & b\nc"),
        ({"blocks": [{"type": "code", "value": "<b>&lt;</b>"}]}, "<b>&lt;</b>"),
        ({"blocks": [{"type": "text", "value": "<br/>"}, {"type": "text", "value": "x"}]}, "x"),
        ({"plainText": 5, "blocks": [{"type": "text", "value": "<i>x</i>"}]}, "x"),
        ({"message": "as in 2019, 1 < 2 &amp; <b>so</b>"}, "as in 2019, 1 < 2 &amp; <b>so</b>"),
        ({"message": "old", "blocks": [{"value": "new"}]}, "new"),
        ({"message": {"plainText": "x"}}, None),
        ({"plainText": ["x"], "blocks": {"value": "x"}}, None),
        ({"blocks": [BULLETS | {"value": "<b>To do</b>"}]}, "To do\na & b\nc"),
        ({"blocks": [{"type": "code", "value": "<a>", "blocks": [{"value": "<a>b"}]}]}, "<a>\nb"),
        ({"blocks": [{"value": '<link value="https://a.example/?b=1>0">here</link>'}]}, "here"),
    ],
)
def test_blocks_have_markup_and_plain_text_has_none(entity: Data, text: str | None) -> None:
    assert pushed(entity).data["message"].get("text") == text


@for_each_row(
    ("entity", "attachments"),
    [
        (
            {"files": [{"key": "k/1", "contentType": "image/png", "name": "a.png", "size": 7}]},
            [{"key": "k/1", "mime_type": "image/png", "file_name": "a.png", "size_bytes": 7}],
        ),
        ({"file": {"url": "https://a/1", "name": "a"}}, [{"url": "https://a/1", "file_name": "a"}]),
        ({"files": [{"id": 1}], "file": {"url": "u"}}, [{"id": "1"}, {"url": "u"}]),
        (
            {"file": {"url": "https://a/1", "filename": "a.png", "type": "image/png", "size": 7}},
            [
                {
                    "url": "https://a/1",
                    "mime_type": "image/png",
                    "file_name": "a.png",
                    "size_bytes": 7,
                }
            ],
        ),
        ({"file": {"url": "u", "name": "a", "filename": "b"}}, [{"url": "u", "file_name": "a"}]),
        ({"files": [{"id": "f", "size": "7", "name": 5, "key": None}]}, [{"id": "f"}]),
        ({"files": [{"name": "lost"}, None, "f", 5, []]}, None),
        ({"files": {"id": "f"}, "file": "f"}, None),
    ],
)
def test_a_file_has_an_id_a_key_or_a_url(entity: Data, attachments: list[Data] | None) -> None:
    assert pushed(entity).data["message"].get("attachments") == attachments


@for_each_row(
    ("form", "variables"),
    [
        (
            {"inputs": [{"label": "Name", "bindingKey": "b", "type": "text", "value": "Ann"}]},
            [{"name": "Name", "type": "text", "value": "Ann"}],
        ),
        (
            {"inputs": [{"bindingKey": "user.age", "dataType": "number", "value": 0}]},
            [{"name": "user.age", "type": "number", "value": 0}],
        ),
        (
            {"inputs": [{"label": 5, "type": "", "dataType": "list", "value": ["a", None]}]},
            [{"type": "list", "value": ["a", None]}],
        ),
        (
            {"inputs": [{"label": "a", "value": False}, {"label": "b", "value": ""}]},
            [{"name": "a", "value": False}, {"name": "b", "value": ""}],
        ),
        ({"inputs": [{"label": "unanswered"}, {"label": "too", "value": None}, None, "x"]}, None),
        ({"inputs": {"label": "a", "value": 1}}, None),
        ({"type": "custom"}, None),
    ],
)
def test_answers_to_a_form_are_variables(form: Data, variables: list[Data] | None) -> None:
    event = pushed({"form": form})

    assert event.detail == "form"
    assert event.data["message"].get("variables") == variables


@pytest.mark.parametrize(
    ("meet", "variables"),
    [
        ({"state": "ended"}, {"state": "ended"}),
        (
            {"state": "live", "call": {"state": "connected"}},
            {"state": "live", "callState": "connected"},
        ),
        (
            {"state": "ended", "call": {"state": "missed", "missedReason": "userLeft"}},
            {"state": "ended", "callState": "missed", "missedReason": "userLeft"},
        ),
        ({"missedReason": "notInOperation", "call": None}, {"missedReason": "notInOperation"}),
        ({"state": 5, "call": ["missed"], "missedReason": {}}, {}),
    ],
)
def test_a_call_says_how_it_went(meet: Data, variables: dict[str, str]) -> None:
    event = pushed({"meet": meet})

    found = event.data["message"].get("variables", [])
    assert event.detail == "meet"
    assert {variable["name"]: variable["value"] for variable in found} == variables
