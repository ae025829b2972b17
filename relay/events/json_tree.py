"""JSON whose text may change in places, and stays equal in all others. Pure.

Numbers keep their digits, and objects all their members: the same name may stand twice in them.
"""

import json
from collections.abc import Callable
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

_CONSTANTS = {None: "null", True: "true", False: "false"}


class Literal(str):
    """A number as it is written, or a word such as NaN that some take for one."""

    __slots__ = ()


class Members(list[tuple[str, Any]]):
    """The members of an object, in order."""

    __slots__ = ()


def parse(text: bytes) -> Any:
    """Parse JSON into str, Literal, bool, None, list and Members.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply, beyond some 900 levels.
    """
    return json.loads(
        text,
        object_pairs_hook=Members,
        parse_int=Literal,
        parse_float=Literal,
        parse_constant=Literal,
    )


def dump(tree: Any) -> bytes:
    """Return the text of what `parse` returned.

    Raises:
        RecursionError: as `parse`.
    """
    try:
        return _text(tree, encode_basestring).encode()
    except UnicodeEncodeError:  # a lone surrogate can only be escaped
        return _text(tree, encode_basestring_ascii).encode()


def _text(tree: Any, quote: Callable[[str], str]) -> str:
    parts: list[str] = []
    _append(parts, tree, quote)
    return "".join(parts)


def _append(parts: list[str], tree: Any, quote: Callable[[str], str]) -> None:
    match tree:
        case Literal():
            parts.append(tree)
        case str():
            parts.append(quote(tree))
        case Members():
            mark = "{"
            for name, value in tree:
                parts += (mark, quote(name), ":")
                _append(parts, value, quote)
                mark = ","
            parts.append("}" if tree else "{}")
        case list():
            mark = "["
            for element in tree:
                parts.append(mark)
                _append(parts, element, quote)
                mark = ","
            parts.append("]" if tree else "[]")
        case _:
            parts.append(_CONSTANTS[tree])
