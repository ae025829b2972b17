"""A whole request as `/capture` may show it: without what its source's `redact` leads to. Pure.

Whoever looks for a fault wants to see refused requests, too. Who sent those is not proved, but most
often it is the vendor, so what they hold of persons is redacted like that of any other.
"""

from collections.abc import Sequence
from typing import NamedTuple

from relay.events.event import NormalizedEvent, NotUnderstood
from relay.events.personal_data import Redactor
from relay.events.redaction_rules import Redaction
from relay.vendors import Vendor, normalize
from relay.vendors.kit.request import Request

MAX_BODY_BYTES = 64 * 1024
"""Larger ones are left out: to redact one of this size takes up the event loop for some 50 ms."""

BODY_REMOVED = b"[body removed: redact can't be applied to it]"
QUERY_REMOVED = "[removed]"


class RedactedRequest(NamedTuple):
    """What may be shown of a request.

    Args:
        target: path and query.
        headers: pairs of name and value, without those that hold a value to be redacted.
        body: or what stands for it.
    """

    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes


def redacted_request(delivery: Request, vendor: Vendor, redaction: Redaction) -> RedactedRequest:
    """Return what may be shown of a request to a source with `redact`."""
    redactor = Redactor(redaction)
    body = None
    if len(delivery.body) < MAX_BODY_BYTES:
        body = redactor.delivery(delivery.body, _elements(delivery, vendor))
    kept = [
        (name, value)
        for name, value in delivery.headers.items()
        if redactor.without_values({name: value})
    ]
    target = delivery.url
    if not redactor.without_values({"": target}):
        target = f"{target.partition('?')[0]}?{QUERY_REMOVED}"
    shown = (body or BODY_REMOVED) if delivery.body else b""
    return RedactedRequest(target, kept, shown)


def _elements(delivery: Request, vendor: Vendor) -> list[NormalizedEvent | NotUnderstood]:
    try:
        return list(normalize(vendor, delivery))
    except Exception:  # noqa: BLE001  unproved bytes, which no vendor's code was meant for
        return []
