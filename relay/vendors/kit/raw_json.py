"""JSON text: parsing it strictly, and cutting it without changing a byte. Pure.

An event's `raw` is a slice of what the vendor sent, never a re-serialization, so big integers,
duplicate keys, escapes and white space survive. orjson judges what is JSON (RFC 8259; it refuses
NaN, lone surrogates and numbers that overflow); the standard library's scanner, which tells where
a value ends, does the cutting.
"""

import codecs
import json
import re
from typing import Any

import orjson

from relay.errors import Malformed

MAX_DEPTH = 200
"""Nesting allowed in a delivery. Parsers of consumers give up from 256 (some C++) or 1,000 up."""

MAX_MEMBERS = 1_000
"""Members of an object that is cut: each costs 5 µs. Those of the vendors have fewer than ten."""

WHITE_SPACE = b" \t\n\r"
_PARSER_DEPTH = 1024  # orjson's own limit
_SPACE = re.compile(r"[ \t\n\r]*")
_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str)  # only the positions are of interest


def parse(text: bytes) -> Any:
    """Parse a JSON text.

    Raises:
        Malformed: `not_json`, or `too_deep` beyond MAX_DEPTH.
    """
    is_flat = text.count(b"[") + text.count(b"{") <= MAX_DEPTH
    is_within = is_flat or _parses_deeper(text)  # first, so that only one value is held at a time
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Malformed("not_json") from error
    if not is_within:
        raise Malformed("too_deep")
    return value


def _parses_deeper(text: bytes) -> bool:
    """Tell whether text is JSON that leaves the parser as much depth as is not allowed here."""
    padding = _PARSER_DEPTH - MAX_DEPTH
    try:
        orjson.loads(b"[" * padding + text + b"]" * padding)
    except orjson.JSONDecodeError:
        return False
    return True


def strip_bom(body: bytes) -> bytes:
    """Return the body without a byte order mark in front and white space around (RFC 8259, 2)."""
    return body.removeprefix(codecs.BOM_UTF8).strip(WHITE_SPACE)


def split_object(text: str) -> list[tuple[str, str]]:
    """Cut the text of a valid JSON object into (name, text of the value), duplicates included.

    Raises:
        Malformed: `too_many_members`, beyond MAX_MEMBERS.
    """
    found: list[tuple[str, str]] = []
    position = _skip(text, text.index("{") + 1)
    while text[position] != "}":
        if len(found) == MAX_MEMBERS:
            raise Malformed("too_many_members")
        name, position = _SCANNER.raw_decode(text, position)
        start = _skip(text, text.index(":", position) + 1)
        position = _SCANNER.raw_decode(text, start)[1]
        found.append((name, text[start:position]))
        position = _next(text, position)
    return found


def split_array(text: str) -> list[str]:
    """Cut the text of a valid JSON array into the texts of its elements."""
    found = []
    position = _skip(text, text.index("[") + 1)
    while text[position] != "]":
        start = position
        position = _SCANNER.raw_decode(text, start)[1]
        found.append(text[start:position])
        position = _next(text, position)
    return found


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _next(text: str, position: int) -> int:
    position = _skip(text, position)
    return _skip(text, position + 1) if text[position] == "," else position
