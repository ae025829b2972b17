"""Which fields are known, and which of a hostile element are reported."""

import json
from typing import Any

import pytest

from relay.vendors.kit.known_fields import (
    MAX_NAME_CHARACTERS,
    MAX_UNKNOWN,
    MAX_UNKNOWN_PER_OBJECT,
    KnownFields,
)

SEEN = {
    "event": {"type": "x", "items": [{"id": 1}, {"id": 2, "url": "u"}], "photo": None},
    "packed": '{"agent":{"name":"A"}}',
    "a/b": {"c~d": 1},
    "empty": [],
}


@pytest.fixture
def known() -> KnownFields:
    fields = KnownFields()
    fields.learn(SEEN)
    return fields


def paths(fields: KnownFields, element: object) -> list[str]:
    return [field.path for field in fields.unknown_in(element)]


def test_what_was_learnt_is_known_whatever_its_values(known: KnownFields) -> None:
    less = {"event": {"type": ["y"], "items": []}, "packed": "{", "a/b": None, "empty": {}}

    assert paths(known, SEEN) == paths(known, less) == paths(known, {}) == []
    assert paths(known, [1, "a", None]) == paths(known, "{}") == []


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ({"new": 1}, "/new"),
        ({"event": {"new": {"deep": 1}}}, "/event/new"),
        ({"event": {"items": [{"id": 1}, {"new": 1}]}}, "/event/items/*/new"),
        ({"event": {"photo": {"url": "u"}}}, "/event/photo/url"),
        ({"event": {"type": [[{"new": 1}]]}}, "/event/type/*/*/new"),
        ({"empty": [{"new": 1}]}, "/empty/*/new"),
        ({"packed": '{"agent":{"name":"B","new":1}}'}, "/packed/agent/new"),
        ({"packed": {"agent": {"new": 1}}}, "/packed/agent/new"),
        ({"a/b": {"e/~f": 1}}, "/a~1b/e~1~0f"),
        ({"event": {"items": [{"new": 1}, {"new": 2}]}}, "/event/items/*/new"),
    ],
)
def test_an_unknown_field_is_reported_once_with_its_path(
    known: KnownFields, element: object, expected: str
) -> None:
    assert paths(known, element) == [expected]


@pytest.mark.parametrize(
    ("pointer", "is_known", "is_unknown"),
    [
        ("/event/new", {"event": {"new": {}}}, {"event": {"newer": 1}}),
        ("/event/new", {"event": {"new": 1}}, {"event": {"new": {"below": 1}}}),
        ("/event/items/*/new", {"event": {"items": [{"new": 1}]}}, {"event": {"new": 1}}),
        ("/event/map/*", {"event": {"map": {"x": {"y": [{"z": 1}]}}}}, {"event": {"mad": 1}}),
        ("/event/map/*", {"event": {"map": {"x": 1}}}, {"event": {"map": [{"x": 1}]}}),
        ("/a~1b/~0", {"a/b": {"~": 1}}, {"a/b": {"~0": 1}}),
    ],
)
def test_a_declared_field_is_known(
    known: KnownFields, pointer: str, is_known: object, is_unknown: object
) -> None:
    assert paths(known, is_known) != []

    known.declare(pointer)

    assert paths(known, is_known) == []
    assert paths(known, is_unknown) != []


def nested(depth: int) -> Any:
    value: Any = {"new": 1}
    for _ in range(depth):
        value = [value]
    return value


def test_a_hostile_element_gives_bounded_names(known: KnownFields) -> None:
    many = {f"n{number}": 1 for number in range(100_000)}
    long = {"x" * 100_000: 1}
    deep = {"event": {"type": nested(190)}}
    packed = {"packed": json.dumps({"agent": nested(500)})}

    assert len(paths(known, many)) == MAX_UNKNOWN_PER_OBJECT
    assert "/new" in paths(known, {"event": many, "new": 1})
    assert len(paths(known, {**many, "event": {**many, "photo": many}, "empty": [many, many]})) == (
        MAX_UNKNOWN
    )
    assert paths(known, long) == ["/" + "x" * MAX_NAME_CHARACTERS]
    assert paths(known, deep) == ["/event/type" + "/*" * 190 + "/new"]
    assert paths(known, packed) == []  # deeper than any delivery may be


def test_names_are_returned_whatever_their_place(known: KnownFields) -> None:
    assert known.names() == {
        *("event", "type", "items", "id", "url", "photo", "packed", "agent", "name"),
        *("a/b", "c~d", "empty"),
    }
