"""The JSON Schemas against what the relay writes, and what it writes against them."""

import copy
import itertools
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError

from relay import vendors
from relay.errors import Malformed
from relay.events import schemas
from relay.events.envelope import encode_events
from relay.events.event import TYPES
from relay.events.message import Message, Origin
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row
from tests.unit.vendors.test_vendor_properties import bodies

VENDORS = vendors.discover()
VALIDATORS = {
    name: Draft202012Validator(
        schemas.schema(name), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    for name in TYPES
}
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


def messages(name: str, body: bytes) -> list[Message]:
    try:
        events = VENDORS[name].normalize(Request(body=body))
        return encode_events(
            events, origin=Origin(vendor=name, source="acme"), received_at=1.5, delivery_id="d1"
        )
    except Malformed:
        return []


def documents(name: str, body: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(message.body) for message in messages(name, body)]


SAMPLES = [(name, sample) for name in VENDORS for sample in vendors.samples(name)]


def undocumented(document: dict[str, Any]) -> Iterator[str]:
    """Yield the members of an event's data that its schema does not name."""
    schema = schemas.schema(document["type"])
    own = schema["properties"].get("data", {}).get("properties", {})
    common = schema["$defs"]["data"]["properties"]
    yield from document["data"].keys() - own.keys() - common.keys()


def test_every_type_has_a_schema_that_is_one() -> None:
    assert set(schemas.titles()) == TYPES
    for name in TYPES:
        Draft202012Validator.check_schema(schemas.schema(name))
        Draft7Validator.check_schema(schemas.schema(name))


@for_each(sample=SAMPLES)
def test_every_samples_event_is_as_its_schema_says(sample: tuple[str, Traversable]) -> None:
    name, file = sample

    for document in documents(name, file.read_bytes()):
        VALIDATORS[document["type"]].validate(document)
        assert list(undocumented(document)) == []
        assert document["type"] in vendors.types(VENDORS[name])


@pytest.mark.parametrize("name", VENDORS)
@given(data=st.data())
def test_whatever_is_understood_is_as_its_schema_says(name: str, data: st.DataObject) -> None:
    for document in documents(name, data.draw(bodies(name))):
        VALIDATORS[document["type"]].validate(document)
        assert list(undocumented(document)) == []
        assert document["type"] in vendors.types(VENDORS[name])


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
            VALIDATORS[found["type"]].validate(found)
            assert list(undocumented(found)) == []
            assert found["type"] in vendors.types(VENDORS[name])


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
