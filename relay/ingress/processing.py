"""What a delivery turns out to be: authenticated, normalized, encoded. Pure, so a thread may do it.

Between the HTTP request and the outbox lies this one function; `relay inspect` calls it, too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from relay.errors import Malformed, MethodNotAllowed
from relay.events.envelope import encode_each
from relay.events.event import NormalizedEvent, NotUnderstood
from relay.events.message import Message, Origin
from relay.events.quarantine import VENDOR_ERROR, encode_quarantined
from relay.events.traceparent import traceparent_of
from relay.ingress.client_address import Network
from relay.process.safe_traceback import safe_traceback
from relay.vendors import Vendor, answer, normalize
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Answer, Echo, Request

EchoStyle = Literal["json", "text", "mirror"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A configured endpoint.

    Args:
        origin: the vendor's and the source's name.
        vendor: the vendor's code.
        secrets: the live secrets.
        echo: how a handshake's token is read back.
        allow_from: networks that may call; empty means all.
        expect_every_s: in what time it should be heard of; 0 if it is not watched.
    """

    origin: Origin
    vendor: Vendor
    secrets: Secrets
    echo: EchoStyle = "json"
    allow_from: tuple[Network, ...] = ()
    expect_every_s: float = 0


class ProcessedDelivery(NamedTuple):
    """What a delivery turned out to be.

    Args:
        messages: what to make durable; nothing for a handshake.
        types: of the events among them.
        echo: the token to read back, if any.
        reason: why it is quarantined as a whole, or None.
        reasons: why each of the others among the messages is quarantined alone.
        failure: what the vendor's bug is and where, when that is why.
        answer: to a question of the vendor's own, which is a handshake, too.
    """

    messages: Sequence[Message]
    types: tuple[str, ...] = ()
    echo: Echo | None = None
    reason: str | None = None
    reasons: tuple[str, ...] = ()
    failure: Mapping[str, str] | None = None
    answer: Answer | None = None


def process_delivery(
    delivery: Request, source: Source, received_at: float, delivery_id: str
) -> ProcessedDelivery:
    """Authenticate, normalize and encode. All of it pure, so it may run in a thread.

    What its vendor's code can't digest is quarantined, be it malformed or the code wrong:
    nothing authenticated is dropped.

    Args:
        delivery: the request as a vendor's code sees it.
        source: where it came in.
        received_at: seconds since 1970.
        delivery_id: random, of this delivery alone; see `encode_each`.

    Raises:
        Unauthenticated: nothing may be stored.
        MethodNotAllowed: it is no POST, and the vendor asks nothing in this way.
    """
    if delivery.method != "POST":
        return _answered(delivery, source)
    echo = source.vendor.authenticate(delivery, source.secrets)
    if isinstance(echo, Answer):
        return ProcessedDelivery(messages=[], answer=echo)
    if echo and echo.is_handshake:
        return ProcessedDelivery(messages=[], echo=echo)
    failure: Mapping[str, str] | None = None
    try:
        return understand(delivery, source, received_at, delivery_id, echo=echo)
    except Malformed as error:
        reason = error.reason
    except Exception as error:  # noqa: BLE001  a bug in a vendor's code must not cost the event
        reason, failure = VENDOR_ERROR, safe_traceback(error)
    quarantine = _quarantine_of(delivery, source, received_at, delivery_id)
    message = quarantine(delivery.body, reason=reason)
    return ProcessedDelivery(messages=[message], echo=echo, reason=reason, failure=failure)


def _answered(delivery: Request, source: Source) -> ProcessedDelivery:
    """Return the answer to a question; nothing else than POST brings events."""
    found = answer(source.vendor, delivery, source.secrets)
    if found is None:
        raise MethodNotAllowed(f"{delivery.method} is not POST, and asks nothing")
    return ProcessedDelivery(messages=[], answer=found)


def understand(  # noqa: PLR0913  as `process_delivery`, and what only one of its callers has
    delivery: Request,
    source: Source,
    received_at: float,
    delivery_id: str,
    *,
    echo: Echo | None = None,
    number: int = 0,
) -> ProcessedDelivery:
    """Normalize and encode an authenticated delivery; see `process_delivery` and `encode_each`.

    Of several elements, each that is not understood is quarantined alone.

    Raises:
        Malformed: none of it is understood. If that is a bug, it is raised.
    """
    elements = normalize(source.vendor, delivery)
    encoded = encode_each(
        elements,
        origin=source.origin,
        received_at=received_at,
        delivery_id=delivery_id,
        traceparent=traceparent_of(delivery.headers),
        number=number,
    )
    messages = [element for element in encoded if isinstance(element, Message)]
    others: list[NotUnderstood] = []
    if len(messages) < len(encoded):
        others = [element for element in encoded if isinstance(element, NotUnderstood)]
        if not messages:
            raise others[0].error or Malformed(others[0].reason)
        messages = _quarantine_each(encoded, delivery, source, received_at, delivery_id)
        elements = [
            element
            for element, result in zip(elements, encoded, strict=True)
            if isinstance(result, Message)
        ]
    types = tuple([element.type for element in elements if isinstance(element, NormalizedEvent)])
    if not others:
        return ProcessedDelivery(messages, types, echo)
    reasons = tuple([element.reason for element in others])
    return ProcessedDelivery(messages, types, echo, reasons=reasons, failure=_failure_of(others))


def _failure_of(elements: Sequence[NotUnderstood]) -> Mapping[str, str] | None:
    """Return what the first bug is that one of them runs into, and where."""
    for element in elements:
        if element.error:
            return safe_traceback(element.error)
    return None


def _quarantine_of(
    delivery: Request, source: Source, received_at: float, delivery_id: str
) -> partial[Message]:
    """Return `encode_quarantined` for a body, or an element of one, with what both have alike."""
    return partial(
        encode_quarantined,
        origin=source.origin,
        received_at=received_at,
        delivery_id=delivery_id,
        headers=delivery.headers,
        secrets=source.secrets.values,
    )


def _quarantine_each(
    encoded: Sequence[Message | NotUnderstood],
    delivery: Request,
    source: Source,
    received_at: float,
    delivery_id: str,
) -> list[Message]:
    """Return all as messages; equal elements of a delivery get different ids.

    Those are counted as the events that they may become: by their text once it is repaired.
    """
    quarantine = _quarantine_of(delivery, source, received_at, delivery_id)
    counts: Counter[bytes] = Counter()
    messages: list[Message] = []
    for element in encoded:
        if isinstance(element, Message):
            messages.append(element)
        else:
            text = raw_json.repair(element.raw)
            number = counts[text]
            messages.append(quarantine(element.raw, reason=element.reason, number=number))
            counts[text] += 1
    return messages
