"""Text with markup, as text for a person. Pure.

Time is linear in the text's length, whoever wrote it: a tag ends before the next `<`.
"""

import html
import re

# A `<` followed by anything but a name is no tag, nor are words after it that give no attribute a
# value: `1 < 2`, `<3`, `if a <b and c> d`. A quoted value may hold a `>`.
_TAG = re.compile(
    r"""</?[A-Za-z][A-Za-z0-9-]*+(?:"""
    r"""\s(?=[^<>=]*+=)(?:(?:[^<>"']|(?<==)"[^<"]*+"|(?<==)'[^<']*+')*+>|[^<>]*+>)"""
    r"""|\s*+/?>)"""
)
# With its semicolon: `?a=1&copy=2` has none.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def without_markup(text: str) -> str:
    """Return text without tags, its entities decoded; `&lt;b&gt;` is the text `<b>`, no tag."""
    if "<" in text:
        text = _TAG.sub("", text)
    if "&" in text:
        text = _ENTITY.sub(_decoded, text)
    return text


def _decoded(entity: re.Match[str]) -> str:
    return html.unescape(entity[0])
