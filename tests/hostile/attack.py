"""What an attack is: bytes for raw sockets, and how they may be answered. Values only."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from relay import vendors
from tests.support.relay_process import SECRET

VENDORS = vendors.discover()
CUT = 0
"""In place of a status: the connection was closed without an answer."""

LAST = b"GET /in/last HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n"
"""Sent behind each shot: answered if the connection is still good, and the end of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What one connection sends.

    Args:
        what: it is, in a word or two.
        pieces: what is sent, one write each, until `answers` have come; may be endless.
        statuses: that an answer may have.
        answers: how many there are to be, no more and no less.
        closes: whether the relay has to close the connection by itself.
        pace_s: between two pieces, for callers that are slow on purpose.
        deaf_s: for how long no answer is read while something is left to send.
    """

    what: str
    pieces: Iterable[bytes]
    statuses: frozenset[int]
    answers: int = 1
    closes: bool = False
    pace_s: float = 0.0
    deaf_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """Shots of one kind.

    Args:
        name: in the words of the command line.
        shots: makes them; some are megabytes.
        idle: connections that are open meanwhile and send nothing.
    """

    name: str
    shots: Callable[[], Iterable[Shot]]
    idle: int = 0


def shot(what: str, wire: bytes, *statuses: int, closes: bool = False) -> Shot:
    """Return a shot of one piece and one answer."""
    return Shot(what=what, pieces=[wire], statuses=frozenset(statuses), closes=closes)


def request(
    path: str = "/in/swiftsell", headers: Mapping[str, object] | None = None, body: bytes = b""
) -> bytes:
    """Return a POST as it should be."""
    lines = {"Host": "relay", **(headers or {}), "Content-Length": len(body)}
    head = [f"POST {path} HTTP/1.1", *[f"{name}: {value}" for name, value in lines.items()]]
    return "\r\n".join([*head, "", ""]).encode() + body


def signed(vendor: str, body: bytes, headers: Mapping[str, object] | None = None) -> bytes:
    """Return body as its vendor would send it, to the source of that name."""
    delivery = vendors.sign(VENDORS[vendor], body, SECRET, time.time())
    path = f"/in/{vendor}"
    if delivery.path_secret:
        path += "/" + quote(delivery.path_secret, safe="")
    if delivery.query:
        path += "?" + urlencode(delivery.query)
    return request(path, {**delivery.headers, **(headers or {})}, delivery.body)


def accepted(
    vendor: str, what: str, body: bytes, headers: Mapping[str, object] | None = None
) -> Shot:
    """Return a shot that has to be taken, be it into quarantine: its sender knows the secret.

    It is refused where the proof lies in the body, and this body has no place for it.
    """
    status = 200 if _has_place_for_proof(vendor, body) else 401
    return shot(f"{vendor}: {what}", signed(vendor, body, headers), status)


def _has_place_for_proof(vendor: str, body: bytes) -> bool:
    one, other = (vendors.sign(VENDORS[vendor], body, secret, 0) for secret in (SECRET, "other"))
    return one != other


def forged(
    vendor: str, what: str, body: bytes, headers: Mapping[str, object] | None = None
) -> Shot:
    """Return a shot of somebody who knows no secret."""
    return shot(f"{vendor}: forged {what}", request(f"/in/{vendor}", headers, body), 401)
