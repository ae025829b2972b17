"""Which fields a vendor's elements are known to have, and which of an element are not. Pure."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from relay.errors import Malformed
from relay.events.json_pointers import EVERY, parse_pointer
from relay.vendors.kit import raw_json

MAX_UNKNOWN = 200
"""Names returned of one element. A sender may make up any number."""
MAX_UNKNOWN_PER_OBJECT = 50
MAX_NAME_CHARACTERS = 64
_COMPOUND = {dict, list}


class UnknownField(NamedTuple):
    """A field that nobody knows.

    Args:
        place: JSON pointer to the object it is in; `*` is any element of an array.
        name: its name as sent, cut to MAX_NAME_CHARACTERS. It may hold anything.
    """

    place: str
    name: str

    @property
    def path(self) -> str:
        """The JSON pointer to it."""
        return f"{self.place}/{escaped(self.name)}"


_Found = dict[UnknownField, None]  # in order, each once


class _KnownPlace:
    """What may stand at one place: the fields of an object there, the elements of an array."""

    __slots__ = ("elements", "fields", "is_open", "pointer")

    def __init__(self, pointer: str) -> None:
        self.pointer = pointer
        self.fields: dict[str, _KnownPlace] = {}
        self.elements: _KnownPlace | None = None
        self.is_open = False

    def field(self, name: str) -> "_KnownPlace":
        if name not in self.fields:
            self.fields[name] = _KnownPlace(f"{self.pointer}/{escaped(name)}")
        return self.fields[name]

    def element(self) -> "_KnownPlace":
        if self.elements is None:
            self.elements = _KnownPlace(f"{self.pointer}/{EVERY}")
        return self.elements


class KnownFields:
    """The fields that elements of a vendor are known to have, each at its place."""

    def __init__(self) -> None:
        self._root = _KnownPlace("")

    def learn(self, element: object) -> None:
        """Add what an element has: all that is in it counts as known."""
        _learn(element, self._root)

    def declare(self, pointer: str) -> None:
        """Add the field at a JSON pointer.

        `*` as its last step means that the names in this object are data, such as a customer's own
        attributes: none of them, nor what is below them, is ever unknown. Before that, `*` is any
        element of an array.

        Raises:
            ValueError: it is no JSON pointer.
        """
        *steps, last = parse_pointer(pointer)
        place = self._root
        for step in steps:
            place = place.element() if step == EVERY else place.field(step)
        if last == EVERY:
            place.is_open = True
        else:
            place.field(last)

    def names(self) -> set[str]:
        """Return all names, whatever their place."""
        return set(_names(self._root))

    def unknown_in(self, element: object) -> list[UnknownField]:
        """Return the fields of an element that are not known, at most MAX_UNKNOWN, each once.

        What is below an unknown field is not looked at.
        """
        found: _Found = {}
        _look(element, self._root, found)
        return list(found)


def escaped(name: str) -> str:
    """Return a name as a step of a JSON pointer (RFC 6901, 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def _names(place: _KnownPlace) -> Iterator[str]:
    yield from place.fields
    for below in (*place.fields.values(), *filter(None, [place.elements])):
        yield from _names(below)


def _learn(value: Any, place: _KnownPlace) -> None:
    kind = type(value)
    if kind is str:
        value = _unpacked(value)
        kind = type(value)
    if kind is dict:
        for name, member in value.items():
            _learn(member, place.field(name))
    elif kind is list:
        for element in value:
            _learn(element, place.element())


def _look(value: Any, place: _KnownPlace, found: _Found) -> None:
    kind = type(value)
    if kind is dict:
        if not place.is_open:
            _look_into(value, place, found)
    elif kind is list:
        elements = place.elements or _KnownPlace(f"{place.pointer}/{EVERY}")
        for element in value:
            if type(element) in _COMPOUND:
                _look(element, elements, found)
    elif kind is str and place.fields:
        _look(_unpacked(value), place, found)


def _look_into(members: dict[str, Any], place: _KnownPlace, found: _Found) -> None:
    fields, unknown = place.fields, 0
    for name, value in members.items():
        known = fields.get(name)
        if known is None:
            if unknown < MAX_UNKNOWN_PER_OBJECT and len(found) < MAX_UNKNOWN:
                found[UnknownField(place.pointer, name[:MAX_NAME_CHARACTERS])] = None
            unknown += 1
        elif type(value) in _COMPOUND or (known.fields and type(value) is str):
            _look(value, known, found)


def _unpacked(text: str) -> object:
    """Return the object that came as JSON in a string, as some vendors send it; else None."""
    if not text.startswith("{"):
        return None
    try:
        value: object = raw_json.parse(raw_json.repair(text.encode()))
    except Malformed:
        return None
    return value
