"""A quarantined delivery: what its message says, and how it is processed again."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import DeliveryError
from multidict import CIMultiDict
from pamqp import commands

from relay.errors import BrokerError, Malformed, RelayError
from relay.events.message import Message, Origin
from relay.events.quarantine import VENDOR_ERROR
from relay.events.source_rules import DeliveryRules
from relay.ingress.processing import Source, process_authenticated
from relay.vendors import Vendor
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.fields import mapping
from relay.vendors.kit.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedDelivery:
    """A quarantined delivery without its body.

    Args:
        id: the one in the answer to the sender.
        source: where it came in.
        vendor: of the source.
        reason: why it was not understood.
        received_at: seconds since 1970, or None if the message is not one of the relay's.
        delivery_id: of this delivery alone.
        number: of equal elements that came before it in the delivery that it was part of.
        content_type: as sent.
        size: of the body, in bytes.
        headers: of the request, secrets removed.
        is_redacted: whether its source's `redact` changed it before it was kept.
    """

    id: str
    source: str
    vendor: str
    reason: str
    received_at: float | None
    delivery_id: str
    number: int
    content_type: str
    size: int
    headers: dict[str, str]
    is_redacted: bool = False

    @classmethod
    def of(cls, message: AbstractIncomingMessage) -> Self:
        """Read a message's headers. Anyone may have published it, so any may be missing."""
        headers = message.headers
        return cls(
            id=message.message_id or "",
            source=str(headers.get("source", "")),
            vendor=str(headers.get("vendor", "")),
            reason=str(headers.get("reason", "")),
            received_at=_timestamp(headers.get("received_at")),
            # Deliveries that an earlier version quarantined are told apart by their microsecond.
            delivery_id=str(headers.get("delivery_id", headers.get("received_at", ""))),
            number=_number(headers.get("number")),
            content_type=str(headers.get("content-type", "")),
            size=len(message.body),
            headers={name: str(value) for name, value in mapping(headers.get("headers")).items()},
            is_redacted=str(headers.get("redacted", "")) == "true",
        )


def process_again(
    delivery: QuarantinedDelivery,
    body: bytes,
    sources: Mapping[str, Source],
    vendors: Mapping[str, Vendor],
) -> Sequence[Message]:
    """Return the messages that the delivery would have become had it been understood at first.

    Raises:
        RelayError: it still is not understood, its source is no longer configured, or the vendor's
            code has a bug, whose text is not shown: it may quote the body.
    """
    vendor, configured = vendors.get(delivery.vendor), sources.get(delivery.source)
    if configured and configured.origin.vendor == delivery.vendor:
        vendor = configured.vendor
    if vendor is None or delivery.received_at is None:
        raise RelayError(f"it is from no known vendor ({delivery.vendor!r})")
    if configured is None:
        raise RelayError(f"its source {delivery.source!r} is not configured")
    request = Request(body=body, headers=CIMultiDict(delivery.headers))
    source = Source(
        origin=Origin(vendor=delivery.vendor, source=delivery.source),
        vendor=vendor,
        secrets=Secrets(()),  # they were removed when it was quarantined
    )
    rules = None
    if configured.rules:
        is_again = delivery.is_redacted
        rules = DeliveryRules(configured.rules, request.headers, (), is_again=is_again)
    try:
        return process_authenticated(
            request,
            source,
            delivery.received_at,
            delivery.delivery_id,
            number=delivery.number,
            rules=rules,
        ).messages
    except Malformed as error:
        raise RelayError(f"it still is not understood ({error.reason})") from error
    except Exception as error:  # a bug in a vendor's code must not keep back the others
        raise RelayError(f"it still is not understood ({VENDOR_ERROR})") from error


async def publish(
    channel: AbstractChannel, exchange_of: Callable[[Message], str], messages: Sequence[Message]
) -> None:
    """Publish messages and return once RabbitMQ has confirmed each.

    Args:
        channel: with `on_return_raises`.
        exchange_of: where to publish a message.
        messages: of one delivery, in order.

    Raises:
        BrokerError: one was refused or could not be routed; those before it were published.
    """
    wire = await channel.get_underlay_channel()
    for message in messages:
        properties = commands.Basic.Properties()
        properties.unmarshal(int.from_bytes(message.properties[:2]), message.properties[2:])
        try:
            await wire.basic_publish(
                message.body,
                exchange=exchange_of(message),
                routing_key=message.routing_key,
                properties=properties,
                mandatory=True,
            )
        except DeliveryError as error:
            raise BrokerError(
                f"RabbitMQ did not take the event {message.id}; its delivery stays in quarantine. "
                "Is one of the queues it goes to full?"
            ) from error


def _number(value: Any) -> int:
    """Return the number of an element; 0 if an earlier version quarantined it."""
    text = str(value)
    return int(text) if re.fullmatch("[0-9]{1,5}", text) else 0


def _timestamp(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError):
        return None
