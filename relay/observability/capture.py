"""Whole requests, kept in memory for a person who looks for a fault: `/capture` on the admin port.

Off unless somebody switches it on, for one source and a limited time; then at most MAX_REQUESTS and
MAX_BYTES are kept. It goes off by itself when its time is over, or that is reached, and a minute
after its time what it kept is gone. On and off are logged.

Live secrets are taken out, of whichever source. So are the path behind the source's name, and the
values of headers and parameters whose names say that they hold a credential: what a refused caller
sent there may be somebody's, though it is none of ours. Signatures stay. What a source's `redact`
leads to was taken out before.

    POST   {"source": "acme", "for_s": 600, "refused": false}   begin anew; `refused`: only those
    GET    ?after=CURSOR                                         what is kept, and since the cursor
    DELETE                                                       end, and forget all of it
"""

import asyncio
import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, cast

import structlog

from relay.errors import Refused
from relay.events import redaction
from relay.events.timestamps import from_clock
from relay.observability.recent_requests import cursors_of, joined

MAX_REQUESTS = 100
MAX_BYTES = 10 * 1024 * 1024
MAX_FOR_S = 3600.0
_GRACE_S = 60.0
_BAD_REQUEST = 400
_MARK = redaction.MARK.decode()
_CREDENTIAL = re.compile(
    r"authorization|cookie|token|secret|api.?key|password|^key$|^auth$", re.IGNORECASE
)

log = structlog.get_logger("relay.capture")


class CapturedRequest(TypedDict):
    """A request without secrets.

    Args:
        number: of those that were captured, from 1; of each worker.
        time: when its head had arrived, RFC 3339 UTC.
        request_id: as in the log.
        status: of the answer.
        method: such as POST.
        target: path and query.
        headers: pairs of name and value.
        body: decompressed if it was understood so far, in Base64.
    """

    number: int
    time: str
    request_id: str
    status: int
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: str


class CapturePage(TypedDict):
    """The answer of `/capture`."""

    active: bool
    source: str
    cursor: str
    requests: list[CapturedRequest]


class CaptureOrder(NamedTuple):
    """What is to be captured.

    Args:
        source: its name.
        for_s: how long.
        is_refused_only: whether accepted requests are left out.
    """

    source: str
    for_s: float
    is_refused_only: bool


class Capture:
    """Keeps the requests of one source for a while. `source` is "" while it is off."""

    def __init__(self) -> None:
        self.source = ""
        self._order = CaptureOrder("", 0, is_refused_only=False)
        self._sources: frozenset[str] = frozenset()
        self._secrets: Sequence[str] = ()
        self._requests: list[CapturedRequest] = []
        self._bytes = 0
        self._timers: list[asyncio.TimerHandle] = []

    def set_sources(self, sources: Iterable[str], secrets: Sequence[str]) -> None:
        """Take the sources that there are, and all their live secrets."""
        self._sources, self._secrets = frozenset(sources), secrets

    def start(self, order: CaptureOrder) -> None:
        """Begin anew.

        Raises:
            Refused: there is no such source.
        """
        if order.source not in self._sources:
            raise Refused("no source of that name is configured")
        self.stop("begun anew")
        self._order, self.source = order, order.source
        loop = asyncio.get_running_loop()
        self._timers = [
            loop.call_later(order.for_s, self._end, "its time is over"),
            loop.call_later(order.for_s + _GRACE_S, self.stop, "its time is over"),
        ]
        log.warning("capture on", source=order.source, for_s=order.for_s)

    def stop(self, reason: str) -> None:
        """End, and forget what was kept."""
        self._end(reason)
        for timer in self._timers:
            timer.cancel()
        self._requests, self._bytes = [], 0

    def _end(self, reason: str) -> None:
        if self.source:
            kept = len(self._requests)
            log.warning("capture off", source=self.source, reason=reason, requests=kept)
        self.source = ""

    def take(  # noqa: PLR0913  a request has these parts
        self,
        *,
        request_id: str,
        received_at: float,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        status: int,
    ) -> None:
        """Keep a request to the source that was answered, if it is wanted and there is room."""
        if self._order.is_refused_only and status < _BAD_REQUEST:
            return
        size = len(body) + len(target) + sum(len(n) + len(v) for n, v in headers)
        if len(self._requests) >= MAX_REQUESTS or self._bytes + size > MAX_BYTES:
            self._end("enough was captured")
            return
        self._bytes += size
        self._requests.append(
            {
                "number": len(self._requests) + 1,
                "time": from_clock(received_at),
                "request_id": request_id,
                "status": status,
                "method": self._without_secrets(method),
                "target": self._public_target(target),
                "headers": [
                    (self._without_secrets(name), self._public(name, value))
                    for name, value in headers
                ],
                "body": base64.b64encode(redaction.redact(body, self._secrets)).decode(),
            }
        )

    def page(self, after: str) -> CapturePage:
        """Return what was kept since a cursor.

        Raises:
            Refused: it is none.
        """
        if after and not (after.isdecimal() and len(after) < len(str(MAX_REQUESTS)) + 1):
            raise Refused("after must be the cursor of an earlier answer")
        return {
            "active": bool(self.source),
            "source": self._order.source,
            "cursor": str(len(self._requests)),
            "requests": self._requests[int(after or 0) :],
        }

    def _without_secrets(self, text: str) -> str:
        encoded = text.encode(errors="replace")
        return redaction.redact(encoded, self._secrets).decode(errors="replace")

    def _public(self, name: str, value: str) -> str:
        return _MARK if _CREDENTIAL.search(name) else self._without_secrets(value)

    def _public_target(self, target: str) -> str:
        path, mark, query = target.partition("?")
        start, slash, rest = path.partition(f"/in/{self._order.source}/")
        shown = start + slash + _MARK if rest else path
        parts = [part.partition("=") for part in query.split("&")] if query else []
        # A part without a value may be a bare token.
        fields = [f"{name}{eq}{self._public(name, v)}" if v else _MARK for name, eq, v in parts]
        return self._without_secrets(shown + mark + "&".join(fields))


def read_order(document: object) -> CaptureOrder:
    """Return what the body of a POST asks for.

    Raises:
        Refused: it is something else.
    """
    match document:
        case {"source": str(source), "for_s": int() | float() as for_s, "refused": bool(refused)}:
            if 0 < for_s <= MAX_FOR_S:
                return CaptureOrder(source, float(for_s), refused)
    raise Refused(f"it needs source, for_s (at most {MAX_FOR_S:g}) and refused")


async def answer(capture: Capture, method: str, query: Mapping[str, str], document: object) -> Any:
    """Do what a request to `/capture` asks for, and return its answer."""
    if method == "POST":
        capture.start(read_order(document))
    elif method == "DELETE":
        capture.stop("switched off")
    return capture.page(query.get("after", "") if method == "GET" else "0")


def merged(pages: Sequence[Any], after: str) -> CapturePage:
    """Return the answers of several workers as one; None is one that did not answer."""
    cursors = cursors_of(after, len(pages))
    answered = [cast("CapturePage", page) for page in pages if page]
    requests = [request for page in answered for request in page["requests"]]
    numbered = zip(pages, cursors, strict=True)
    return {
        "active": any(page["active"] for page in answered),
        "source": answered[0]["source"] if answered else "",
        "cursor": joined([page["cursor"] if page else cursor for page, cursor in numbered]),
        "requests": sorted(requests, key=lambda request: request["time"]),
    }
