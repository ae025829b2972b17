"""JSON text: parsing it strictly, and cutting it without changing a byte. Pure.

An event's `raw` is a slice of what the vendor sent, never a re-serialization: big integers,
duplicate keys, escapes and white space survive. orjson decides what is JSON (RFC 8259; it refuses
NaN, lone surrogates and numbers that overflow). The standard library's scanner does the cutting,
because it returns where a value ends.
"""

import codecs
import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import orjson

from relay.errors import Malformed

MAX_DEPTH = 200
"""Nesting allowed in a delivery. Consumers' parsers give up at 256 (some in C++) or at 1,000."""

MAX_MEMBERS = 1_000
"""Members allowed in an object that is cut: each costs 5 µs. Vendors send fewer than ten."""

WHITE_SPACE = b" \t\n\r"
_MAX_PARSER_DEPTH = 1024  # orjson's own limit
_MAY_HOLD_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair is no lone one
    rb"|(?P<escaped>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."  # any other escape, so that its second backslash begins none
    rb"|\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]"
    rb"|(?P<encoded>\xed[\xa0-\xbf][\x80-\xbf])",  # as UTF-8 would have it, if that were allowed
    re.DOTALL,
)
_SPACE = re.compile(r"[ \t\n\r]*")
_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str)  # only the positions are of interest


def parse(text: bytes) -> Any:
    """Parse a JSON text.

    Raises:
        Malformed: `not_json`, or `too_deep` beyond MAX_DEPTH.
    """
    is_flat = text.count(b"[") + text.count(b"{") <= MAX_DEPTH
    # Before the parse below, so that only one value is in memory at a time.
    is_within = is_flat or _is_within_max_depth(text)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Malformed("not_json") from error
    if not is_within:
        raise Malformed("too_deep")
    return value


def _is_within_max_depth(text: bytes) -> bool:
    """Return whether text is JSON that leaves the rest of the parser's depth unused."""
    padding = _MAX_PARSER_DEPTH - MAX_DEPTH
    try:
        orjson.loads(b"[" * padding + text + b"]" * padding)
    except orjson.JSONDecodeError:
        return False
    return True


def repair(text: bytes) -> bytes:
    """Return a JSON text with U+FFFD in the place of each lone surrogate, or text itself.

    JavaScript and others write half of a pair when they cut a string within an emoji. It is no
    character, and most parsers refuse it (RFC 8259, 8.2).
    """
    # Looking for a single byte costs a twentieth of looking for the pattern.
    if b"\\" not in text and b"\xed" not in text:
        return text
    if not _MAY_HOLD_SURROGATE.search(text):
        return text
    return _SURROGATE.sub(_replacement, text)


def _replacement(match: re.Match[bytes]) -> bytes:
    if match["escaped"]:
        return rb"\ufffd"
    return "\ufffd".encode() if match["encoded"] else match[0]


def strip_bom(body: bytes) -> bytes:
    """Return the body without a byte order mark and the white space around it (RFC 8259, 2)."""
    return body.removeprefix(codecs.BOM_UTF8).strip(WHITE_SPACE)


def split_object(text: str) -> list[tuple[str, str]]:
    """Cut the text of a valid JSON object into (name, text of the value), duplicates included.

    Raises:
        Malformed: `too_many_members`, beyond MAX_MEMBERS.
    """
    cut: list[tuple[str, str]] = []
    for name, start, end in members(text, text.index("{")):
        if len(cut) == MAX_MEMBERS:
            raise Malformed("too_many_members")
        cut.append((name, text[start:end]))
    return cut


def without_members(text: bytes, names: Collection[str]) -> bytes:
    """Return the text of a JSON object without the members of these names, duplicates included.

    It may hold NaN and lone surrogates. Every other member's value stays as it is.

    Raises:
        Malformed: `too_many_members`, beyond MAX_MEMBERS.
    """
    if not names:
        return text
    kept = [pair for pair in split_object(text.decode()) if pair[0] not in names]
    return f"{{{','.join(f'{_quoted(name)}:{value}' for name, value in kept)}}}".encode()


def _quoted(name: str) -> str:
    try:
        return orjson.dumps(name).decode()
    except TypeError:  # it has a lone surrogate
        return json.dumps(name)


def split_array(text: str) -> list[str]:
    """Cut the text of a valid JSON array into the texts of its elements."""
    return [text[start:end] for start, end in elements(text, text.index("["))]


def members(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each member of the object at start, and where its value begins and ends."""
    position = _skip(text, start + 1)
    while text[position] != "}":
        name, position = _SCANNER.raw_decode(text, position)
        begin = _skip(text, text.index(":", position) + 1)
        end = _SCANNER.raw_decode(text, begin)[1]
        yield name, begin, end
        position = _next(text, end)


def elements(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield where each element of the array at start begins and ends."""
    position = _skip(text, start + 1)
    while text[position] != "]":
        end = _SCANNER.raw_decode(text, position)[1]
        yield position, end
        position = _next(text, end)


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _next(text: str, position: int) -> int:
    position = _skip(text, position)
    return _skip(text, position + 1) if text[position] == "," else position
