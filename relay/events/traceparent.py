"""The trace that a request belongs to (https://www.w3.org/TR/trace-context/). Pure."""

import re
from collections.abc import Mapping

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


def traceparent_of(headers: Mapping[str, str]) -> str | None:
    """Return a well-formed `traceparent`, or None."""
    value = headers.get("traceparent")
    return value if value and _TRACEPARENT.fullmatch(value) else None
