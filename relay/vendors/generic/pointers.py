"""JSON pointers into a body: what they find, and where in the text it stands. Pure.

A step `*` stands for every element of an array.
"""

from collections.abc import Iterator
from typing import Any

from relay.events.json_pointers import EVERY, Steps, find
from relay.vendors.kit import raw_json


def find_all(value: Any, steps: Steps) -> list[Any]:
    """Return all that the steps lead to; None for each way that ends before."""
    if EVERY not in steps:
        return [find(value, steps)]
    at = steps.index(EVERY)
    elements = find(value, steps[:at])
    if type(elements) is not list:
        return [None]
    return [found for element in elements for found in find_all(element, steps[at + 1 :])]


def spans(text: str, steps: Steps) -> Iterator[tuple[int, int]]:
    """Yield where the values are that the steps lead to, in a text that is JSON.

    Of members with the same name, each counts: any may be what a parser takes.

    Args:
        text: without white space around it.
        steps: from its outermost value.
    """
    return _spans_from(text, steps, 0, len(text))


def _spans_from(text: str, steps: Steps, start: int, end: int) -> Iterator[tuple[int, int]]:
    if not steps:
        yield start, end
        return
    step, rest = steps[0], steps[1:]
    match text[start]:
        case "{":
            for name, begin, stop in raw_json.members(text, start):
                if name == step:
                    yield from _spans_from(text, rest, begin, stop)
        case "[":
            for index, (begin, stop) in enumerate(raw_json.elements(text, start)):
                if step in (EVERY, str(index)):
                    yield from _spans_from(text, rest, begin, stop)
