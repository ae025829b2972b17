"""What JavaScript's JSON.stringify makes of a JSON text (ECMA-262, 25.5.2). Pure."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from relay.vendors.kit import raw_json

_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_MAX_ARRAY_INDEX = 2**32 - 2
_SURROGATE = re.compile("[\ud800-\udfff]")

# Where the decimal point may be for a number to be written without an exponent.
_MIN_POINT, _MAX_POINT = -6, 21

_MAX_RESTRINGIFIED_BYTES = 512 * 1024
"""Restringifying takes half a second per MiB, and anyone may cause it."""


def signed_readings(body: bytes) -> Iterator[bytes]:
    """Yield what a vendor that says `JSON.stringify(body)` may have signed.

    The bytes as sent come first, then what JavaScript makes of them, if they are JSON and not
    too long.
    """
    yield body
    if len(body) > _MAX_RESTRINGIFIED_BYTES:
        return
    try:
        yield restringify(raw_json.strip_bom(body).decode()).encode()
    except (ValueError, RecursionError):
        return  # not JSON, or nested more deeply than `normalize` accepts


def restringify(text: str) -> str:
    """Return `JSON.stringify(JSON.parse(text))`: no spaces, last duplicate wins, JS numbers.

    Raises:
        ValueError: text is not JSON.
        RecursionError: text is nested too deeply.
    """
    value = json.loads(
        text,
        object_pairs_hook=_in_property_order,
        parse_int=float,
        parse_constant=_refuse_constant,
    )
    return _stringify(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _in_property_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Put array indexes first, in ascending order, as objects keep them (ECMA-262, 10.1.11)."""
    members = dict(pairs)
    indexes = [name for name in members if _is_array_index(name)]
    if not indexes:
        return members
    return {name: members[name] for name in sorted(indexes, key=int)} | members


def _is_array_index(name: str) -> bool:
    return bool(_ARRAY_INDEX.fullmatch(name)) and int(name) <= _MAX_ARRAY_INDEX


def _stringify(value: Any) -> str:
    match value:
        case dict():
            members = [f"{_quote(name)}:{_stringify(member)}" for name, member in value.items()]
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join([_stringify(element) for element in value]) + "]"
        case str():
            return _quote(value)
        case float():
            return number(value)
        case _:
            return json.dumps(value)  # true, false, null


def _quote(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return _SURROGATE.sub(lambda lone: f"\\u{ord(lone[0]):04x}", quoted)


def number(value: float) -> str:
    """Write a number as JavaScript does (ECMA-262, 6.1.6.1.20): 1, 0.000001, 1e-7, 1e+21."""
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    digits, point = _digits(abs(value))
    count = len(digits)
    if count <= point <= _MAX_POINT:
        return sign + digits + "0" * (point - count)
    if 0 < point <= _MAX_POINT:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if _MIN_POINT < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def _digits(value: float) -> tuple[str, int]:
    """Return the significant digits, and how many of them are before the decimal point.

    Python's `repr` finds the same digits as JavaScript: the fewest that tell the number apart.
    """
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    leading_zeros = len(digits) - len(digits.lstrip("0"))
    return digits.strip("0"), len(whole) + int(exponent or 0) - leading_zeros
