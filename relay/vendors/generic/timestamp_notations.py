"""How senders write when they signed. Read strictly: no sign, space, exponent or overflow. Pure."""

import re
from datetime import UTC, datetime
from typing import Literal

Notation = Literal["unix", "unix_ms", "rfc3339"]
NOTATIONS: tuple[Notation, ...] = ("unix", "unix_ms", "rfc3339")

_UNIX = re.compile(r"0|[1-9][0-9]{0,10}")
_UNIX_MS = re.compile(r"0|[1-9][0-9]{0,13}")
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def read_timestamp(text: str, notation: Notation) -> float | None:
    """Return seconds since 1970, or None if text is not in this notation."""
    match notation:
        case "unix":
            return int(text) if _UNIX.fullmatch(text) else None
        case "unix_ms":
            return int(text) / 1000 if _UNIX_MS.fullmatch(text) else None
        case _:
            if not _RFC_3339.fullmatch(text):
                return None
            try:
                return datetime.fromisoformat(text).timestamp()
            except (ValueError, OverflowError):
                return None


def write_timestamp(seconds: float, notation: Notation) -> str:
    """Return seconds since 1970 as a sender writes them."""
    match notation:
        case "unix":
            return str(int(seconds))
        case "unix_ms":
            return str(int(seconds * 1000))
        case _:
            timestamp = datetime.fromtimestamp(int(seconds), UTC)
            return timestamp.isoformat().replace("+00:00", "Z")
