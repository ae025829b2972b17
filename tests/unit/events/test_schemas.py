"""The JSON Schemas against what the relay writes, and what it writes against them."""

import copy
import itertools
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from typing import Any

import orjson
import pytest
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError

from relay import vendors
from relay.events import schemas
from relay.events.event import TYPES
from tests.support.rows import for_each, for_each_row
from tests.unit.events.documents import (
    VALIDATORS,
    VENDORS,
    check_is_as_its_schema_says,
    documents,
)

# Documented, in a table or in words, but without a payload to show.
_WOTNOT = {
    *("conversation.opened", "conversation.status_changed", "message.status_changed"),
    *("labels.added", "labels.changed"),
}
UNSHOWN = {
    "acquire": {
        *("agent.status_changed", "conversation.joined", "note.created"),
        *("conversation.opened", "conversation.status_changed"),
    },
    "channeltalk": {"contact.deleted"},
    "supporthunt": _WOTNOT,
    "swiftsell": _WOTNOT,
}


SAMPLES = [(name, sample) for name in VENDORS for sample in vendors.samples(name)]


def test_every_type_has_a_schema_that_is_one() -> None:
    assert set(schemas.titles()) == TYPES
    for name in TYPES:
        Draft202012Validator.check_schema(schemas.schema(name))
        Draft7Validator.check_schema(schemas.schema(name))


@for_each(sample=SAMPLES)
def test_every_samples_event_is_as_its_schema_says(sample: tuple[str, Traversable]) -> None:
    name, file = sample

    for document in documents(name, file.read_bytes()):
        check_is_as_its_schema_says(name, document)


def renamed(document: dict[str, Any]) -> Iterator[bytes]:
    """Yield the element of an event with other names for what happened, which nobody knows."""
    raw, word = orjson.dumps(document["data"]["raw"]), document["vendortype"]
    first, dot, rest = word.partition(".")
    others = [f"{word}x", f"{word}.new", word.upper(), f"new{dot}{rest}", f"{first}.new{dot}{rest}"]
    for other in [*others, word.replace("created", "new"), word.replace(":", ":new:")]:
        if other != word:
            yield raw.replace(orjson.dumps(word), orjson.dumps(other))


@for_each(sample=SAMPLES)
def test_what_is_called_otherwise_is_as_its_schema_says(sample: tuple[str, Traversable]) -> None:
    name, file = sample

    for document in documents(name, file.read_bytes()):
        for found in itertools.chain(*(documents(name, body) for body in renamed(document))):
            check_is_as_its_schema_says(name, found)


@for_each(name=VENDORS)
def test_a_vendor_shows_each_type_that_it_says_it_sends(name: str) -> None:
    samples = [sample.read_bytes() for sample in vendors.samples(name)]
    shown = {document["type"] for sample in samples for document in documents(name, sample)}

    unshown = vendors.types(VENDORS[name]) - shown - {"unrecognized"}
    assert unshown == UNSHOWN.get(name, set())


def _changes() -> Iterator[tuple[str, Any]]:
    yield from [("id", "E97232CC024462E619DEF845EF1F268D"), ("id", None), ("source", "swiftsell")]
    yield from [("specversion", "0.3"), ("type", "note.created"), ("time", "2023-09-01 14:13")]
    yield from [("time", "2023-09-01T14:13:45+02:00"), ("subject", ""), ("data", [])]
    yield from [("data.raw", KeyError), ("data.message", KeyError), ("recordedtime", KeyError)]
    yield from [("data.conversation.id", 5), ("data.conversation", {}), ("data.contact.id", "")]
    yield from [("data.actor.type", "robot"), ("data.message.kind", None), ("data.message", None)]


@for_each_row(("place", "value"), list(_changes()))
def test_what_breaks_the_contract_is_no_event(place: str, value: Any) -> None:
    (document,) = documents("swiftsell", vendors.samples("swiftsell")[1].read_bytes())
    document = copy.deepcopy(document)
    *path, name = place.split(".")
    part = document
    for step in path:
        part = part[step]
    if value is KeyError:
        del part[name]
    else:
        part[name] = value

    with pytest.raises(ValidationError):
        VALIDATORS["message.created"].validate(document)


def test_a_member_that_is_new_is_no_reason_to_refuse_an_event() -> None:
    (document,) = documents("swiftsell", vendors.samples("swiftsell")[1].read_bytes())
    document["sequence"] = "1"
    document["data"]["mood"] = {}

    VALIDATORS["message.created"].validate(document)


CONTRACT = [
    ("message.created", {"message": {"kind": "file", "attachments": [{"url": "https://a/1"}]}}, {}),
    ("message.created", {"message": {"kind": "file", "attachments": [{"id": "f"}]}}, {}),
    (
        "team_message.created",
        {"message": {"kind": "file", "attachments": [{"key": "k", "size_bytes": 0}]}},
        {"message": {"kind": "file", "attachments": [{"file_name": "a"}]}},
    ),
    (
        "message.updated",
        {"message": {"attachments": [{"key": "k", "id": "f", "url": "u"}]}},
        {"message": {"attachments": [{"key": "k", "size_bytes": "5"}]}},
    ),
    ("message.created", {"message": {"kind": "text"}, "status": "opened"}, {"message": {}}),
    ("team_message.created", {"message": {"kind": "text"}}, {"message": {"text": "no kind"}}),
    (
        "message.created",
        {"message": {"kind": "text"}, "assignment": {"to": {"type": "team", "id": "13"}}},
        {"message": {"kind": "text"}, "assignment": {"to": {"type": "teams"}}},
    ),
    (
        "note.created",
        {"note": {"text": "a"}, "message": {"id": "7", "kind": "text"}},
        {"note": {"text": "a"}, "message": {"kind": "text", "text": "a"}},
    ),
    ("labels.added", {"labels": [{"id": "1"}, {"name": "vip"}]}, {"labels": [{"colour": "red"}]}),
    ("labels.removed", {"labels": [{"id": "1", "name": "vip"}]}, {"labels": [{"name": ""}]}),
    ("conversation.joined", {"member": {"type": "agent"}}, {"member": {"id": "5"}}),
    ("conversation.created", {"channel": {"type": "appKakao"}}, {"channel": {"type": 5}}),
    ("contact.updated", {"channel": {"id": "1", "type": "a"}}, {"channel": {}}),
]


@for_each_row(("event_type", "data", "other"), CONTRACT)
def test_the_schemas_tell_what_the_contract_allows(
    event_type: str, data: dict[str, Any], other: dict[str, Any]
) -> None:
    (document,) = documents("swiftsell", vendors.samples("swiftsell")[1].read_bytes())
    document |= {"type": event_type}

    VALIDATORS[event_type].validate(document | {"data": data | {"raw": {}}})
    if other:
        with pytest.raises(ValidationError):
            VALIDATORS[event_type].validate(document | {"data": other | {"raw": {}}})


def test_a_type_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="there is no event type message"):
        schemas.schema("message")
