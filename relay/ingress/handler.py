"""The public listener: one delivery in, made durable, one answer out.

Imports nothing of the publisher: whether RabbitMQ is there can't fail a request, other than
through the sink it is given. Bodies, query strings, tokens and signatures are never logged.
"""

import asyncio
import itertools
import secrets as random_tokens
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

import structlog
from aiohttp import web
from multidict import CIMultiDict

from relay.errors import (
    InternalError,
    MethodNotAllowed,
    NotDurable,
    OutboxFull,
    Refused,
    ServiceUnavailable,
    StorageFull,
    Unauthenticated,
    UnknownSource,
)
from relay.events.traceparent import traceparent_of
from relay.ingress import client_address, http_body, http_response
from relay.ingress.client_address import Network
from relay.ingress.http_response import Response
from relay.ingress.http_server import Head
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.ingress.processing_subprocess import ProcessingSubprocess
from relay.ingress.safe_errors import safe_field_names
from relay.observability.metrics import IngressMetrics, event_type_label
from relay.process.safe_traceback import safe_traceback
from relay.sink import Sink
from relay.vendors.kit.request import Request

if TYPE_CHECKING:
    from relay.observability.tracing import ReceiveSpan, Tracing

_LARGE_BODY_BYTES = 64 * 1024
"""From here on a delivery is understood aside, so that small ones need not wait for it."""
_UNKNOWN = "unknown"

log = structlog.get_logger("relay.ingress")

Reply = Callable[[Response], None]


class RequestContext:
    """One request under way: what it is answered by, and what its log line will say."""

    __slots__ = (
        "delivery_id",
        "head",
        "line",
        "name",
        "path_secret",
        "received_at",
        "request",
        "source",
        "span",
        "started",
    )

    def __init__(self, head: Head, request_id: str) -> None:
        self.started = time.perf_counter()
        self.received_at = time.time()
        self.delivery_id = random_tokens.token_hex(16)
        self.head = head
        self.name, self.path_secret = _split(head.raw_path)
        self.line: dict[str, object] = {"request_id": request_id}
        self.source: Source
        self.request: Request | None = None
        self.span: ReceiveSpan | None = None

    def delivery(self, body: bytes) -> Request:
        """Return the request as a vendor's code sees it."""
        self.line["bytes"] = len(body)
        self.request = Request(
            body=body,
            headers=self.head.headers,
            query_string=self.head.raw_path.partition("?")[2],
            path_secret=self.path_secret,
        )
        return self.request


class _Waiting:
    """A request on the short cut that is answered once its messages are durable."""

    __slots__ = ("_answer", "messages", "reply", "understood", "visit")

    def __init__(
        self,
        visit: RequestContext,
        understood: ProcessedDelivery,
        reply: Reply,
        answer: Callable[["_Waiting", Exception | None], None],
    ) -> None:
        self.visit = visit
        self.understood = understood
        self.messages = understood.messages
        self.reply = reply
        self._answer = answer

    def complete(self, error: Exception | None) -> None:
        self._answer(self, error)


