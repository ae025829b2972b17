"""A delivery that was authenticated but not understood, as a message for a person. Pure.

It keeps its bytes, and its headers beside them; live secrets are removed from both.
"""

from collections.abc import Mapping, Sequence

from relay.events import amqp, redaction, request_headers, topology
from relay.events.message import Message, Origin, message_id
from relay.events.source_rules import DeliveryRules
from relay.events.timestamps import from_clock

VENDOR_ERROR = "vendor_error"
"""The reason of a delivery that runs into a bug in the vendor's code."""


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
    rules: DeliveryRules | None = None,
) -> Message:
    """Encode a delivery for the quarantine: its bytes and headers, without any live secret.

    So is an element of a delivery whose others are understood; `number` says how many equal ones
    came before it there. With both and its `delivery_id`, a release gives its events the ids they
    would have had. It is redacted as far as that can be; its id is that of what came.
    """
    body = redaction.redact(body, secrets)
    kept = request_headers.public(headers, secrets)
    quarantined_id = message_id(origin, body, number)
    of_rules: dict[str, str] = {}
    if rules:
        body, kept, of_rules = rules.quarantined(body, kept)
    content_type = kept.get("content-type", "application/octet-stream")
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
            "headers": dict(kept),
            **of_rules,
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
