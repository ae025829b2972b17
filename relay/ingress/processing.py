"""What a delivery turns out to be: authenticated, normalized, encoded. Pure, so a thread may do it.

Between the HTTP request and the outbox lies this one function; `relay inspect` calls it, too.
"""

import itertools
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from relay.errors import Malformed
from relay.events import redaction
from relay.events.envelope import Message, Origin, encode_events, encode_quarantined, traceparent_of
from relay.ingress.client_address import Network
from relay.vendors import Vendor
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Echo, Request

EchoStyle = Literal["json", "text", "mirror"]

_MOST_NAMES, _LONGEST_NAME = 50, 64
_LONGEST_LOOKED_INTO = 128 * 1024
_VENDOR_ERROR = "vendor_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A configured endpoint.

    Args:
        origin: the vendor's and the source's name.
        vendor: the vendor's code.
        secrets: the live secrets.
        echo: how a handshake's token is read back.
        allow_from: networks that may call; empty means all.
    """

    origin: Origin
    vendor: Vendor
    secrets: Secrets
    echo: EchoStyle = "json"
    allow_from: tuple[Network, ...] = ()


class Understood(NamedTuple):
    """What a delivery turned out to be.

    Args:
        messages: what to make durable; nothing for a handshake.
        types: of the events among them.
        echo: the token to read back, if any.
        reason: why it is quarantined, or None.
        failure: what the vendor's bug is and where, when that is why.
    """

    messages: Sequence[Message]
    types: tuple[str, ...] = ()
    echo: Echo | None = None
    reason: str | None = None
    failure: Mapping[str, str] | None = None


def understand(delivery: Request, source: Source, received_at: float) -> Understood:
    """Authenticate, normalize and encode. All of it pure, so it may run in a thread.

    What its vendor's code can't digest is quarantined, be it malformed or the code wrong:
    nothing authenticated is dropped.

    Raises:
        Unauthenticated: nothing may be stored.
    """
    echo = source.vendor.authenticate(delivery, source.secrets)
    if echo and echo.is_handshake:
        return Understood(messages=[], echo=echo)
    failure: Mapping[str, str] | None = None
    try:
        events = source.vendor.normalize(delivery)
        messages = encode_events(
            events,
            origin=source.origin,
            received_at=received_at,
            traceparent=traceparent_of(delivery.headers),
        )
    except Malformed as error:
        reason = error.reason
    except Exception as error:  # noqa: BLE001  a bug in a vendor's code must not cost the event
        reason, failure = _VENDOR_ERROR, place_of(error)
    else:
        types = tuple([event.type for event in events])
        return Understood(messages=messages, echo=echo, types=types)
    message = encode_quarantined(
        delivery.body,
        reason=reason,
        origin=source.origin,
        received_at=received_at,
        headers=delivery.headers,
        secrets=source.secrets.values,
    )
    return Understood(messages=[message], echo=echo, reason=reason, failure=failure)


def place_of(error: BaseException) -> Mapping[str, str]:
    """Return what a bug is and where, without its text, which may quote a body."""
    frames = traceback.format_tb(error.__traceback__)
    return {"error": type(error).__name__, "traceback": "".join(frames)}


def names_seen(delivery: Request, secrets: Sequence[str]) -> dict[str, object]:
    """Return what a failed authentication may show: names, never values, and none of secrets."""
    content_type = delivery.headers.get("content-type", "").partition(";")[0]
    return {
        "header_names": _shown(delivery.headers, secrets),
        "query_names": _shown(_form_names(delivery.query_string), secrets),
        "body_names": _shown(_body_names(delivery), secrets),
        "content_type": _printable(content_type, secrets),
    }


def _body_names(delivery: Request) -> list[str]:
    if len(delivery.body) > _LONGEST_LOOKED_INTO:
        return []
    body = raw_json.trimmed(delivery.body)
    if "urlencoded" in delivery.headers.get("content-type", ""):
        return _form_names(body.decode(errors="replace"))
    try:
        value = raw_json.parse(body)
    except Malformed:
        return []
    return list(value) if isinstance(value, dict) else []


def _form_names(text: str) -> list[str]:
    """Return the names of a form. A part without a value may be a bare token, so it is none."""
    pairs = [part.partition("=") for part in text.split("&", _MOST_NAMES)]
    return [name for name, _, value in pairs if value.strip("=")]


def _shown(names: Iterable[str], secrets: Sequence[str]) -> list[str]:
    return [_printable(name, secrets) for name in itertools.islice(names, _MOST_NAMES)]


def _printable(text: str, secrets: Sequence[str]) -> str:
    """Return text that fits a log line; aiohttp reads bytes that are not UTF-8 as surrogates."""
    if redaction.holds_secret(text, secrets):  # sent where no vendor puts it, by mistake or guess
        return redaction.MARK.decode()
    return text[:_LONGEST_NAME].encode(errors="replace").decode()
