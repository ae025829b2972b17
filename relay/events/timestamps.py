"""Converts notations of time into RFC 3339 UTC. Pure: the clock comes in as a value."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_CHARACTERS = 40  # no vendor's notation is longer


def rfc3339(moment: datetime) -> str:
    """Write an aware datetime in UTC, as in 2023-09-01T14:13:45.503552Z."""
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def from_clock(seconds: float) -> str:
    """Write what time.time() returned, always with microseconds: 2023-09-01T14:13:45.503552Z."""
    micros = round(seconds * 1_000_000)
    return f"{_whole_second(micros // 1_000_000)}.{micros % 1_000_000:06d}Z"


@lru_cache(maxsize=4)  # nearly always the same second as the delivery before
def _whole_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def from_utc_text(value: object) -> str | None:
    """Read a timestamp that is UTC unless it carries an offset; None if it is no timestamp."""
    if type(value) is not str or len(value) > _MAX_CHARACTERS:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return rfc3339(moment) if moment.tzinfo else moment.isoformat() + "Z"
    except (ValueError, OverflowError):
        return None


def from_epoch_s(value: object) -> str | None:
    """Read seconds since 1970, a whole number or a string of digits; None if it is neither."""
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= _MAX_CHARACTERS:
        value = int(value)
    return _since_epoch(seconds=value) if type(value) is int else None


def from_epoch_ms(value: object) -> str | None:
    """Read milliseconds since 1970, a whole number; None if it is anything else."""
    return _since_epoch(milliseconds=value) if type(value) is int else None


def _since_epoch(**elapsed: int) -> str | None:
    try:
        return rfc3339(_EPOCH + timedelta(**elapsed))
    except OverflowError:
        return None
