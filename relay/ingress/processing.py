"""From a delivery to messages: authenticated, normalized, encoded. Pure.

So `processing_subprocess` can do it for large deliveries, and `relay inspect` in a dry run.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from relay.errors import Malformed, MethodNotAllowed
from relay.events.envelope import encode_each
from relay.events.event import IgnoredEvent, NormalizedEvent, NotUnderstood
from relay.events.message import Message, Origin
from relay.events.quarantine import VENDOR_ERROR, encode_quarantined
from relay.events.source_rules import DeliveryRules, SourceRules
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
        rules: what is redacted, goes along or is left out; None for nothing of that.
    """

    origin: Origin
    vendor: Vendor
    secrets: Secrets
    echo: EchoStyle = "json"
    allow_from: tuple[Network, ...] = ()
    expect_every_s: float = 0
    rules: SourceRules | None = None


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
        ignored: ids of the events that the source's settings leave out.
        is_unredacted: whether some of what is quarantined could not be redacted, as it should be.
    """

    messages: Sequence[Message]
    types: tuple[str, ...] = ()
    echo: Echo | None = None
    reason: str | None = None
    reasons: tuple[str, ...] = ()
    failure: Mapping[str, str] | None = None
    answer: Answer | None = None
    ignored: tuple[str, ...] = ()
    is_unredacted: bool = False


def process_delivery(
    delivery: Request, source: Source, received_at: float, delivery_id: str
) -> ProcessedDelivery:
    """Authenticate, normalize and encode a delivery.

    One that its vendor's code does not understand is quarantined, also if that is a bug in the
    code: nothing authenticated is dropped.

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
        return _answer_question(delivery, source)
    echo = source.vendor.authenticate(delivery, source.secrets)
    if isinstance(echo, Answer):
        return ProcessedDelivery(messages=[], answer=echo)
    if echo and echo.is_handshake:
        return ProcessedDelivery(messages=[], echo=echo)
    failure: Mapping[str, str] | None = None
    rules = None
    if source.rules:
        rules = DeliveryRules(source.rules, delivery.headers, source.secrets.values)
    try:
        return process_authenticated(
            delivery, source, received_at, delivery_id, echo=echo, rules=rules
        )
    except Malformed as error:
        reason = error.reason
    except Exception as error:  # noqa: BLE001  a bug in a vendor's code must not cost the event
        reason, failure = VENDOR_ERROR, safe_traceback(error)
    quarantine = _quarantine_of(delivery, source, received_at, delivery_id, rules)
    message = quarantine(delivery.body, reason=reason)
    return ProcessedDelivery(
        messages=[message],
        echo=echo,
        reason=reason,
        failure=failure,
        is_unredacted=bool(rules and rules.is_unredacted),
    )


def _answer_question(delivery: Request, source: Source) -> ProcessedDelivery:
    """Answer what a vendor asks; only POST brings events."""
    found = answer(source.vendor, delivery, source.secrets)
    if found is None:
        raise MethodNotAllowed(f"{delivery.method} is not POST, and asks nothing")
    return ProcessedDelivery(messages=[], answer=found)


def process_authenticated(  # noqa: PLR0913  as `process_delivery`, and what only one of its callers has
    delivery: Request,
    source: Source,
    received_at: float,
    delivery_id: str,
    *,
    echo: Echo | None = None,
    number: int = 0,
    rules: DeliveryRules | None = None,
) -> ProcessedDelivery:
    """Normalize and encode an authenticated delivery; see `process_delivery` and `encode_each`.

    Of several elements, each that is not understood is quarantined alone. The rules of the source
    apply as this delivery has them, not those of `source`.

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
        rules=rules,
    )
    messages = [element for element in encoded if isinstance(element, Message)]
    if len(messages) == len(encoded):
        types = [element.type for element in elements if isinstance(element, NormalizedEvent)]
        return ProcessedDelivery(messages, tuple(types), echo)
    others = [element for element in encoded if isinstance(element, NotUnderstood)]
    ignored = tuple([element.id for element in encoded if isinstance(element, IgnoredEvent)])
    if not messages and not ignored:
        raise others[0].error or Malformed(others[0].reason)
    if not others:
        return ProcessedDelivery(messages, _types_of(elements, encoded), echo, ignored=ignored)
    quarantine = _quarantine_of(delivery, source, received_at, delivery_id, rules)
    return ProcessedDelivery(
        _quarantine_each(encoded, quarantine),
        _types_of(elements, encoded),
        echo,
        reasons=tuple([element.reason for element in others]),
        failure=_failure_of(others),
        ignored=ignored,
        is_unredacted=bool(rules and rules.is_unredacted),
    )


def _types_of(
    elements: Sequence[NormalizedEvent | NotUnderstood],
    encoded: Sequence[Message | NotUnderstood | IgnoredEvent],
) -> tuple[str, ...]:
    """Return the types of the events that became messages."""
    return tuple(
        [
            element.type
            for element, result in zip(elements, encoded, strict=True)
            if type(result) is Message and isinstance(element, NormalizedEvent)
        ]
    )


def _failure_of(elements: Sequence[NotUnderstood]) -> Mapping[str, str] | None:
    """Return the first bug that one of them runs into, and where it is."""
    for element in elements:
        if element.error:
            return safe_traceback(element.error)
    return None


def _quarantine_of(
    delivery: Request,
    source: Source,
    received_at: float,
    delivery_id: str,
    rules: DeliveryRules | None,
) -> partial[Message]:
    """Return `encode_quarantined` with what a delivery and all its elements share."""
    return partial(
        encode_quarantined,
        origin=source.origin,
        received_at=received_at,
        delivery_id=delivery_id,
        headers=delivery.headers,
        secrets=source.secrets.values,
        rules=rules,
    )


def _quarantine_each(
    encoded: Sequence[Message | NotUnderstood | IgnoredEvent], quarantine: partial[Message]
) -> list[Message]:
    """Return as messages what is not ignored; equal elements of a delivery get different ids.

    Those are counted as the events that they may become: by their text once it is repaired.
    """
    counts: Counter[bytes] = Counter()
    messages: list[Message] = []
    for element in encoded:
        if isinstance(element, Message):
            messages.append(element)
        elif isinstance(element, NotUnderstood):
            text = raw_json.repair(element.raw)
            number = counts[text]
            messages.append(quarantine(element.raw, reason=element.reason, number=number))
            counts[text] += 1
    return messages
