"""What a reader may see of an event: its structure, but neither names nor texts. Pure.

A value is masked by the name of its member, wherever it stands. Numbers of more than four digits
are masked in texts, too, since a phone number may be an id.
"""

import re
from collections.abc import Mapping
from typing import Any

MASK = "▒▒▒"
_MAX_LEVELS = 100

_OPEN = re.compile(
    r"(?:.*_)?(?:type|kind|status|mode|event|action|specversion|time|recordedtime|created_at"
    r"|datacontenttype|vendor|vendortype|source|size_bytes|mime_type|version|reason|channel"
    r"|id|partitionkey|subject|options|through)",
    re.IGNORECASE,
)
"""Members whose values are words of a protocol, ids or times. All others are masked."""
_PERSONAL = re.compile(r"e-?mail|phone|mobile|name|text|url|address|token|secret", re.IGNORECASE)
_HARMLESS = re.compile(r"[\w./:+|-]{0,120}")
_PHONE = re.compile(r"\+?\d[\d ()-]{6,16}")


def masked(value: Any, name: str = "", level: int = 0) -> Any:
    """Return a JSON value with everything masked that may be personal."""
    if level > _MAX_LEVELS:
        return MASK
    match value:
        case Mapping():
            return {key: masked(member, str(key), level + 1) for key, member in value.items()}
        case list():
            return [masked(element, name, level + 1) for element in value]
        case None | bool():
            return value
        case _:
            return value if _is_open(name, str(value)) else MASK


def _is_open(name: str, text: str) -> bool:
    if not _OPEN.fullmatch(name) or _PERSONAL.search(name):
        return False
    return bool(_HARMLESS.fullmatch(text)) and not _PHONE.fullmatch(text)
