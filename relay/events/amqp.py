"""AMQP 0-9-1 bytes: message properties, and whole batches of publish frames. Pure.

pamqp encodes a message's frames from objects, in some 30 µs. Most of these bytes are the same for
the next message, so pamqp encodes them once and they are cached; what remains per message is two
`struct.pack` and a join. Section numbers are those of the AMQP 0-9-1 specification.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from pamqp import commands, encode
from pamqp.common import FieldValue

from relay.events.message import Message

CONTENT_TYPE = "application/cloudevents+json"
APP_ID = "relay"

_METHOD, _HEADER, _BODY = 1, 2, 3  # frame types, 4.2.3
_FRAME_END = b"\xce"
_MAX_SHORT_STRING_BYTES = 255
_MAX_FRAME_BYTES = 2**32 - 1  # a frame's size is a long (4.2.3)
_FRAME_OVERHEAD_BYTES = 8  # type, channel and size before the payload, the end octet after it
_BASIC = 60  # class id
_PERSISTENT = b"\x02"  # delivery-mode

# Property flags, 4.2.6.1: content-type is bit 15, and so on down in the order of the properties.
_HAS_CONTENT_TYPE, _HAS_HEADERS, _HAS_DELIVERY_MODE = 1 << 15, 1 << 13, 1 << 12
_HAS_MESSAGE_ID, _HAS_TIMESTAMP, _HAS_TYPE, _HAS_APP_ID = 1 << 7, 1 << 6, 1 << 5, 1 << 3
_FLAGS = (
    _HAS_CONTENT_TYPE
    | _HAS_HEADERS
    | _HAS_DELIVERY_MODE
    | _HAS_MESSAGE_ID
    | _HAS_TIMESTAMP
    | _HAS_TYPE
    | _HAS_APP_ID
)

_frame_head = struct.Struct(">BHI").pack
# Frame head, class 60, weight 0, body size.
_header_head = struct.Struct(">BHIHHQ").pack
_HEADER_HEAD_BYTES = 12  # of the payload, before the properties
# A header in an encoded table: its name, a short string, then `S` and a long string (4.2.5.5).
_TRACEPARENT = re.compile(rb"\x0btraceparentS\x00\x00\x00\x37([0-9a-f-]{55})")
_SOURCE = b"\x06sourceS\x00\x00\x00"  # then a byte: no source's name is longer
_timestamp = struct.Struct(">Q").pack


def short_string(text: str) -> bytes:
    """Encode a short string, cut to 255 bytes between two characters (4.2.5.3)."""
    encoded = text.encode(errors="replace")
    if len(encoded) > _MAX_SHORT_STRING_BYTES:
        encoded = encoded[:_MAX_SHORT_STRING_BYTES].decode(errors="ignore").encode()
    return bytes((len(encoded),)) + encoded


def properties(
    *,
    message_id: str,
    message_type: str,
    timestamp_s: int,
    headers: Mapping[str, FieldValue],
    content_type: str = CONTENT_TYPE,
) -> bytes:
    """Encode the properties of a persistent message: flags, then the list (4.2.6.1)."""
    head = properties_head(headers, content_type)
    return complete_properties(head, message_id, timestamp_s, message_type)


def properties_head(headers: Mapping[str, FieldValue], content_type: str = CONTENT_TYPE) -> bytes:
    """Encode the first part of the properties, which many messages share."""
    table = encode.field_table(dict(headers))
    return _FLAGS.to_bytes(2) + short_string(content_type) + table + _PERSISTENT


def complete_properties(head: bytes, message_id: str, timestamp_s: int, message_type: str) -> bytes:
    """Append the part that differs between messages to what `properties_head` returned."""
    return b"".join((head, short_string(message_id), _timestamp(timestamp_s), _tail(message_type)))


def traceparent_in(encoded: bytes) -> str | None:
    """Return the header `traceparent` of encoded properties, without decoding the others."""
    match = _TRACEPARENT.search(encoded)
    return match[1].decode() if match else None


def source_in(encoded: bytes) -> str | None:
    """Return the header `source` of encoded properties, without decoding the others.

    No header of a request can look like it: HTTP allows no zero byte in a field.
    """
    at = encoded.find(_SOURCE) + len(_SOURCE)
    if at < len(_SOURCE):
        return None
    return encoded[at + 1 : at + 1 + encoded[at]].decode()


@lru_cache(maxsize=1024)
def _tail(message_type: str) -> bytes:
    return short_string(message_type) + short_string(APP_ID)


def publish_frames(
    messages: Iterable[tuple[str, Message]], *, channel: int, frame_max: int
) -> bytes:
    """Encode `basic.publish` with `mandatory` for each (exchange, message), ready for the socket.

    Args:
        messages: in the order of publishing.
        channel: the number of the channel.
        frame_max: the largest frame agreed with the broker, in bytes; 0 for no limit.
    """
    max_payload_bytes = (frame_max or _MAX_FRAME_BYTES) - _FRAME_OVERHEAD_BYTES
    parts: list[bytes] = []
    for exchange, message in messages:
        body, props = message.body, message.properties
        size = len(body)
        parts += (
            _method_frame(exchange, message.routing_key, channel),
            _header_head(_HEADER, channel, _HEADER_HEAD_BYTES + len(props), _BASIC, 0, size),
            props,
            _FRAME_END,
        )
        if 0 < size <= max_payload_bytes:
            parts += (_frame_head(_BODY, channel, size), body, _FRAME_END)
        else:
            parts += _body_frames(body, channel, max_payload_bytes)
    return b"".join(parts)


@lru_cache(maxsize=4096)
def _method_frame(exchange: str, routing_key: str, channel: int) -> bytes:
    publish = commands.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True)
    payload = publish.index.to_bytes(4) + publish.marshal()
    return _frame_head(_METHOD, channel, len(payload)) + payload + _FRAME_END


def _body_frames(body: bytes, channel: int, max_payload_bytes: int) -> Iterator[bytes]:
    for start in range(0, len(body), max_payload_bytes):
        chunk = body[start : start + max_payload_bytes]
        yield _frame_head(_BODY, channel, len(chunk))
        yield chunk
        yield _FRAME_END
