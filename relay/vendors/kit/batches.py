"""Deliveries of several events, some of which are not understood: each is read by itself. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any, NamedTuple

import orjson

from relay.errors import Malformed
from relay.events.event import MAX_EVENTS, NormalizedEvent, NotUnderstood
from relay.events.quarantine import VENDOR_ERROR
from relay.vendors.kit import raw_json
from relay.vendors.kit.fields import mapping

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|%b)*+[\[\]{}]' % _STRING, re.DOTALL)
_TO_STRUCTURE = re.compile(rb'[^",\[\]{}]*+')
_WHOLE_STRING = re.compile(_STRING, re.DOTALL)


class Element(NamedTuple):
    """One of the elements of a delivery.

    Args:
        value: parsed.
        raw: its bytes, repaired where need be.
        sent: its bytes before that.
    """

    value: Any
    raw: bytes
    sent: bytes


def read_element(text: bytes) -> Element | NotUnderstood:
    """Parse an element by itself."""
    repaired = raw_json.repair(text)
    try:
        value = raw_json.parse(repaired)
    except Malformed as error:
        return NotUnderstood(reason=error.reason, raw=text)
    return Element(value, repaired, text)


def understand_each(
    elements: Iterable[Element | NotUnderstood], understand: Callable[[Any, bytes], NormalizedEvent]
) -> list[NormalizedEvent | NotUnderstood]:
    """Return what each element is.

    Args:
        elements: of one delivery, in order.
        understand: returns the event of a value and its bytes, or raises Malformed. Whatever else
            it raises is a bug, and of that element alone.

    Raises:
        Malformed: none is understood; with the reason of the first. If that is a bug, it is raised.
    """
    found = [_understood(element, understand) for element in elements]
    others = [element for element in found if isinstance(element, NotUnderstood)]
    if others and len(others) == len(found):
        raise others[0].error or Malformed(others[0].reason)
    return found


def _understood(
    element: Element | NotUnderstood, understand: Callable[[Any, bytes], NormalizedEvent]
) -> NormalizedEvent | NotUnderstood:
    if isinstance(element, NotUnderstood):
        return element
    try:
        event = understand(element.value, element.raw)
    except Malformed as error:
        return NotUnderstood(reason=error.reason, raw=element.sent)
    except Exception as error:  # noqa: BLE001  a bug must not cost the other elements
        return NotUnderstood(reason=VENDOR_ERROR, raw=element.sent, error=error)
    return event if element.raw == element.sent else event._replace(is_repaired=True)


def read_batch(body: bytes, name: str) -> tuple[Mapping[str, Any], Sequence[bytes]]:
    """Read a JSON object whose array `name` has elements that may be no JSON.

    Returns:
        The object with a 0 in the place of each of these elements, and the elements as sent. They
        mean nothing unless that is what the object has by that name.

    Raises:
        Malformed: `not_json` or `too_deep`, leaving the elements aside; `too_many_events`.
    """
    rest, elements = split_arrays(body, array_begin(name))
    document = mapping(raw_json.parse(raw_json.repair(rest)))
    if document.get(name) and document[name] != [0] * len(elements):
        # Others are in an array of that name elsewhere. To look for the outermost takes longer.
        rest, outermost = split_batch(body, {name})
        return mapping(raw_json.parse(raw_json.repair(rest))), outermost
    return document, elements


def split_batch(
    body: bytes, *path: AbstractSet[str], limit: int = MAX_EVENTS
) -> tuple[bytes, Sequence[bytes]]:
    """Cut a JSON object that has an array whose elements may be no JSON.

    Only strings and brackets are looked at, so an element may hold NaN, a line break in a string
    or whatever else is not allowed.

    Args:
        body: the object.
        path: what the member may be called that is the array, or, one after the other, the objects
            that lead to it.
        limit: how many elements are cut at most.

    Returns:
        The body with a 0 in the place of each element, to be parsed by the caller, and the
        elements as sent. If the body is no such object, they mean nothing, nor is the first JSON.

    Raises:
        Malformed: `too_many_events`.
    """
    names, *inner = path
    if inner:
        spans = list(_spans(body, names, b"{"))
        begin, stop = (spans[0][0] - 1, spans[-1][1] + 1) if spans else (0, 0)
        rest, found = split_batch(body[begin:stop], *inner, limit=limit)
        return b"".join([body[:begin], rest, body[stop:]]), found
    parts: list[bytes] = []
    elements: list[bytes] = []
    end = 0
    for start, stop in _spans(body, names, b"["):
        element = body[start:stop].strip(raw_json.WHITE_SPACE)
        parts += [body[end:start], b"0" if element else b""]
        end = stop
        if element:
            if len(elements) == limit:
                raise Malformed("too_many_events")
            elements.append(element)
    return b"".join([*parts, body[end:]]), elements


def split_arrays(body: bytes, begin: re.Pattern[bytes]) -> tuple[bytes, list[bytes]]:
    """Cut the elements out of arrays, wherever in a JSON text they are.

    Only strings and brackets are looked at, so an element may hold whatever is not allowed.

    Args:
        body: the text.
        begin: matches the name of such an array up to its bracket; see `array_begin`. One within
            an element is not looked for.

    Returns:
        The body with a 0 in the place of each element, to be parsed by the caller, and the
        elements as sent. The caller checks by it that the arrays are where they should be.

    Raises:
        Malformed: `too_many_events`.
    """
    parts: list[bytes] = []
    elements: list[bytes] = []
    position = 0
    while match := begin.search(body, position):
        start = match.end()
        parts.append(body[position:start])
        position = start
        while element := body[start : (end := _element_end(body, start))].strip(
            raw_json.WHITE_SPACE
        ):
            if len(elements) == MAX_EVENTS:
                raise Malformed("too_many_events")
            elements.append(element)
            parts.append(b"0" if start == match.end() else b",0")
            position = end
            if body[end : end + 1] != b",":
                break
            start = end + 1
    parts.append(body[position:])
    return b"".join(parts), elements


@cache
def array_begin(*names: str) -> re.Pattern[bytes]:
    """Return what finds the beginning of an array with one of these names."""
    return re.compile(rb'"(?:%b)"[ \t\n\r]*:[ \t\n\r]*\[' % "|".join(names).encode())


def _element_end(body: bytes, start: int) -> int:
    """Return where the array's element that begins at start ends: at a comma or a bracket."""
    depth, position = 0, start
    while True:
        if depth:
            match = _TO_BRACKET.match(body, position)
            if not match:
                return len(body)
            position = match.end()
            depth += 1 if body[position - 1] in b"[{" else -1
        else:
            # Two patterns: as one they go wrong behind a string without end, before Python 3.11.5
            # (https://github.com/python/cpython/issues/106052).
            position = _TO_STRUCTURE.match(body, position).end()  # type: ignore[union-attr]
            if body[position : position + 1] in (b"[", b"{"):
                depth, position = 1, position + 1
            elif string := _WHOLE_STRING.match(body, position):
                position = string.end()
            else:
                return position


def _spans(body: bytes, names: AbstractSet[str], bracket: bytes) -> Iterator[tuple[int, int]]:
    """Yield what is between commas in the outermost object's arrays, or objects, of these names."""
    outside, top, inside = range(3)
    depth, start, is_inside, last_string = outside, 0, False, b""
    for match in _TOKEN.finditer(body):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth == inside and token == bracket and _is_any(last_string, names):
                is_inside, start = True, match.end()
        elif token in b"]}":
            if is_inside and depth == inside:
                yield start, match.start()
                is_inside = False
            depth -= 1
        elif token != b",":
            if depth == top:
                last_string = token
        elif is_inside and depth == inside:
            yield start, match.start()
            start = match.end()


def _is_any(string: bytes, names: AbstractSet[str]) -> bool:
    try:
        return bool(orjson.loads(string) in names)
    except orjson.JSONDecodeError:
        return False
