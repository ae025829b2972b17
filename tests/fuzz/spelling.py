"""What bytes may mean to whoever reads them: a second opinion on relay/events/redaction.py. Pure.

Decodes, where the code under test searches for spellings.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, unquote_plus


def readings(data: bytes) -> Iterator[str]:
    """Yield the text of data as it is, as a form, as a URL, and each string of it as JSON."""
    text = data.decode(errors="replace")
    yield from (text, unquote(text), unquote_plus(text))
    try:
        yield from _strings(json.loads(text.removeprefix("\ufeff")))
    except (ValueError, RecursionError):
        return


def holds(data: bytes, secret: str) -> bool:
    """Return whether a reading of data has the secret in it."""
    return any(secret in reading for reading in readings(data))


def exact(text: bytes) -> Any:
    """Read JSON so that equal results mean equal JSON, to the last digit and duplicate."""
    return json.loads(
        text,
        parse_int=_digits,
        parse_float=_digits,
        parse_constant=_digits,
        object_pairs_hook=tuple,
    )


def parts(node: Any) -> Iterator[Any]:
    """Yield all values within one that was read exactly, and that itself."""
    yield node
    if isinstance(node, tuple) and node and isinstance(node[0], tuple):
        node = [value for _, value in node]
    if isinstance(node, list):
        for value in node:
            yield from parts(value)


def _digits(digits: str) -> tuple[str, str]:
    return "number", digits


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, member in value.items():
                yield name
                yield from _strings(member)
        case list():
            for element in value:
                yield from _strings(element)
