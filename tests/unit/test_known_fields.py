"""What samples and declarations say that a vendor sends."""

import ast
import json
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

import pytest

from relay import vendors
from relay.errors import Malformed
from relay.events.event import NormalizedEvent
from relay.vendors.kit.known_fields import KnownFields
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

VENDORS = vendors.discover()
SAMPLES = [(name, sample) for name in VENDORS for sample in vendors.samples(name)]
READS_REQUEST = {"request.headers", "headers"}
NOT_OF_ELEMENTS = {
    *("events", "token", "actor"),
    # What stands around the elements of a delivery.
    *("destination", "app", "object", "entry", "metadata", "phone_number_id"),
    *("contacts", "wa_id", "user_id", "profile"),
}


def known_fields(name: str) -> KnownFields:
    found = vendors.known_fields(name, VENDORS[name])
    assert found
    return found


KNOWN = {name: known_fields(name) for name in VENDORS}


def elements_of(name: str, body: bytes) -> list[object]:
    try:
        found = VENDORS[name].normalize(Request(body=body))
    except Malformed:
        return []
    return [json.loads(event.raw) for event in found if isinstance(event, NormalizedEvent)]


def objects_in(value: object, pointer: str = "") -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each object below value, with its place."""
    members: list[tuple[str, object]] = []
    if isinstance(value, dict):
        yield pointer, value
        members = [(f"{pointer}/{name}", member) for name, member in value.items()]
    elif isinstance(value, list):
        members = [(f"{pointer}/*", element) for element in value]
    for place, member in members:
        yield from objects_in(member, place)


@for_each(sample=SAMPLES)
def test_a_sample_has_no_unknown_field(sample: tuple[str, Traversable]) -> None:
    name, file = sample

    for element in elements_of(name, file.read_bytes()):
        assert KNOWN[name].unknown_in(element) == []


@for_each(sample=SAMPLES)
def test_one_field_more_is_unknown_wherever_it_stands(sample: tuple[str, Traversable]) -> None:
    name, file = sample

    for element in elements_of(name, file.read_bytes()):
        for place, members in objects_in(element):
            members["brand_new"] = {"secret": 1}

            found = [field.path for field in KNOWN[name].unknown_in(element)]

            assert found in ([f"{place}/brand_new"], []), place
            assert found or is_open(name, place)
            del members["brand_new"]


def is_open(name: str, place: str) -> bool:
    """Return whether the vendor says that names are data there, or above."""
    open_places = [p.removesuffix("/*") for p in VENDORS[name].FIELDS if p.endswith("/*")]
    return any(f"{place}/".startswith(f"{each}/") for each in open_places)


MAPS = [
    ("swiftsell", "/event/payload/variables"),
    ("supporthunt", "/event/payload/message/payload/variables"),
    ("acquire", "/data/contact/fields"),
    ("acquire", "/users/visitor/custom_fields"),
    ("channeltalk", "/refers/user/profile"),
    ("channeltalk", "/entity/profile"),
]


@for_each_row(("name", "place"), MAPS)
def test_names_that_customers_choose_are_never_unknown(name: str, place: str) -> None:
    element: object = {f"custom {number}": {"deep": [{"er": 1}]} for number in range(1000)}
    for step in reversed(place.split("/")[1:]):
        element = {step: element}

    assert KNOWN[name].unknown_in(element) == []


def names_read(path: Path) -> Iterator[str]:
    """Yield the names of fields that a vendor's code asks for: `value.get("name")`."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="get", value=of), args=[ast.Constant(value=str(name)), *_]
            ) if ast.unparse(of) not in READS_REQUEST:
                yield name
            case ast.Call(func=ast.Name(id="identifier_in"), args=[_, ast.Constant(value=str(n))]):
                yield n


def modules_of(name: str) -> list[Path]:
    """Return the files with a vendor's code: its own, and those that say so by their name."""
    # By their names: compiled, neither a module nor a function knows where its source is.
    module, code = (
        Path(*dotted.split(".")).with_suffix(".py")
        for dotted in (VENDORS[name].__name__, VENDORS[name].normalize.__module__)
    )
    return [module, code, *(module.parent / "parts").glob(f"{code.stem}*.py")]


@pytest.mark.parametrize("name", VENDORS)
def test_what_the_code_reads_is_known(name: str) -> None:
    read = {field for path in modules_of(name) for field in names_read(path)}

    assert read
    assert read - KNOWN[name].names() - NOT_OF_ELEMENTS == set(), (
        f"FIELDS of {name} should have them"
    )


def person(place: str) -> dict[str, object]:
    return {place: {"type": "team", "id": "31", "name": "Billing", "email": "b@e.example"}}


ELEMENTS: list[tuple[str, dict[str, object]]] = [
    ("swiftsell", {"event": {"payload": person("to") | person("from") | person("changed_by")}}),
    ("supporthunt", {"event": {"payload": person("assigned_to_user") | person("note_by")}}),
    ("swiftsell", {"event": {"payload": person("opened_by") | person("action_performed_by")}}),
    ("channeltalk", {"entity": {"log": {"action": "a", "values": ["b"], "triggerType": "c"}}}),
    ("channeltalk", {"entity": {"chatKey": "group-7", "mainKey": "group-7", "options": ["a"]}}),
    ("channeltalk", {"entity": {"blocks": [{"blocks": [{"blocks": [], "value": "a"}]}]}}),
    ("pickyassist", {"location": {"lat": 1.5, "long": 2.5, "name": "a", "address": "b"}}),
    ("pickyassist", {"contact": {"first_name": "A", "phone": "+91", "phone_type": "Mobile"}}),
    ("pickyassist", {"contact": [{"first_name": "A", "last_name": "B"}], "messenger_id": 7}),
]


@for_each_row(("name", "element"), ELEMENTS)
def test_what_the_code_reads_is_known_at_each_place_where_it_may_be(
    name: str, element: dict[str, object]
) -> None:
    assert KNOWN[name].unknown_in(element) == []


def test_of_a_vendor_without_samples_nothing_is_unknown() -> None:
    assert vendors.known_fields("nobody", VENDORS["acquire"]) is None
