"""A quarantined delivery: what its message says, and what comes of it when it is tried again."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import DeliveryError
from multidict import CIMultiDict
from pamqp import commands

from relay.errors import BrokerError, Malformed, RelayError
from relay.events.envelope import encode_events
from relay.events.message import Message, Origin
from relay.events.traceparent import traceparent_of
from relay.vendors import Vendor
from relay.vendors.kit.fields import mapping
from relay.vendors.kit.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A quarantined delivery without its body.

    Args:
        id: as the sender was told.
        source, vendor: where it came in.
        reason: why it was not understood.
        received_at: seconds since 1970, or None when the message is none of the relay's.
        content_type: as sent.
        size: of the body, in bytes.
        headers: the request's, secrets removed.
    """

    id: str
    source: str
    vendor: str
    reason: str
    received_at: float | None
    content_type: str
    size: int
    headers: dict[str, str]

    @classmethod
    def of(cls, message: AbstractIncomingMessage) -> Self:
        """Read a message's headers. Anyone may have put it there: none is taken for granted."""
        headers = message.headers
        return cls(
            id=message.message_id or "",
            source=str(headers.get("source", "")),
            vendor=str(headers.get("vendor", "")),
            reason=str(headers.get("reason", "")),
            received_at=_moment(headers.get("received_at")),
            content_type=str(headers.get("content-type", "")),
            size=len(message.body),
            headers={name: str(it) for name, it in mapping(headers.get("headers")).items()},
        )


def understand_again(
    it: Quarantined, body: bytes, sources: Container[str], known: Mapping[str, Vendor]
) -> list[Message]:
    """Return the events of a delivery as they would have been, had it been understood then.

    Raises:
        RelayError: it still is not, or its source is no longer configured.
    """
    vendor = known.get(it.vendor)
    if vendor is None or it.received_at is None:
        raise RelayError(f"it is from no known vendor ({it.vendor!r})")
    if it.source not in sources:
        raise RelayError(f"its source {it.source!r} is not configured")
    headers = CIMultiDict(it.headers)
    try:
        return encode_events(
            vendor.normalize(Request(body=body, headers=headers)),
            origin=Origin(vendor=it.vendor, source=it.source),
            received_at=it.received_at,
            traceparent=traceparent_of(headers),
        )
    except Malformed as error:
        raise RelayError(f"it still is not understood ({error.reason})") from error


async def publish(channel: AbstractChannel, exchange: str, messages: Sequence[Message]) -> None:
    """Publish events and return once RabbitMQ has confirmed each.

    Args:
        channel: with `on_return_raises`.
        exchange: where events are published to.
        messages: what to publish, in order.

    Raises:
        BrokerError: one was refused or had no route; those before it were published.
    """
    wire = await channel.get_underlay_channel()
    for it in messages:
        properties = commands.Basic.Properties()
        properties.unmarshal(int.from_bytes(it.properties[:2]), it.properties[2:])
        try:
            await wire.basic_publish(
                it.body,
                exchange=exchange,
                routing_key=it.routing_key,
                properties=properties,
                mandatory=True,
            )
        except DeliveryError as error:
            raise BrokerError(
                f"RabbitMQ did not take the event {it.id}; its delivery stays in quarantine. "
                "Is one of the queues it goes to full?"
            ) from error


def _moment(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError):
        return None
