"""What JavaScript's JSON.stringify makes of a JSON text (ECMA-262, 25.5.2). Pure."""

import json
import math
import re
from typing import Any

_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_LARGEST_INDEX = 2**32 - 2
_SURROGATE = re.compile("[\ud800-\udfff]")


def restringify(text: str) -> str:
    """Return `JSON.stringify(JSON.parse(text))`: no spaces, last duplicate wins, JS numbers.

    Raises:
        ValueError: text is not JSON.
        RecursionError: text is nested too deeply; callers check the depth first.
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
    """Put array indexes first in ascending order, as objects keep them (ECMA-262, 10.1.11)."""
    members = dict(pairs)
    indexes = [key for key in members if _is_array_index(key)]
    if not indexes:
        return members
    return {key: members[key] for key in sorted(indexes, key=int)} | members


def _is_array_index(key: str) -> bool:
    return bool(_ARRAY_INDEX.fullmatch(key)) and int(key) <= _LARGEST_INDEX


def _stringify(value: Any) -> str:
    match value:
        case dict():
            return "{" + ",".join([f"{_quote(k)}:{_stringify(v)}" for k, v in value.items()]) + "}"
        case list():
            return "[" + ",".join([_stringify(item) for item in value]) + "]"
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
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction.removesuffix("0" if fraction == "0" else "")).lstrip("0")
    point = len(whole) + int(exponent or 0)  # digits before the decimal point
    if whole == "0":
        point -= len(fraction) - len(fraction.lstrip("0")) + 1
    digits = digits.rstrip("0") or "0"
    count = len(digits)
    if count <= point <= 21:  # noqa: PLR2004  the thresholds are the standard's
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:  # noqa: PLR2004
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:  # noqa: PLR2004
        return f"{sign}0.{'0' * -point}{digits}"
    power = f"{point - 1:+d}"
    rest = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{rest}e{power}"
