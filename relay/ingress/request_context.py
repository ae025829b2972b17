"""One request under way: what came, what it turned out to be, and where its answer goes."""

import itertools
import re
import secrets as random_tokens
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from multidict import CIMultiDict, CIMultiDictProxy

from relay.ingress.http_body import Reservation
from relay.ingress.http_response import Response
from relay.vendors.kit.request import Request

if TYPE_CHECKING:
    from relay.ingress.processing import Source
    from relay.observability.tracing import ReceiveSpan

_process_token = random_tokens.token_hex(16)
_numbers = itertools.count(1)
_ID_STARTS_AT = 24
_NO_HEADERS = CIMultiDictProxy(CIMultiDict[str]())
_ORIGIN = re.compile(r"https?://[^/?]*", re.IGNORECASE)
"""What the absolute form of a request target has before the path (RFC 9112, 3.2.2)."""


class Head(NamedTuple):
    """What the first lines of a request say, and who sent it.

    Args:
        method: such as POST.
        raw_path: the request target as sent, query included.
        headers: case-insensitive.
        remote: the address of whoever is connected.
    """

    method: str
    raw_path: str
    headers: CIMultiDictProxy[str]
    remote: str


class RequestContext:
    """One request, from its head to its answer. A connection makes it, an Ingress answers it.

    Args:
        head: of the request.
        reservation: the memory its body takes, from its second read on.
        reply: sends the answer; to be called once.
    """

    __slots__ = (
        "body",
        "delivery",
        "delivery_id",
        "details",
        "encoding",
        "head",
        "id",
        "line",
        "path_secret",
        "received_at",
        "reply",
        "reservation",
        "source",
        "source_name",
        "span",
        "started",
        "types",
    )

    def __init__(
        self, head: Head, reservation: Reservation, reply: Callable[[Response], None]
    ) -> None:
        self.started = time.perf_counter()
        self.received_at = time.time()
        self.head = head
        self.reservation = reservation
        self.reply = reply
        self.delivery_id = f"{_process_token}-{next(_numbers):x}"
        self.id = self.delivery_id[_ID_STARTS_AT:]  # enough to find it in one receiver's log
        self.source_name, self.path_secret = split_path(head.raw_path)
        self.body = b""
        self.encoding: str | None = None  # as its Content-Encoding says
        self.line: dict[str, object] = {"request_id": self.id}  # of the log
        self.types: tuple[str, ...] = ()  # of its events
        self.details: Mapping[str, object] | None = None  # for /recent, beside the line
        self.source: Source
        self.delivery: Request | None = None  # as vendors see it, once its body is whole
        self.span: ReceiveSpan | None = None

    @property
    def query_string(self) -> str:
        """As in the URL, without the question mark."""
        return self.head.raw_path.partition("?")[2]

    def as_vendors_see_it(self, body: bytes) -> Request:
        """Return the request with its body, which is decompressed by now."""
        self.line["bytes"] = len(body)
        self.delivery = Request(
            body=body,
            headers=self.head.headers,
            query_string=self.query_string,
            path_secret=self.path_secret,
            method=self.head.method,
            url=self.head.raw_path,
            received_at=self.received_at,
        )
        return self.delivery


def without_head(
    method: str, remote: str, reservation: Reservation, reply: Callable[[Response], None]
) -> RequestContext:
    """Return a request to be refused: of its head no more is known than, perhaps, the method."""
    request = RequestContext(Head(method, "", _NO_HEADERS, remote), reservation, reply)
    request.line["client"] = remote
    return request


def split_path(raw_path: str) -> tuple[str, str | None]:
    """Split `/in/{source}[/{secret}]`. No decoding and no `..` before the source is found.

    A secret goes to the end of the path: it may hold slashes as they stand.
    """
    path = raw_path.partition("?")[0]
    if not path.startswith("/") and (origin := _ORIGIN.match(path)):
        path = path[origin.end() :]
    start, _, rest = path.partition("/in/")
    if start:
        return "", None
    name, slash, secret = rest.partition("/")
    return name, unquote(secret) if slash else None