class Ingress:
    """Response requests. `sources` may be replaced at any time.

    Args:
        sink: where messages become durable.
        sources: the endpoints by name.
        body_limit_bytes: of a body, as sent and once decompressed.
        bodies_limit_bytes: of all bodies that did not come as a whole, together.
        read_timeout_s: for a body to arrive.
        trusted_proxies: networks whose X-Forwarded-For is believed.
        aside: what understands large deliveries.
        metrics: where requests and events are counted.
        tracing: where requests become spans, if anywhere.
    """

    def __init__(  # noqa: PLR0913  one per setting
        self,
        *,
        sink: Sink,
        sources: Mapping[str, Source],
        body_limit_bytes: int,
        bodies_limit_bytes: int,
        read_timeout_s: float,
        trusted_proxies: Sequence[Network],
        aside: ProcessingSubprocess,
        metrics: IngressMetrics,
        tracing: "Tracing | None" = None,
    ) -> None:
        self.is_closing = False
        self._sink = sink
        self._body_limit_bytes = body_limit_bytes
        self._room = http_body.MemoryBudget(bodies_limit_bytes)
        self._read_timeout_s = read_timeout_s
        self._trusted_proxies = trusted_proxies
        self._aside = aside
        self._metrics = metrics
        self._tracing = tracing
        self.sources = sources
        self._log = log.bind()  # a lazy logger is asked for its real one at each call
        self._arrivals: list[tuple[RequestContext, bytes, Reply]] = []
        self._request_ids = map(
            "{}-{:x}".format, itertools.repeat(random_tokens.token_hex(4)), itertools.count(1)
        )

    @property
    def sources(self) -> Mapping[str, Source]:
        """The endpoints by name."""
        return self._sources

    @sources.setter
    def sources(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._metrics.show(sources)

    # A request ends in one answer, one log line and one count. It takes one of two ways there.

    def handle_buffered(self, head: Head, body: bytes, reply: Reply) -> None:
        """Response a request whose body is there already; see http_server.Receiver.

        What arrives in one turn of the event loop is dealt with together after it: between two
        system calls a processor forgets what it knew of our code, which costs as much as the work.
        """
        self._arrivals.append((RequestContext(head, next(self._request_ids)), body, reply))
        if len(self._arrivals) == 1:
            asyncio.get_running_loop().call_soon(self._receive_arrivals)

    def _receive_arrivals(self) -> None:
        arrivals, self._arrivals = self._arrivals, []
        waiting = [it for arrival in arrivals if (it := self._receive_one(*arrival))]
        if not waiting:
            return
        try:
            self._sink.append_all(waiting)
        except Exception as error:  # noqa: BLE001  nobody may be left without an answer
            for it in waiting:
                it.complete(error)

    def _receive_one(self, visit: RequestContext, body: bytes, reply: Reply) -> _Waiting | None:
        """Response a request at once, or return it with what is to be made durable first."""
        try:
            self._admit(visit)
            http_body.check_size(len(body), self._body_limit_bytes)
            understood = process_delivery(
                self._delivery(visit, body), visit.source, visit.received_at, visit.delivery_id
            )
            if understood.messages:
                return _Waiting(visit, understood, reply, self._settle)
            answer = self._accepted(visit, understood)
        except Exception as error:  # noqa: BLE001  one delivery's bug must not end the relay
            answer = self._refused(visit, error)
        reply(self._left(visit, answer))
        return None

    def _settle(self, it: _Waiting, error: Exception | None) -> None:
        if error:
            answer = self._refused(it.visit, error)
        else:
            answer = self._accepted(it.visit, it.understood)
        it.reply(self._left(it.visit, answer))

    async def handle_streaming(self, head: Head, request: web.BaseRequest) -> Response:
        """Response a request whose body is still to be read; see http_server.Receiver."""
        visit = RequestContext(head, next(self._request_ids))
        try:
            self._admit(visit)
            with http_body.Reservation(self._room) as share:
                understood = await self._understand(visit, request, share)
                if understood.messages:
                    await self._sink.append(understood.messages)
            answer = self._accepted(visit, understood)
        except ConnectionError:
            raise  # the caller is gone; there is nobody to answer
        except web.RequestPayloadError:
            answer = self._refused(visit, Refused("the body's framing is broken"))
        except Exception as error:  # noqa: BLE001  as in _receive_one
            answer = self._refused(visit, error)
        return self._left(visit, answer)

    async def _understand(
        self, visit: RequestContext, request: web.BaseRequest, share: http_body.Reservation
    ) -> ProcessedDelivery:
        body = await http_body.read(
            request, share, limit=self._body_limit_bytes, timeout_s=self._read_timeout_s
        )
        delivery = self._delivery(visit, body)
        if len(body) < _LARGE_BODY_BYTES:
            return process_delivery(delivery, visit.source, visit.received_at, visit.delivery_id)
        return await self._aside.process_delivery(
            delivery, visit.source, visit.received_at, visit.delivery_id
        )

    def _delivery(self, visit: RequestContext, body: bytes) -> Request:
        """Return what a vendor's code sees. Traced, its events are children of our span."""
        delivery = visit.delivery(body)
        if not self._tracing:
            return delivery
        traceparent = traceparent_of(delivery.headers)
        visit.span = self._tracing.receiving(visit.source.origin, traceparent, visit.received_at)
        headers = CIMultiDict(delivery.headers)
        headers["traceparent"] = visit.span.traceparent
        return delivery._replace(headers=headers)

    def _admit(self, visit: RequestContext) -> None:
        """Find the source; raise Refused for a request that is wrong whatever its body."""
        source = self._sources.get(visit.name)
        if source is None:
            raise UnknownSource("no source of that name is configured")
        if visit.head.method != "POST":
            raise MethodNotAllowed(f"{visit.head.method} is not POST")
        visit.source = source
        client = visit.head.remote
        if self._trusted_proxies:
            hops = visit.head.headers.getall("x-forwarded-for", [])
            client = client_address.client_address(client, hops, self._trusted_proxies)
        visit.line["client"] = client
        if source.allow_from and not client_address.is_within(client, source.allow_from):
            raise Unauthenticated("the caller's address is not in allow_from")

    def _accepted(self, visit: RequestContext, understood: ProcessedDelivery) -> Response:
        origin = visit.source.origin
        if understood.failure:
            log.error("vendor failed", source=origin.source, **understood.failure)
        if understood.reason:
            self._metrics.quarantined.labels(origin.source).inc()
        elif not understood.messages:
            self._metrics.handshakes.labels(origin.source).inc()
        for event_type in understood.types:
            self._metrics.events_of(origin.vendor, event_type_label(event_type)).inc()
        visit.line.update(_summary(understood))
        return http_response.accepted_response(understood, visit.source.echo)

    def _refused(self, visit: RequestContext, error: BaseException) -> Response:
        if isinstance(error, NotDurable):
            kind = StorageFull if isinstance(error, OutboxFull) else ServiceUnavailable
            error = kind(str(error))
        if not isinstance(error, Refused):
            log.error("delivery failed", source=visit.name, **safe_traceback(error), **visit.line)
            error = InternalError("see the traceback")
        if isinstance(error, Unauthenticated):
            self._metrics.unauthenticated.labels(visit.name).inc()
            if visit.request:
                visit.line.update(safe_field_names(visit.request, visit.source.secrets.values))
        visit.line["reason"] = str(error)
        return http_response.problem_response(error, str(visit.line["request_id"]))

    def _left(self, visit: RequestContext, answer: Response) -> Response:
        """Log and count what a request was answered with."""
        elapsed_s = time.perf_counter() - visit.started
        name = visit.name if visit.name in self._sources else _UNKNOWN
        self._metrics.answer_seconds.observe(elapsed_s)
        self._metrics.requests_of(name, answer.status).inc()
        line = visit.line
        line["source"] = name
        line["status"] = answer.status
        line["duration_ms"] = round(elapsed_s * 1000, 3)
        self._log.info("delivery", **line)
        if visit.span:
            visit.span.end(answer.status, line)
        return answer._replace(is_last=True) if self.is_closing else answer


def _split(raw_path: str) -> tuple[str, str | None]:
    """Split `/in/{source}[/{secret}]`. No decoding and no `..` before the source is found."""
    path = raw_path.partition("?")[0]
    match path.split("/"):
        case ["", "in", name]:
            return name, None
        case ["", "in", name, secret]:
            return name, unquote(secret)
        case _:
            return "", None


def _summary(understood: ProcessedDelivery) -> dict[str, object]:
    if understood.reason:
        return {"quarantined": understood.reason, "event_id": understood.messages[0].id}
    if not understood.messages:
        return {"handshake": True}
    if len(understood.messages) == 1:
        message = understood.messages[0]
        return {"event_id": message.id, "routing_key": message.routing_key}
    return {"events": len(understood.messages), "event_id": understood.messages[0].id}
