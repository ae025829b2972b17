"""The requests that are sent: documented payloads as their vendors would send them, as bytes.

Each documented payload that is understood appears once, the vendors interleaved. Left out are
handshakes (no event in them), what is quarantined (not JSON as documented; its repaired form is
in) and what is larger than 20 kB, since a few of these would decide the result.
"""

import random
import time
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import quote, urlencode

import orjson
from multidict import CIMultiDict, CIMultiDictProxy

from relay import vendors
from relay.events.message import Message, Origin
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import OutgoingRequest, Request
from tests.support.relay_process import SECRET

MAX_BYTES = 20_000
_TRANSCRIPT_BYTES = 5 * 1024 * 1024 - 1024  # a little below the relay's default limit
_SEED = 1
NAMES = ("acquire", "channeltalk", "pickyassist", "supporthunt", "swiftsell")
"""The vendors of every benchmark so far: with others in it a result could not be compared."""
_VENDORS = {name: vendors.discover()[name] for name in NAMES}


class Call(NamedTuple):
    """One request, ready for the socket, and how many events it holds."""

    wire: bytes
    events: int


def calls(name: str) -> list[Call]:
    """Return what to send, over and over: `documented`, `events:<count>` or `transcript`."""
    kind, _, count = name.partition(":")
    match kind:
        case "documented":
            return [_call(vendor, body) for vendor, body in _payloads()]
        case "events":
            return [_call("swiftsell", _array(int(count)))]
        case "transcript":
            return [_call("acquire", _transcript())]
        case _:
            raise ValueError(f"there are no requests named {name}")


def messages() -> list[Message]:
    """Return the documented payloads as the relay publishes it."""
    found: list[Message] = []
    for vendor, body in _payloads():
        delivery = _VENDORS[vendor].sign(body, SECRET)
        found += _understood(vendor, delivery).messages
    return found


def _payloads() -> list[tuple[str, bytes]]:
    # A signature with its time is too old after minutes, and these bytes are sent for longer.
    timeless = [name for name, code in _VENDORS.items() if not getattr(code, "SIGNS_TIME", False)]
    payloads = [(vendor, body) for vendor in timeless for body in _documented(vendor)]
    random.Random(_SEED).shuffle(payloads)  # noqa: S311  the same order every time
    return payloads


def _documented(vendor: str) -> Iterator[bytes]:
    documented = files(vendors) / "samples" / vendor
    for sample in vendors.samples(vendor):
        if not (documented / sample.name).is_file():
            continue  # seen in the field, or malformed: an older relay may not understand it
        body = sample.read_bytes()
        delivery = _VENDORS[vendor].sign(body, SECRET)
        understood = _understood(vendor, delivery)
        if understood.messages and not understood.reason and len(body) <= MAX_BYTES:
            yield body


def _understood(vendor: str, delivery: OutgoingRequest) -> ProcessedDelivery:
    source = Source(
        origin=Origin(vendor=vendor, source=vendor),
        vendor=_VENDORS[vendor],
        secrets=Secrets([SECRET]),
    )
    request = Request(
        body=delivery.body,
        headers=CIMultiDictProxy(CIMultiDict(delivery.headers)),
        query_string=urlencode(delivery.query),
        path_secret=delivery.path_secret,
    )
    return process_delivery(request, source, time.time(), "delivery-1")


def _array(count: int) -> bytes:
    """Return a Swiftsell delivery with this many text messages, no two alike."""
    (event,) = orjson.loads(_sample("swiftsell", "02-message-text.json"))["events"]
    events = []
    for number in range(count):
        event["event"]["payload"]["message"]["text"] = f"Hiiiii {number}"
        events.append(orjson.dumps(event))
    return b'{"events": [%b]}' % b", ".join(events)


def _transcript() -> bytes:
    """Return the end of an Acquire chat with all that was said, 5 MiB of it."""
    chat = orjson.loads(_sample("acquire", "06-chat_on_close.repaired.json"))
    said = {"type": "text", "message": "Is anybody there? " * 10, "senderType": "visitor"}
    count = _TRANSCRIPT_BYTES // (len(orjson.dumps(said)) + 1) - 10
    return orjson.dumps(chat | {"chats": [said] * count})


def _sample(vendor: str, name: str) -> bytes:
    (found,) = [sample for sample in vendors.samples(vendor) if sample.name == name]
    return found.read_bytes()


def _call(vendor: str, body: bytes) -> Call:
    delivery = _VENDORS[vendor].sign(body, SECRET)
    events = len(_understood(vendor, delivery).messages)
    return Call(_rendered(vendor, delivery), events)


def _rendered(source: str, delivery: OutgoingRequest) -> bytes:
    path = f"/in/{source}"
    if delivery.path_secret:
        path += "/" + quote(delivery.path_secret, safe="")
    if delivery.query:
        path += "?" + urlencode(delivery.query)
    headers: Mapping[str, object] = {
        "Host": "127.0.0.1",
        "Accept": "*/*",
        "User-Agent": "bench",
        **delivery.headers,
        "Content-Length": len(delivery.body),
    }
    lines = [f"POST {path} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
    return "\r\n".join([*lines, "", ""]).encode() + delivery.body
