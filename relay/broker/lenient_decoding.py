"""Lenient decoding of message properties, which others may have written.

Works around pamqp 4: a property that it can't decode ends the connection of every consumer that
gets the message. RabbitMQ accepts all of these: a timestamp after the year 9999, such as one in
nanoseconds; a short string or the name of a header that is not UTF-8; a header nested too deeply.
Can go once pamqp decodes each of them to something.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pamqp import decode

from relay.process import libraries

libraries.require_names(
    decode, "METHODS", "TABLE_MAPPING", "embedded_value", "field_array", "timestamp"
)

_Decoder = Callable[[bytes], tuple[int, Any]]

_TIMESTAMP_BYTES = 8
_LENGTH_BYTES = 4  # before a table or an array


def install() -> None:
    """Make pamqp decode leniently in the whole process. Another call changes nothing."""
    array, table = _none_if_too_deep(decode.field_array), _none_if_too_deep(_table)
    decode.METHODS |= {
        "shortstr": _short_string,
        "timestamp": _timestamp,
        "table": table,
        "array": array,
    }
    decode.TABLE_MAPPING |= {b"T": _timestamp, b"F": table, b"A": array}


def _short_string(value: bytes) -> tuple[int, str]:
    """Decode a short string; each byte that is not UTF-8 becomes a question mark.

    So it still fits into 255 bytes when it is sent again.
    """
    end = 1 + int.from_bytes(value[:1])
    return end, value[1:end].decode(errors="surrogateescape").encode(errors="replace").decode()


def _timestamp(value: bytes) -> tuple[int, datetime | None]:
    """Decode a timestamp; None if no datetime can hold it."""
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        if len(value) < _TIMESTAMP_BYTES:
            raise
        return _TIMESTAMP_BYTES, None


def _table(value: bytes) -> tuple[int, dict[str, Any]]:
    """Decode a table, whatever bytes its names are.

    Raises:
        ValueError: it is cut off, or has a type that does not exist.
    """
    offset, end = _LENGTH_BYTES, _end(value)
    if end > len(value):
        raise ValueError("The table is cut off.")
    table = {}
    while offset < end:
        size, name = _short_string(value[offset:end])
        offset += size
        size, table[name] = decode.embedded_value(value[offset:end])
        offset += size
    return end, table


def _none_if_too_deep(decoder: _Decoder) -> _Decoder:
    """Return a decoder that yields None for what is nested deeper than Python's stack."""

    def decoded(value: bytes) -> tuple[int, Any]:
        try:
            return decoder(value)
        except RecursionError:
            return _end(value), None

    return decoded


def _end(value: bytes) -> int:
    return _LENGTH_BYTES + int.from_bytes(value[:_LENGTH_BYTES])
