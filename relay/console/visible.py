"""Text from strangers, as a page may show it: what is invisible is made visible."""

import json
import unicodedata
from typing import Any

MAX_SHOWN_CHARACTERS = 262_144
"""Of one text on a page; the rest is a download."""
_KEPT = "\n\t"
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
"""Controls, formats (bidirectional overrides, zero widths), surrogates, line separators."""


def visible(text: str) -> str:
    r"""Return text with its control, bidi and other invisible characters as `\\u` escapes.

    They could hide what is written, or turn its order around (Unicode TR 36, 2.1 and 3.1).
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join([_shown(c) for c in text])


def _shown(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _INVISIBLE:
        return character
    return json.dumps(character)[1:-1]


def cut(text: str, max_characters: int = MAX_SHOWN_CHARACTERS) -> tuple[str, int]:
    """Return the beginning of a text, made visible, and how many characters were cut off."""
    return visible(text[:max_characters]), max(0, len(text) - max_characters)


def pretty(document: Any) -> str:
    """Return a JSON value as text on many lines."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def body_text(body: bytes) -> str:
    """Return a body as text: indented if it is JSON, bytes that are no UTF-8 as escapes."""
    try:
        return pretty(json.loads(body))
    except (ValueError, RecursionError):
        return body.decode(errors="backslashreplace")
