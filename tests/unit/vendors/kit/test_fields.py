"""Reading vendors' fields: what is an id, a text, an object, and what is nothing."""

from typing import Any

import pytest

from relay.events.event import TYPES, NormalizedEvent
from relay.vendors.kit import fields
from tests.support.rows import for_each, for_each_row

# The table of the contract. Consumers bind to these words: one may be added, none taken away.
VOCABULARY = """
    agent.status_changed
    contact.deleted contact.updated
    conversation.accepted conversation.assigned conversation.closed conversation.created
    conversation.joined conversation.left conversation.missed conversation.opened
    conversation.rejected conversation.status_changed conversation.updated
    labels.added labels.changed labels.removed
    message.created message.status_changed message.updated
    note.created
    received
    team_message.created
    unrecognized
    variables.updated
"""


def test_the_types_are_those_of_the_contract() -> None:
    assert set(VOCABULARY.split()) == TYPES


SAYING = [
    *(
        "note",
        "NOTE",
        "a note, b",
        "note_and_reopen",
        ["a", "Note"],
        [["note"]],
        {"a": 1, "note": 1},
    ),
    *([{"Note": "yes"}], {"note": [], "b": None}),
]
NOT_SAYING = [
    *("notes", "footnote", "", [], {}, None, True, 5, {"a": "note"}, ["n", "ote"]),
    *({"note": False}, {"note": None}, {"note": 0}),
]


@for_each(value=SAYING)
def test_a_word_is_said_in_any_form(value: Any) -> None:
    assert fields.says(value, "note")


@for_each(value=NOT_SAYING)
def test_what_only_looks_like_a_word_does_not_say_it(value: Any) -> None:
    assert not fields.says(value, "note")


@for_each_row(
    ("value", "seen"),
    [
        ("a", "a"),
        (" ", " "),
        (0, "0"),
        (-7, "-7"),
        (2**64 - 1, "18446744073709551615"),
        ("", None),
        (None, None),
        (True, None),
        (7.0, None),
        (1.8446744073709552e19, None),
        ([1], None),
        ({"id": 1}, None),
    ],
)
def test_an_id_is_a_text_or_a_whole_number(value: Any, seen: str | None) -> None:
    assert fields.identifier(value) == seen


@pytest.mark.parametrize(
    ("value", "seen"), [("a", "a"), ("", None), (None, None), (5, None), (["a"], None)]
)
def test_a_text_is_a_string_with_something_in_it(value: Any, seen: str | None) -> None:
    assert fields.text(value) == seen


def test_only_fields_that_hold_something_are_known() -> None:
    found = fields.without_empty(a=None, b="", c=[], d={}, e=0, f=False, g=0.0, h=" ", i=[None])

    assert found == {"e": 0, "f": False, "g": 0.0, "h": " ", "i": [None]}


def test_an_actor_has_a_type_and_what_else_is_known() -> None:
    assert fields.actor("agent") == {"type": "agent"}
    assert fields.actor("bot", 7, name="Robo", email="") == {
        "type": "bot",
        "id": "7",
        "name": "Robo",
    }


@for_each(value=[None, [], [("a", 1)], "x", 5, True])
def test_what_is_no_object_counts_as_an_empty_one(value: Any) -> None:
    assert fields.mapping(value) == {}
    assert fields.mapping({"a": value}) == {"a": value}


@for_each(value=[None, {}, {"a": 1}, "x", 5, (1,)])
def test_what_is_no_array_counts_as_an_empty_one(value: Any) -> None:
    assert fields.sequence(value) == []
    assert fields.sequence([value]) == [value]


def test_an_event_is_frozen_and_has_no_place_for_more() -> None:
    found = NormalizedEvent(type="note.created", vendortype="note", data={}, raw=b"{}")

    with pytest.raises(AttributeError):
        found.type = "other"  # type: ignore[misc]
    assert not hasattr(found, "__dict__")
    assert (found.detail, found.time) == ("", None)


@for_each_row(
    ("given", "seen"),
    [
        ({"url": "https://a/1"}, {"url": "https://a/1"}),
        ({"attachment_id": 7, "url": ""}, {"id": "7"}),
        ({"key": "k/1", "file_name": "a.png"}, {"key": "k/1", "file_name": "a.png"}),
        (
            {"url": "u", "attachment_id": "f", "key": "k", "mime_type": "a/b", "size_bytes": 0},
            {"url": "u", "id": "f", "key": "k", "mime_type": "a/b", "size_bytes": 0},
        ),
        ({"url": "u", "size_bytes": True}, {"url": "u"}),
        ({"url": "u", "size_bytes": -1, "mime_type": 5}, {"url": "u"}),
        ({"url": "u", "size_bytes": "183204", "file_name": []}, {"url": "u"}),
        ({"url": 5, "attachment_id": 1.5, "key": ["k"], "file_name": "a.png"}, {}),
        ({"mime_type": "image/png", "file_name": "a.png", "size_bytes": 5}, {}),
        ({}, {}),
    ],
)
def test_an_attachment_says_where_its_file_is(given: dict[str, Any], seen: dict[str, Any]) -> None:
    assert fields.attachment(**given) == seen


@pytest.mark.parametrize("role", ["agent", "bot", "contact", "system", "team"])
def test_an_actor_may_be_a_person_a_program_or_a_team(role: fields.ActorType) -> None:
    assert fields.actor(role, 7, name="A", email="") == {"type": role, "id": "7", "name": "A"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"id": "7", "kind": "text", "text": "among us"},
            {"message": {"id": "7", "kind": "text"}, "note": {"text": "among us"}},
        ),
        ({"kind": "file"}, {"message": {"kind": "file"}}),
        ({"text": "among us"}, {"message": {}, "note": {"text": "among us"}}),
    ],
)
def test_the_text_of_a_note_is_in_no_message(message: Any, expected: Any) -> None:
    said = dict(message)

    assert fields.as_note(message) == expected
    assert message == said


def test_variables_are_what_has_a_value() -> None:
    found = fields.variables({"a": 0, "b": None, "c": "", "d": False, "e": [None]})

    assert found == [
        {"name": "a", "value": 0},
        {"name": "c", "value": ""},
        {"name": "d", "value": False},
        {"name": "e", "value": [None]},
    ]


@for_each(event_type=sorted(TYPES))
def test_a_detail_is_a_messages_kind_or_the_vendors_word(event_type: str) -> None:
    expected = {"message.created": "image", "unrecognized": "typing"}.get(event_type, "")

    data = {"message": {"kind": "image"}}
    assert fields.detail_of(event_type, "typing", data) == expected
