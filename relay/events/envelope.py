"""The wire format: an event as a CloudEvents 1.0 document, a quarantined delivery as it came. Pure.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import orjson
from pamqp import encode

from relay.errors import Malformed
from relay.events import amqp, redaction, topology
from relay.events.event import MAX_EVENTS, NormalizedEvent
from relay.events.timestamps import from_clock

if TYPE_CHECKING:
    from pamqp.common import FieldValue

_ID_BYTES = 16
_MOST_BODY_BYTES = 16 * 1024 * 1024
"""RabbitMQ 4's bound. It closes the channel over a larger message, which would so stop all others;
many small `variables` of a body within the ingress's limit can come to more."""
_LONGEST_ATTRIBUTE = 255
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)

_MOST_HEADERS = 64
_MOST_HEADER_BYTES = 64 * 1024  # half of the frame RabbitMQ allows a content header
_LONGEST_NAME, _LONGEST_VALUE = 128, 1024  # bytes; a field's name is a short string
_SECRET_HEADER = re.compile(
    r"authorization|cookie|token|secret|signature|api-?key|password", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a delivery came in: the vendor, the configured source and what follows from them."""

    vendor: str
    source: str
    path: str = field(init=False)  # the `source` attribute of its events

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", f"/{self.vendor}/{self.source}")


class Message(NamedTuple):
    """A message ready for the broker, in all but its place in the outbox.

    Args:
        id: 32 hex digits; equal for every resend of the same element.
        routing_key: of the events' exchange, or of the quarantine's.
        properties: AMQP properties, encoded.
        body: the CloudEvents document, or the delivery as received.
        received_at: seconds since 1970.
        is_quarantined: which of the two exchanges it goes to.
    """

    id: str
    routing_key: str
    properties: bytes
    body: bytes
    received_at: float
    is_quarantined: bool = False


def encode_events(
    events: Sequence[NormalizedEvent],
    *,
    origin: Origin,
    received_at: float,
    traceparent: str | None = None,
) -> list[Message]:
    """Encode the events of one delivery. Equal elements get different ids, by their number.

    Raises:
        Malformed: `too_many_events`, or `too_large`, when the document of one event would
            exceed 16 MiB.
    """
    if len(events) > MAX_EVENTS:
        raise Malformed("too_many_events")
    if len(events) == 1:
        return [_encode(events[0], 0, origin, received_at, traceparent)]
    seen: Counter[bytes] = Counter()
    messages = []
    for event in events:
        messages.append(_encode(event, seen[event.raw], origin, received_at, traceparent))
        seen[event.raw] += 1
    return messages


def encode_quarantined(  # noqa: PLR0913  a delivery that nobody understood has these parts
    body: bytes,
    *,
    reason: str,
    origin: Origin,
    received_at: float,
    headers: Mapping[str, str],
    secrets: Sequence[str],
) -> Message:
    """Encode a delivery for the quarantine: its bytes and headers, without any live secret."""
    body = redaction.redact(body, secrets)
    message_id = _digest(origin.path, body, 0)
    public = _public_headers(headers, secrets)
    content_type = public.get("content-type", "application/octet-stream")
    table: dict[str, FieldValue] = {
        "source": origin.source,
        "vendor": origin.vendor,
        "reason": reason,
        "content-type": content_type,
        "received_at": from_clock(received_at),
        "headers": dict(public),
    }
    return Message(
        id=message_id,
        routing_key=topology.routing_key(origin.vendor, reason),
        properties=amqp.properties(
            message_id=message_id,
            message_type="quarantined",
            timestamp_s=int(received_at),
            headers=table,
            content_type=content_type,
        ),
        body=body,
        received_at=received_at,
        is_quarantined=True,
    )


def traceparent_of(headers: Mapping[str, str]) -> str | None:
    """Return a well-formed W3C `traceparent`, or None."""
    value = headers.get("traceparent")
    return value if value and _TRACEPARENT.fullmatch(value) else None


def _encode(
    event: NormalizedEvent, number: int, origin: Origin, received_at: float, traceparent: str | None
) -> Message:
    event_id = _digest(origin.path, event.raw, number)
    begin, end = _constant_parts(
        origin.path, origin.vendor, event.type, _attribute(event.vendortype)
    )
    data = orjson.dumps(event.data)
    subject, partition_key = _belongs_to(event)
    time = b',"time":"%b"' % event.time.encode() if event.time else b""
    recorded = from_clock(received_at).encode()
    # Written by hand, since a dict of all this costs more than the rest of it. Ids and times need
    # no escaping; what is between them was made by orjson, or by the vendor and parsed by it.
    body = b"".join(
        (
            *(b'{"specversion":"1.0","id":"', event_id.encode(), begin),
            *(subject, time, end, recorded, b'"', partition_key),
            *(b',"data":', data[:-1], b"," if event.data else b"", b'"raw":', event.raw, b"}}"),
        )
    )
    if len(body) > _MOST_BODY_BYTES:
        raise Malformed("too_large")
    head = _properties_head(origin.vendor, origin.source, traceparent)
    return Message(
        id=event_id,
        routing_key=topology.routing_key(origin.vendor, event.type, event.detail[:256]),
        properties=amqp.assemble(head, event_id, int(received_at), event.type),
        body=body,
        received_at=received_at,
    )


def _belongs_to(event: NormalizedEvent) -> tuple[bytes, bytes]:
    """Return the members `subject` and `partitionkey`: of the conversation, else the contact."""
    for what in ("conversation", "contact"):
        found = event.data.get(what)
        if found and (found_id := found.get("id")):
            key = orjson.dumps(_attribute(found_id))
            return b',"subject":"%b/%b' % (what.encode(), key[1:]), b',"partitionkey":' + key
    return b"", b""


@lru_cache(maxsize=1024)
def _constant_parts(
    path: str, vendor: str, event_type: str, vendortype: str
) -> tuple[bytes, bytes]:
    """Return the members between id and subject, and between time and recordedtime."""
    begin = {"source": path, "type": event_type}
    end = {
        "datacontenttype": "application/json",
        "vendor": vendor,
        "vendortype": vendortype,
        "recordedtime": "",
    }
    return b'",' + orjson.dumps(begin)[1:-1], b"," + orjson.dumps(end)[1:-2]


def _digest(path: str, raw: bytes, number: int) -> str:
    digest = _begun_digest(path, number).copy()
    digest.update(raw)
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _begun_digest(path: str, number: int) -> "blake2b":
    return blake2b(b"%b\0%d\0" % (path.encode(), number), digest_size=_ID_BYTES)


@lru_cache(maxsize=256)
def _properties_head(vendor: str, source: str, traceparent: str | None) -> bytes:
    headers: dict[str, FieldValue] = {"vendor": vendor, "source": source}
    if traceparent:
        headers["traceparent"] = traceparent
    return amqp.properties_head(amqp.CONTENT_TYPE, encode.field_table(headers))


def _attribute(text: str) -> str:
    """Return text as CloudEvents allows it in an attribute: no control characters; and bounded."""
    if text.isprintable() and len(text) <= _LONGEST_ATTRIBUTE:
        return text
    return "".join([c if c.isprintable() else "_" for c in text[:_LONGEST_ATTRIBUTE]])


def _public_headers(headers: Mapping[str, str], secrets: Sequence[str]) -> dict[str, str]:
    """Return the request's headers without those that hold, or may hold, a secret.

    Cut so that all of them fit into one frame with the rest: a content header can't be split.
    """
    public = {}
    left = _MOST_HEADER_BYTES
    for name, value in itertools.islice(headers.items(), _MOST_HEADERS):
        if _SECRET_HEADER.search(name) or redaction.holds_secret(value, secrets):
            continue
        short_name, short_value = _cut(name, _LONGEST_NAME), _cut(value, _LONGEST_VALUE)
        left -= len(short_name.encode()) + len(short_value.encode())
        if left < 0:
            break
        public[short_name.lower()] = short_value
    return public


def _cut(text: str, most_bytes: int) -> str:
    """Return what of text is UTF-8 and fits; aiohttp reads other bytes as surrogates."""
    return text.encode(errors="replace")[:most_bytes].decode(errors="ignore")
