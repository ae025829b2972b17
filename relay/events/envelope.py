"""The wire format: an event as a CloudEvents 1.0 document. Pure.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from relay.errors import Malformed
from relay.events import amqp, topology
from relay.events.event import MAX_EVENTS, Data, IgnoredEvent, NormalizedEvent, NotUnderstood
from relay.events.message import Message, Origin, message_id
from relay.events.quarantine import VENDOR_ERROR
from relay.events.source_rules import DeliveryRules
from relay.events.timestamps import from_clock
from relay.events.value_replacer import MASK

_MAX_BODY_BYTES = 16 * 1024 * 1024
"""RabbitMQ 4's bound. It closes the channel over a larger message, and so stops all others. Many
small `variables` of a body within the ingress's limit can add up to more."""
_MAX_ATTRIBUTE_CHARACTERS = 255
_MAX_DETAIL_CHARACTERS = 256  # routing_key cuts it further; this bounds the keys of its cache


def encode_events(
    events: Sequence[NormalizedEvent | NotUnderstood],
    *,
    origin: Origin,
    received_at: float,
    delivery_id: str,
    traceparent: str | None = None,
) -> list[Message]:
    """Encode the events of one delivery, all of which are understood.

    Raises:
        Malformed: as `encode_each`, or for the reason of the first that is not. If that is a bug,
            it is raised.
    """
    messages: list[Message] = []
    for element in encode_each(
        events,
        origin=origin,
        received_at=received_at,
        delivery_id=delivery_id,
        traceparent=traceparent,
    ):
        if isinstance(element, NotUnderstood):
            raise element.error or Malformed(element.reason)
        if isinstance(element, Message):
            messages.append(element)
    return messages


def encode_each(  # noqa: PLR0913  as `encode_events`, and the element that a delivery was cut to
    elements: Sequence[NormalizedEvent | NotUnderstood],
    *,
    origin: Origin,
    received_at: float,
    delivery_id: str,
    traceparent: str | None = None,
    number: int = 0,
    rules: DeliveryRules | None = None,
) -> list[Message | NotUnderstood | IgnoredEvent]:
    """Encode the events of one delivery; `too_large` is one whose document would exceed 16 MiB.

    Args:
        elements: as the vendor's code returned them; what is not understood stays as it is.
        origin: where they came in.
        received_at: seconds since 1970.
        delivery_id: of this delivery alone; part of the ids of events that nothing else tells
            from those of another delivery.
        traceparent: of the request.
        number: of equal elements that came before these in the delivery that they are from.
        rules: of the source, if it has any. Ids are made before they apply.

    Raises:
        Malformed: `too_many_events`.
    """
    if len(elements) > MAX_EVENTS:
        raise Malformed("too_many_events")
    if rules:
        rules.learn(elements)
    head = _properties_head(origin, traceparent, rules.message_headers() if rules else None)
    counts: dict[bytes, int] = {}
    encoded: list[Message | NotUnderstood | IgnoredEvent] = []
    for element in elements:
        if isinstance(element, NotUnderstood):
            encoded.append(element)
            continue
        event_id = _event_id(element, counts, number, origin, delivery_id)
        if rules and rules.is_ignored(element):
            encoded.append(IgnoredEvent(event_id))
            continue
        try:
            event = rules.event(element) if rules else element
            encoded.append(_encode(event, event_id, origin, received_at, head))
        except Malformed as error:
            encoded.append(NotUnderstood(reason=error.reason, raw=element.raw))
        except Exception as error:  # noqa: BLE001  data that can't be encoded is the vendor's bug
            encoded.append(NotUnderstood(reason=VENDOR_ERROR, raw=element.raw, error=error))
    return encoded


def _event_id(
    event: NormalizedEvent, counts: dict[bytes, int], first: int, origin: Origin, delivery_id: str
) -> str:
    """Return the id of an event, and count its element: equal ones of a delivery get different ids.

    Only those to which the vendor itself gave an identity are the same occurrence when equal. No
    JSON text has a zero byte, so the three kinds of identity can't be taken for one another.
    """
    raw, identity = event.raw, event.identity
    if isinstance(identity, tuple):
        return message_id(origin, b"\0" + orjson.dumps(identity))
    number = counts.get(raw, first)
    counts[raw] = number + 1
    content = raw if identity == "element" else delivery_id.encode() + b"\0" + raw
    return message_id(origin, content, number)


def _encode(
    event: NormalizedEvent, event_id: str, origin: Origin, received_at: float, head: bytes
) -> Message:
    body = orjson.dumps(_document(event, event_id, origin, received_at))
    if len(body) > _MAX_BODY_BYTES:
        raise Malformed("too_large")
    detail = event.detail[:_MAX_DETAIL_CHARACTERS]
    return Message(
        id=event_id,
        routing_key=topology.routing_key(origin.vendor, event.type, detail),
        properties=amqp.complete_properties(head, event_id, int(received_at), event.type),
        body=body,
        received_at=received_at,
    )


def _document(
    event: NormalizedEvent, event_id: str, origin: Origin, received_at: float
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": origin.path,
        "type": event.type,
    }
    subject, key = _subject(event.data)
    if subject:
        document["subject"] = subject
    if event.time:
        document["time"] = event.time
    document["datacontenttype"] = "application/json"
    document["vendor"] = origin.vendor
    document["vendortype"] = _attribute(event.vendortype)
    document["recordedtime"] = from_clock(received_at)
    if key:
        document["partitionkey"] = key
    if event.is_repaired:
        document["rawrepaired"] = "lone-surrogate"
    document["data"] = {**event.data, "raw": orjson.Fragment(event.raw)}
    return document


def _subject(data: Data) -> tuple[str, str]:
    """Return what the event is about, and what must stay in order.

    That is the conversation, else the contact. Where neither has an id, it is about nothing that
    can be named, but a contact's phone keeps it in order. What is masked is the same for all, so
    it names nothing.
    """
    for party in ("conversation", "contact"):
        fields = data.get(party)
        if fields and (party_id := fields.get("id")) and party_id != MASK:
            key = _attribute(party_id)
            return f"{party}/{key}", key
    phone = data.get("contact", {}).get("phone")
    return "", _attribute(phone) if phone and phone != MASK else ""


def _attribute(text: str) -> str:
    """Return text as CloudEvents allows it in an attribute: bounded, no control characters."""
    if text.isprintable() and len(text) <= _MAX_ATTRIBUTE_CHARACTERS:
        return text
    return "".join([c if c.isprintable() else "_" for c in text[:_MAX_ATTRIBUTE_CHARACTERS]])


def _properties_head(origin: Origin, traceparent: str | None, more: dict[str, str] | None) -> bytes:
    if not traceparent and not more:
        return _untraced_properties_head(origin.vendor, origin.source)
    headers = {"vendor": origin.vendor, "source": origin.source}
    if traceparent:
        headers["traceparent"] = traceparent
    return amqp.properties_head(headers | (more or {}))


@lru_cache(maxsize=256)  # traced ones are not cached: each request has its own
def _untraced_properties_head(vendor: str, source: str) -> bytes:
    return amqp.properties_head({"vendor": vendor, "source": source})
