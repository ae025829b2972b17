"""The header `Retry-After` (RFC 9110, 10.2.3). Pure."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,10}")
_MAX_CHARACTERS = 64
_MIN_WAIT_S = 1.0  # whoever says 0 does not mean a hundred requests a second


def wait_s(retry_after: str | None, *, now: float) -> float | None:
    """Return how long the header says to wait, at least 1 s; None if it does not say.

    Args:
        retry_after: the header: seconds or a date.
        now: seconds since 1970.
    """
    if retry_after is None or len(retry_after) > _MAX_CHARACTERS:
        return None
    if _SECONDS.fullmatch(retry_after):
        return max(_MIN_WAIT_S, float(retry_after))
    try:
        date = parsedate_to_datetime(retry_after)
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(_MIN_WAIT_S, aware.timestamp() - now)
    except (ValueError, OverflowError):
        return None
