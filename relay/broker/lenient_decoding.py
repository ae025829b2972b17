"""Reading of what others write into a message's properties, such that nothing ends a connection.

Works round pamqp 4: what it can't decode (a timestamp beyond the year 9999, such as one in
nanoseconds; a short string or the name of a header that is not UTF-8; a header nested too deeply)
ends the connection, of every consumer the message is delivered to. RabbitMQ accepts all of it.
Can go once pamqp decodes each of these to something.
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
_LENGTH_BYTES = 4  # of what is before a table or an array


def install() -> None:
    """Have pamqp decode so in the whole process; to call it again changes nothing."""
    array, table = _cut_where_too_deep(decode.field_array), _cut_where_too_deep(_table)
    decode.METHODS |= {
        "shortstr": _short_string,
        "timestamp": _timestamp,
        "table": table,
        "array": array,
    }
    decode.TABLE_MAPPING |= {b"T": _timestamp, b"F": table, b"A": array}


def _short_string(value: bytes) -> tuple[int, str]:
    """Decode a short string; each byte that is not UTF-8 becomes a question mark.

    So it never needs more than the 255 bytes that it may have when it is sent again.
    """
    end = 1 + int.from_bytes(value[:1])
    return end, value[1:end].decode(errors="surrogateescape").encode(errors="replace").decode()


def _timestamp(value: bytes) -> tuple[int, datetime | None]:
    """Decode a timestamp; None if there is no such moment."""
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        if len(value) < _TIMESTAMP_BYTES:
            raise
        return _TIMESTAMP_BYTES, None


def _table(value: bytes) -> tuple[int, dict[str, Any]]:
    """Decode a table, whatever the names in it are.

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


def _cut_where_too_deep(decoder: _Decoder) -> _Decoder:
    """Decode to None what is nested deeper than Python's stack."""

    def decoded(value: bytes) -> tuple[int, Any]:
        try:
            return decoder(value)
        except RecursionError:
            return _end(value), None

    return decoded


def _end(value: bytes) -> int:
    return _LENGTH_BYTES + int.from_bytes(value[:_LENGTH_BYTES])
