"""A payload with other values, or with its times moved to now: what `relay send` posts. Pure."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from relay.errors import RelayError
from relay.events.event import NormalizedEvent
from relay.events.json_pointers import Steps, find, parse_pointer

_UNITS_PER_S = (1, 1_000, 1_000_000)
"""In which vendors count time: seconds, milliseconds, microseconds."""
_MAX_DIFFERENCE_S = 1
"""A vendor may write one moment twice, to the second and to the millisecond."""
_NUMBER = re.compile(r"[1-9][0-9]{8,15}(\.[0-9]{1,9})?")
_FRACTION = re.compile(r"[.,]([0-9]+)")
_NOTHING = object()


class Assignment(NamedTuple):
    """A value to put where a pointer leads."""

    pointer: str
    steps: Steps
    value: Any


def read_assignment(text: str) -> Assignment:
    """Read `/pointer=value`; the value is JSON, or else the text as it stands.

    Raises:
        ValueError: it is none.
    """
    pointer, equals, written = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not like /message/text=Hello")
    try:
        value = json.loads(written)
    except ValueError:
        value = written
    return Assignment(pointer, parse_pointer(pointer), value)


def assign(body: bytes, assignments: Sequence[Assignment]) -> bytes:
    """Return the body with other values; a member that an object lacks is added.

    Raises:
        RelayError: it is no JSON, or a pointer leads nowhere.
    """
    tree = _parsed(body)
    for pointer, steps, value in assignments:
        node = tree
        for step in steps[:-1]:
            node = _child(node, step, pointer)
        last = steps[-1]
        if isinstance(node, dict):
            node[last] = value
        elif isinstance(node, list) and last == "-":
            node.append(value)
        else:
            _child(node, last, pointer)
            node[int(last)] = value
    return _written(tree)


def _child(node: Any, step: str, pointer: str) -> Any:
    child = find(node, (step,), _NOTHING)
    if child is _NOTHING:
        raise RelayError(f"--set {pointer} leads nowhere: there is no {step!r} in this payload.")
    return child


def move_times(body: bytes, events: Sequence[NormalizedEvent], now: float) -> bytes | None:
    """Return the body as if its newest event happened now; None if no clock is known in it.

    The vendor's code says when the events happened. Whatever else in the body says the same moment,
    in whichever notation, is moved by as much.

    Args:
        body: JSON.
        events: what the vendor's code makes of it.
        now: seconds since 1970.
    """
    times = [datetime.fromisoformat(event.time).timestamp() for event in events if event.time]
    if not times:
        return None
    by_s = now - max(times)
    is_moved = False

    def moved(value: Any) -> Any:
        nonlocal is_moved
        later = _moved(value, times, by_s)
        is_moved = is_moved or later is not None
        return value if later is None else later

    tree = _mapped(_parsed(body), moved)
    return _written(tree) if is_moved else None


def _mapped(node: Any, change: Callable[[Any], Any]) -> Any:
    """Return a tree with each string and number changed."""
    if isinstance(node, dict):
        return {name: _mapped(child, change) for name, child in node.items()}
    if isinstance(node, list):
        return [_mapped(child, change) for child in node]
    return change(node)


def _moved(value: Any, times: Sequence[float], by_s: float) -> Any:
    """Return a value that says one of the times, moved and in its notation; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return _moved_text(value, times, by_s)
    number = float(value)
    for per_s in _UNITS_PER_S:
        if _is_one_of(number / per_s, times):
            later = number / per_s + by_s
            if isinstance(value, float):
                return later * per_s
            if isinstance(value, int):
                return int(later * per_s)
            digits = len(value.partition(".")[2])
            return f"{later * per_s:.{digits}f}" if digits else str(int(later * per_s))
    return None


def _moved_text(text: str, times: Sequence[float], by_s: float) -> str | None:
    """Return an ISO 8601 time, moved, with as many digits and the same offset; else None."""
    try:
        moment = datetime.fromisoformat(text.removesuffix(" UTC"))
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if len(text) < len("2026-01-01T00:00") or not _is_one_of(aware.timestamp(), times):
            return None
        later = moment + timedelta(seconds=by_s)
    except (ValueError, OverflowError):
        return None
    fraction = _FRACTION.search(text)
    written = later.replace(microsecond=0, tzinfo=None).isoformat(text[10])
    if fraction:
        digits = len(fraction[1])
        written += "." + f"{later.microsecond:06d}".ljust(digits, "0")[:digits]
    offset = re.search(r"(?:Z| UTC|[+-][0-9]{2}:?[0-9]{2})$", text)
    return written + (offset[0] if offset else "")


def _is_one_of(seconds: float, times: Sequence[float]) -> bool:
    return any(abs(seconds - time) < _MAX_DIFFERENCE_S for time in times)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise RelayError(
            "--set and --now are for payloads that are JSON, and this one is none."
        ) from error


def _written(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode(
        errors="surrogatepass"
    )
