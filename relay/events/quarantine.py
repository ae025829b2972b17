"""A delivery that was authenticated but not understood, as a message for a person. Pure.

It keeps its bytes, and its headers beside them; live secrets are removed from both.
"""

import itertools
import re
from collections.abc import Mapping, Sequence

from relay.events import amqp, redaction, topology
from relay.events.message import Message, Origin, message_id
from relay.events.timestamps import from_clock

VENDOR_ERROR = "vendor_error"
"""The reason of a delivery that runs into a bug in the vendor's code."""

_MAX_HEADERS = 64
_MAX_HEADERS_BYTES = 64 * 1024  # half of the frame RabbitMQ allows a content header
_MAX_HEADER_NAME_BYTES = 128  # a field's name is a short string
_MAX_HEADER_VALUE_BYTES = 1024
_SECRET_HEADER = re.compile(
    r"authorization|cookie|token|secret|signature|api-?key|password", re.IGNORECASE
)


def encode_quarantined(  # noqa: PLR0913  a delivery that nobody understood has these parts
    body: bytes,
    *,
    reason: str,
    origin: Origin,
    received_at: float,
    delivery_id: str,
    headers: Mapping[str, str],
    secrets: Sequence[str],
    number: int = 0,
) -> Message:
    """Encode a delivery for the quarantine: its bytes and headers, without any live secret.

    So is an element of a delivery whose others are understood; `number` says how many equal ones
    came before it there.

    Its `delivery_id` and `number` go along, so that a release gives its events the ids they would
    have had.
    """
    body = redaction.redact(body, secrets)
    public = _public_headers(headers, secrets)
    content_type = public.get("content-type", "application/octet-stream")
    quarantined_id = message_id(origin, body, number)
    properties = amqp.properties(
        message_id=quarantined_id,
        message_type="quarantined",
        timestamp_s=int(received_at),
        headers={
            "source": origin.source,
            "vendor": origin.vendor,
            "reason": reason,
            "content-type": content_type,
            "received_at": from_clock(received_at),
            "delivery_id": delivery_id,
            "number": str(number),
            "headers": dict(public),
        },
        content_type=content_type,
    )
    return Message(
        id=quarantined_id,
        routing_key=topology.routing_key(origin.vendor, reason),
        properties=properties,
        body=body,
        received_at=received_at,
        is_quarantined=True,
    )


def _public_headers(headers: Mapping[str, str], secrets: Sequence[str]) -> dict[str, str]:
    """Return the request's headers without those that hold, or may hold, a secret.

    They are cut so that all of them fit into one frame: a content header can't be split.
    """
    public = {}
    bytes_left = _MAX_HEADERS_BYTES
    for name, value in itertools.islice(headers.items(), _MAX_HEADERS):
        if _SECRET_HEADER.search(name) or redaction.holds_secret(value, secrets):
            continue
        short_name = _cut(name, _MAX_HEADER_NAME_BYTES)
        short_value = _cut(value, _MAX_HEADER_VALUE_BYTES)
        bytes_left -= len(short_name.encode()) + len(short_value.encode())
        if bytes_left < 0:
            break
        public[short_name.lower()] = short_value
    return public


def _cut(text: str, max_bytes: int) -> str:
    """Return as much of text as fits, as UTF-8; aiohttp reads other bytes as surrogates."""
    return text.encode(errors="replace")[:max_bytes].decode(errors="ignore")
