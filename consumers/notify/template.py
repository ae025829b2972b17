"""Text with placeholders for an event's fields: `Missed: {contact.name} on {vendor}`. Pure.

A placeholder is a path and nothing else: no attributes, calls or formats. `{{` and `}}` are braces.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

from consumers.kit.event import Event, EventData
from consumers.notify.text import UNKNOWN, quoted

_ATTRIBUTES = (
    *("id", "source", "type", "vendor", "vendortype", "subject", "time", "recordedtime"),
    "partitionkey",
)
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")

_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template; each part is a text or the path to a field."""

    parts: tuple[str | _Path, ...]

    def render(self, event: Event) -> str:
        """Return the text for an event. A field that it does not have becomes a dash."""
        return "".join(
            [part if isinstance(part, str) else _shown(event, part) for part in self.parts]
        )


def parse(text: str) -> Template:
    """Parse a template.

    Raises:
        ValueError: a brace stands alone, or a path names no field of an event.
    """
    if not text.strip():
        raise ValueError("it says nothing")
    return Template(tuple(_parts(text)))


def _parts(text: str) -> Iterator[str | _Path]:
    end = 0
    for found in _BRACES.finditer(text):
        yield text[end : found.start()]
        end = found.end()
        match found[0]:
            case "{{" | "}}":
                yield found[0][0]
            case "{" | "}":
                raise ValueError(f"the {found[0]} at character {end} stands alone; write it twice")
            case _:
                yield _path(found[1])
    yield text[end:]


def _path(text: str) -> _Path:
    """Return the path to a field, after following it through the types of an event.

    Raises:
        ValueError: there is no such field.
    """
    path = tuple(text.removeprefix("data.").split("."))
    if text in _ATTRIBUTES:
        return path
    kind: Any = EventData
    for name in path:
        if is_typeddict(kind):
            fields = get_type_hints(kind)
            if name not in fields:
                names = ", ".join([*(_ATTRIBUTES if kind is EventData else ()), *fields])
                raise ValueError(f"{{{text}}} is no field: instead of {name!r} there are {names}")
            kind = fields[name]
        elif get_origin(kind) is list:
            if not name.isdecimal():
                raise ValueError(f"{{{text}}} is no field: {name!r} should be a number, from 0")
            (kind,) = get_args(kind)
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif kind is not Any:
            raise ValueError(f"{{{text}}} is no field: there is nothing below to name {name!r}")
    return path


def _shown(event: Event, path: _Path) -> str:
    match _found(event, path):
        case str(text):
            return quoted(text) or UNKNOWN
        case bool(flag):
            return "yes" if flag else "no"
        case int() | float() as number:
            return str(number)
    return UNKNOWN


def _found(event: Event, path: _Path) -> object:
    """Follow the path as far as it leads: other publishers may send anything."""
    if path[0] in _ATTRIBUTES:
        return getattr(event, path[0])
    value: object = event.data
    for name in path:
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value
