"""The public listener: one delivery in, made durable, one answer out.

Imports nothing of the publisher: whether RabbitMQ is there can't fail a request, other than
through the sink it is given. Bodies, query strings, tokens and signatures are never logged.
"""

import asyncio
import contextlib
import itertools
import secrets as random_tokens
import time
import traceback
from collections.abc import Awaitable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol
from urllib.parse import unquote

import structlog
from aiohttp import web

from relay import http_answer, http_body
from relay.delivery import Network, Source, Understood, names_seen, understand
from relay.envelope import Message
from relay.errors import (
    InternalError,
    MethodNotAllowed,
    Refused,
    Unauthenticated,
    UnknownSource,
)
from relay.metrics import IngressMetrics, event_type_label
from relay.request import Request

_LARGE_BODY_BYTES = 128 * 1024
"""From here on a delivery is understood in a thread, so that small ones need not wait for it."""
_UNKNOWN = "unknown"

log = structlog.get_logger("relay.ingress")


class Sink(Protocol):
    """What makes messages durable: the outbox, or the broker itself."""

    def append(self, messages: Sequence[Message]) -> Awaitable[None]:
        """Return once all messages are durable, or raise Unavailable."""
        ...


class Ingress:
    """Answer requests. `sources` may be replaced at any time.

    Args:
        sink: where messages become durable.
        sources: the endpoints by name.
        body_limit_bytes: of a body, as sent and once decompressed.
        read_timeout_s: for a body to arrive.
        trusted_proxies: networks whose X-Forwarded-For is believed.
        metrics: where requests and events are counted.
    """

    def __init__(  # noqa: PLR0913  one per setting
        self,
        *,
        sink: Sink,
        sources: Mapping[str, Source],
        body_limit_bytes: int,
        read_timeout_s: float,
        trusted_proxies: Sequence[Network],
        metrics: IngressMetrics,
    ) -> None:
        self.sources = sources
        self.is_closing = False
        self._sink = sink
        self._body_limit_bytes = body_limit_bytes
        self._read_timeout_s = read_timeout_s
        self._trusted_proxies = trusted_proxies
        self._metrics = metrics
        self._request_ids = map(
            "{}-{:x}".format, itertools.repeat(random_tokens.token_hex(4)), itertools.count(1)
        )

    async def receive(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; log it in one line; count it."""
        started = time.perf_counter()
        request_id = next(self._request_ids)
        name, path_secret = _split(request.raw_path)
        line: dict[str, object] = {"request_id": request_id}
        try:
            source = self._route(request, name)
            response = await self._accept(request, source, path_secret, line)
        except Refused as error:
            response = self._refuse(error, name, line)
        except ConnectionError:
            raise  # the caller is gone; there is nobody to answer
        except web.RequestPayloadError:
            response = self._refuse(Refused("the body's framing is broken"), name, line)
        except Exception as error:  # noqa: BLE001  one delivery's bug must not end the relay
            log.error("delivery failed", source=name, **_where(error), **line)  # noqa: TRY400
            response = self._refuse(InternalError("see the traceback"), name, line)
        known_name = name if name in self.sources else _UNKNOWN
        if self.is_closing:
            response.force_close()
        elapsed_s = time.perf_counter() - started
        self._metrics.answer_seconds.observe(elapsed_s)
        self._metrics.count_request(known_name, response.status)
        log.info(
            "delivery",
            source=known_name,
            status=response.status,
            duration_ms=round(elapsed_s * 1000, 3),
            **line,
        )
        return response

    def _refuse(self, error: Refused, name: str, line: dict[str, object]) -> web.Response:
        line["reason"] = str(error)
        if isinstance(error, Unauthenticated):
            self._metrics.unauthenticated.labels(name).inc()
        return http_answer.problem(error, str(line["request_id"]))

    def _route(self, request: web.BaseRequest, name: str) -> Source:
        source = self.sources.get(name)
        if source is None:
            raise UnknownSource("no source of that name is configured")
        if request.method != "POST":
            raise MethodNotAllowed(f"{request.method} is not POST")
        return source

    async def _accept(
        self,
        request: web.BaseRequest,
        source: Source,
        path_secret: str | None,
        line: dict[str, object],
    ) -> web.Response:
        received_at = time.time()
        client = self._client(request)
        line["client"] = client
        _check_address(client, source)
        body = await http_body.read(
            request, limit=self._body_limit_bytes, timeout_s=self._read_timeout_s
        )
        line["bytes"] = len(body)
        delivery = Request(
            body=body,
            headers=request.headers,
            query_string=request.raw_path.partition("?")[2],
            path_secret=path_secret,
        )
        try:
            if len(body) < _LARGE_BODY_BYTES:
                understood = understand(delivery, source, received_at)
            else:
                understood = await asyncio.to_thread(understand, delivery, source, received_at)
        except Unauthenticated:
            line.update(names_seen(delivery))
            raise
        if understood.failure:
            log.error("vendor failed", source=source.origin.source, **_where(understood.failure))
        if understood.messages:
            await self._sink.append(understood.messages)
        self._count(source, understood)
        line.update(_summary(understood))
        return http_answer.answer(understood, source.echo)

    def _count(self, source: Source, understood: Understood) -> None:
        if understood.reason:
            self._metrics.quarantined.labels(source.origin.source).inc()
        elif not understood.messages:
            self._metrics.handshakes.labels(source.origin.source).inc()
        for event_type in understood.types:
            self._metrics.count_event(source.origin.vendor, event_type_label(event_type))

    def _client(self, request: web.BaseRequest) -> str:
        """Return the caller's address: the last one a trusted proxy did not vouch for.

        What a proxy forwards may be no address at all; that is "", which no network holds.
        """
        address = request.remote or ""
        if self._trusted_proxies:
            hops = request.headers.getall("x-forwarded-for", [])
            forwarded = [hop.strip() for hop in ",".join(hops).split(",") if hop.strip()]
            while forwarded and _is_within(address, self._trusted_proxies):
                address = str(_address(forwarded.pop()) or "")
        return address


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


def _check_address(client: str, source: Source) -> None:
    if source.allow_from and not _is_within(client, source.allow_from):
        raise Unauthenticated("the caller's address is not in allow_from")


def _is_within(text: str, networks: Sequence[Network]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, an IPv4 one in IPv6 clothes as itself; None if it is none."""
    with contextlib.suppress(ValueError):
        parsed = ip_address(text)
        return getattr(parsed, "ipv4_mapped", None) or parsed
    return None


def _where(error: Exception) -> dict[str, object]:
    """Return what a bug is and where, without its text, which may quote a body."""
    frames = traceback.format_tb(error.__traceback__)
    return {"error": type(error).__name__, "traceback": "".join(frames)}


def _summary(understood: Understood) -> dict[str, object]:
    if understood.reason:
        return {"quarantined": understood.reason, "event_id": understood.messages[0].id}
    if not understood.messages:
        return {"handshake": True}
    if len(understood.messages) == 1:
        message = understood.messages[0]
        return {"event_id": message.id, "routing_key": message.routing_key}
    return {"events": len(understood.messages), "event_id": understood.messages[0].id}
