"""A delivery as one string of bytes, which is what a corpus holds and a fuzzer changes. Pure.

    /in/acme/SECRET?token=SECRET
    content-type: application/json

    {"events": []}

Each line ends with a line feed. What aiohttp's parser lets through becomes a request, as the
ingress makes it; what it refuses is left out.
"""

import re
from functools import cache
from urllib.parse import quote, urlencode

from multidict import CIMultiDict

from relay import vendors
from relay.ingress import request_context
from relay.vendors import Vendor
from relay.vendors.kit.request import OutgoingRequest, Request

LIVE = ("tok-Live+1/x==", "7401963")
"""The live secrets. Characters with more than one spelling, and digits that are JSON, too."""

_ODD_TYPE = b"\xc3\x9c. x"
_ODD_BODIES = [
    b"",
    b'{"token":"TOKEN"',
    b'{"a":"tok\\u002dLive+1\\/x=="} tok-Live%2b1%2Fx%3D%3d',
    b'{"events":[{"token":"TOKEN","a":1e2},{"a":1e2}]}',
    b'{"events":[{"token":"TOKEN","event":{"type":"' + _ODD_TYPE + b'"}}]}',
    b'{"event":"%b","type":"%b","entity":{},"event_id":"%b","contact_id":1}' % ((_ODD_TYPE,) * 3),
    b'{"events":' + b"[" * 300 + b"]" * 300 + b"}",
]

_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\0]*)")  # RFC 9110, 5


def read(data: bytes) -> Request:
    """Return the request that data stands for."""
    head, _, body = data.partition(b"\n\n")
    target, *lines = head.decode(errors="surrogateescape").split("\n")
    fields = filter(None, map(_FIELD.fullmatch, lines))
    return Request(
        body=body,
        headers=CIMultiDict((field[1], field[2].strip(" \t")) for field in fields),
        query_string=target.partition("?")[2],
        path_secret=request_context.split_path(target)[1],
    )


def target_of(delivery: OutgoingRequest, source: str) -> str:
    """Return the request target of a delivery."""
    secret = delivery.path_secret
    path = f"/in/{source}" if secret is None else f"/in/{source}/{quote(secret, safe='')}"
    return f"{path}?{urlencode(delivery.query)}" if delivery.query else path


def written(delivery: OutgoingRequest) -> bytes:
    """Return the bytes that stand for a delivery."""
    fields = [f"{name}: {value}" for name, value in delivery.headers.items()]
    head = "\n".join([target_of(delivery, "acme"), *fields, "", ""])
    return head.encode() + delivery.body


def signed(request: Request, vendor: Vendor) -> Request:
    """Return the request as someone who knows a secret would have sent it."""
    delivery = vendor.sign(request.body, LIVE[0])
    headers = CIMultiDict(request.headers)
    headers.update(delivery.headers)
    return Request(
        body=delivery.body,
        headers=headers,
        query_string=urlencode(delivery.query) or request.query_string,
        path_secret=delivery.path_secret or request.path_secret,
    )


@cache
def deliveries(name: str) -> list[OutgoingRequest]:
    """Return what a vendor sends who knows a secret: its samples, a handshake, and odd bodies."""
    vendor = vendors.discover()[name]
    bodies = [
        *(sample.read_bytes() for sample in vendors.samples(name)),
        *map(with_token, _ODD_BODIES),
    ]
    found = [vendor.sign(body, LIVE[0]) for body in bodies]
    handshake = vendors.handshake(vendor, LIVE[0])
    return [*found, handshake] if handshake else found


def with_token(data: bytes) -> bytes:
    """Put a live secret where it says TOKEN."""
    return data.replace(b"TOKEN", LIVE[0].encode())
