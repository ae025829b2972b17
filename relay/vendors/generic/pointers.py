"""JSON pointers into a body: what they find, and where in the text it stands. Pure.

A step `*` stands for every element of an array.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from relay.events.json_pointers import EVERY, Steps

_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_SPACE = re.compile(r"[ \t\n\r]*")
_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str)  # only the positions are of interest


def find(value: Any, steps: Steps) -> Any:
    """Return what is at the end of the steps, or None."""
    for step in steps:
        if type(value) is dict:
            value = value.get(step)
        elif type(value) is list and _INDEX.fullmatch(step):
            index = int(step)
            value = value[index] if index < len(value) else None
        else:
            return None
    return value


def find_all(value: Any, steps: Steps) -> list[Any]:
    """Return all that the steps lead to; None for each way that ends before."""
    if EVERY not in steps:
        return [find(value, steps)]
    at = steps.index(EVERY)
    elements = find(value, steps[:at])
    if type(elements) is not list:
        return [None]
    return [found for element in elements for found in find_all(element, steps[at + 1 :])]


def spans(text: str, steps: Steps, start: int = 0) -> Iterator[tuple[int, int]]:
    """Yield where the values are that the steps lead to, in a text that is JSON.

    Of members with the same name, each counts: any may be what a parser takes.
    """
    start = _skip(text, start)
    if not steps:
        yield start, _SCANNER.raw_decode(text, start)[1]
        return
    step, rest = steps[0], steps[1:]
    match text[start]:
        case "{":
            for name, position in _members(text, start):
                if name == step:
                    yield from spans(text, rest, position)
        case "[":
            for index, position in enumerate(_elements(text, start)):
                if step in (EVERY, str(index)):
                    yield from spans(text, rest, position)


def _members(text: str, start: int) -> Iterator[tuple[str, int]]:
    position = _skip(text, start + 1)
    while text[position] != "}":
        name, position = _SCANNER.raw_decode(text, position)
        value_at = _skip(text, text.index(":", position) + 1)
        yield name, value_at
        position = _next(text, _SCANNER.raw_decode(text, value_at)[1])


def _elements(text: str, start: int) -> Iterator[int]:
    position = _skip(text, start + 1)
    while text[position] != "]":
        yield position
        position = _next(text, _SCANNER.raw_decode(text, position)[1])


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _next(text: str, position: int) -> int:
    position = _skip(text, position)
    return _skip(text, position + 1) if text[position] == "," else position
