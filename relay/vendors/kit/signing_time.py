"""When a delivery was signed, as its sender says beside the signature. Pure."""

import re

from relay.errors import Unauthenticated

_NUMBER = re.compile(r"0|[1-9][0-9]{0,13}")


def read_signing_time(timestamp: str | None) -> int:
    """Return a time that is written as a number, without sign, space or leading zero.

    Args:
        timestamp: as it came, or None when the request carried none.

    Raises:
        Unauthenticated: it is missing, or not written so.
    """
    if timestamp is None:
        raise Unauthenticated("the time of the signature is missing", "timestamp_missing")
    if not _NUMBER.fullmatch(timestamp):
        raise Unauthenticated("the time of the signature is no number", "timestamp_malformed")
    return int(timestamp)


def require_recent(signed_at: float, now: float | None, tolerance_s: float) -> None:
    """Raise Unauthenticated if a signature is older than the tolerance, or newer.

    Args:
        signed_at: seconds since 1970; checked by the signature, or anyone could change it.
        now: see Request.received_at; None: it is not looked at.
        tolerance_s: seconds, both ways.
    """
    if now is None:
        return
    if signed_at < now - tolerance_s:
        raise Unauthenticated(f"signed over {tolerance_s} s ago", "too_old")
    if signed_at > now + tolerance_s:
        raise Unauthenticated(f"signed over {tolerance_s} s ahead of time", "too_new")
