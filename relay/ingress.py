"""The public listener: one delivery in, made durable, one answer out.

Imports nothing of the publisher: whether RabbitMQ is there can't fail a request, other than
through the sink it is given. Bodies, query strings, tokens and signatures are never logged.
"""

import asyncio
import contextlib
import itertools
import secrets as random_tokens
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Literal, Protocol
from urllib.parse import unquote, urlencode

import orjson
import structlog
from aiohttp import web

from relay import http_body, jsontext
from relay.authentication import Secrets
from relay.envelope import Message, Origin, encode_events, encode_quarantined, traceparent_of
from relay.errors import (
    InternalError,
    Malformed,
    MethodNotAllowed,
    Refused,
    Unauthenticated,
    Unavailable,
    UnknownSource,
)
from relay.metrics import IngressMetrics, event_type_label
from relay.request import Echo, Request
from relay.vendors import Vendor

Network = IPv4Network | IPv6Network
EchoStyle = Literal["json", "text", "mirror"]

RETRY_AFTER_S = 5
_LARGE_BODY_BYTES = 128 * 1024
"""From here on a delivery is understood in a thread, so that small ones need not wait for it."""
_MOST_NAMES, _LONGEST_NAME = 50, 64
_UNKNOWN = "unknown"

log = structlog.get_logger("relay.ingress")


class Sink(Protocol):
    """What makes messages durable: the outbox, or the broker itself."""

    def append(self, messages: Sequence[Message]) -> Awaitable[None]:
        """Return once all messages are durable, or raise Unavailable."""
        ...


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """What a delivery turned out to be."""

    messages: list[Message]
    types: tuple[str, ...] = ()
    echo: Echo | None = None
    reason: str | None = None  # why it is quarantined


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
        except Exception:
            log.exception("delivery failed", source=name, **line)
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
        return _problem(error, str(line["request_id"]))

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
            line.update(_names_seen(delivery))
            raise
        if understood.messages:
            await self._sink.append(understood.messages)
        self._count(source, understood)
        line.update(_summary(understood))
        return _answer(understood, source.echo)

    def _count(self, source: Source, understood: Understood) -> None:
        if understood.reason:
            self._metrics.quarantined.labels(source.origin.source).inc()
        elif not understood.messages:
            self._metrics.handshakes.labels(source.origin.source).inc()
        for event_type in understood.types:
            self._metrics.count_event(source.origin.vendor, event_type_label(event_type))

    def _client(self, request: web.BaseRequest) -> str:
        """Return the caller's address: the last one a trusted proxy did not vouch for."""
        address = request.remote or ""
        if self._trusted_proxies:
            hops = request.headers.getall("x-forwarded-for", [])
            forwarded = [hop.strip() for hop in ",".join(hops).split(",") if hop.strip()]
            while forwarded and _is_within(address, self._trusted_proxies):
                address = forwarded.pop()
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


def _is_within(address: str, networks: Sequence[Network]) -> bool:
    with contextlib.suppress(ValueError):
        parsed = ip_address(address)
        return any(parsed in network for network in networks)
    return False


def understand(delivery: Request, source: Source, received_at: float) -> Understood:
    """Authenticate, normalize and encode. All of it pure, so it may run in a thread.

    Raises:
        Unauthenticated: nothing may be stored.
    """
    echo = source.vendor.authenticate(delivery, source.secrets)
    if echo and echo.is_handshake:
        return Understood(messages=[], echo=echo)
    try:
        events = source.vendor.normalize(delivery)
    except Malformed as error:
        message = encode_quarantined(
            delivery.body,
            reason=error.reason,
            origin=source.origin,
            received_at=received_at,
            headers=delivery.headers,
            secrets=source.secrets.values,
        )
        return Understood(messages=[message], echo=echo, reason=error.reason)
    messages = encode_events(
        events,
        origin=source.origin,
        received_at=received_at,
        traceparent=traceparent_of(delivery.headers),
    )
    return Understood(messages=messages, echo=echo, types=tuple([event.type for event in events]))


def _answer(understood: Understood, style: EchoStyle) -> web.Response:
    echo, messages = understood.echo, understood.messages
    if echo and not messages:
        return _answer_handshake(echo, style)
    answer: dict[str, object]
    if understood.reason:
        answer = {"status": "quarantined", "reason": understood.reason, "id": messages[0].id}
    else:
        answer = {"status": "accepted", "events": [message.id for message in messages]}
    if echo:
        answer["token"] = echo.token
    return _json(answer)


def _answer_handshake(echo: Echo, style: EchoStyle) -> web.Response:
    """Read the token back. As JSON; but bare text if it came as bare text, or as settings say."""
    shape = echo.shape if style == "mirror" or echo.shape == "text" else style
    match shape:
        case "text":
            return web.Response(text=echo.token, headers=_HEADERS)
        case "string":
            return _json(echo.token)
        case "form":
            form = urlencode({"token": echo.token})
            content_type = "application/x-www-form-urlencoded"
            return web.Response(text=form, content_type=content_type, headers=_HEADERS)
        case _:
            return _json({"token": echo.token})


_HEADERS = {"Server": "relay"}  # aiohttp would tell its own and Python's version


def _json(answer: object) -> web.Response:
    return web.Response(
        body=orjson.dumps(answer), content_type="application/json", headers=_HEADERS
    )


def _problem(error: Refused, request_id: str) -> web.Response:
    """Answer with a problem document (RFC 9457). Its texts are ours alone."""
    problem = {
        "type": error.slug,
        "title": error.title,
        "status": error.status,
        "request_id": request_id,
    }
    headers = dict(_HEADERS)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = "POST"
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return web.Response(
        body=orjson.dumps(problem),
        status=error.status,
        content_type="application/problem+json",
        headers=headers,
    )


def _summary(understood: Understood) -> dict[str, object]:
    if understood.reason:
        return {"quarantined": understood.reason, "event_id": understood.messages[0].id}
    if not understood.messages:
        return {"handshake": True}
    if len(understood.messages) == 1:
        message = understood.messages[0]
        return {"event_id": message.id, "routing_key": message.routing_key}
    return {"events": len(understood.messages), "event_id": understood.messages[0].id}


def _names_seen(delivery: Request) -> dict[str, object]:
    """Return what a failed authentication may show: names, never values."""
    return {
        "header_names": _bounded(delivery.headers),
        "query_names": _bounded(_form_names(delivery.query_string)),
        "body_names": _bounded(_body_names(delivery)),
        "content_type": delivery.headers.get("content-type", "")[:_LONGEST_NAME],
    }


def _body_names(delivery: Request) -> list[str]:
    if len(delivery.body) > _LARGE_BODY_BYTES:
        return []
    body = jsontext.without_bom(delivery.body)
    if "form" in delivery.headers.get("content-type", ""):
        return _form_names(body.decode(errors="replace"))
    try:
        value = jsontext.parse(body)
    except Malformed:
        return []
    return list(value) if isinstance(value, dict) else []


def _form_names(text: str) -> list[str]:
    """Return the names of a form; a part without `=` may be a bare token, so it is none."""
    return [part.partition("=")[0] for part in text.split("&", _MOST_NAMES) if "=" in part]


def _bounded(names: Sequence[str] | Mapping[str, str]) -> list[str]:
    return [name[:_LONGEST_NAME] for name in itertools.islice(names, _MOST_NAMES)]
