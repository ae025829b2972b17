"""The forward service with one endpoint, and the real HTTP servers it posts to."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from consumers.forward.service import ForwardSettings, opened
from consumers.kit import Event
from consumers.kit.consumer import Handler
from consumers.kit.event import decode

OLD, NEW = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def event(number: int = 1, *, traceparent: str = "", text: str = "h\u00e9", **more: str) -> Event:
    document = {
        "specversion": "1.0",
        "id": f"event-{number}",
        "source": "/swiftsell/acme",
        "type": "message.created",
        "data": {"message": {"text": text}},
    }
    return decode(
        orjson.dumps(document | more),
        routing_key="swiftsell.message.created",
        headers={"traceparent": traceparent} if traceparent else None,
    )


@dataclass
class Endpoint:
    """An endpoint of the service, as the kit would call it."""

    deliver: Handler
    registry: CollectorRegistry

    @property
    def is_paused(self) -> bool:
        return bool(
            self.registry.get_sample_value("relay_forward_breaker_open", {"endpoint": "crm"})
        )


@contextlib.asynccontextmanager
async def forwarding(url: str, **options: object) -> AsyncIterator[Endpoint]:
    """Run the service with one endpoint, at url."""
    fields = {"secrets": [NEW], "bindings": ["#"], "allow_private": True} | options
    settings = ForwardSettings.model_validate({"endpoints": {"crm": {"url": url, **fields}}})
    registry = CollectorRegistry()
    async with opened(settings, registry) as (consumer,):
        assert consumer.handle_one
        yield Endpoint(consumer.handle_one, registry)


@dataclass(frozen=True)
class Received:
    path: str
    headers: Mapping[str, str]
    body: bytes
    peer: tuple[str, int]


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """Answer with `status` and `headers`, or as `answer` does, and remember what came in."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    answer: Answer | None = None
    received: list[Received] = field(default_factory=list)
    address: str = ""

    @property
    def url(self) -> str:
        return f"http://{self.address}/hooks"

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.received]

    async def receive(self, request: web.Request) -> web.StreamResponse:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        body = await request.read()
        self.received.append(Received(request.path_qs, request.headers, body, peer))
        if self.answer:
            return await self.answer(request)
        return web.Response(status=self.status, headers=self.headers)


@contextlib.asynccontextmanager
async def receiving(host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    """Listen on a free port of host until the end."""
    receiver = Receiver()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/{path:.*}", receiver.receive)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        port = runner.addresses[0][1]
        receiver.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        yield receiver
    finally:
        await runner.cleanup()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def talking(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Do to each connection what talk does, then close it; yield the URL."""
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await talk(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/hooks"
        await asyncio.gather(*tasks)
