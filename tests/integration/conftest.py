"""An ingress over real HTTP, with a real outbox behind it and no broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from relay import vendors
from relay.events.message import Origin
from relay.ingress.handler import Ingress
from relay.ingress.http_server import Server
from relay.ingress.processing import Source
from relay.ingress.processing_subprocess import ProcessingSubprocess
from relay.observability.metrics import IngressMetrics
from relay.outbox.database import Pending
from relay.outbox.outbox import Outbox
from relay.vendors.kit.authentication import Secrets


@dataclass
class Running:
    """A listening ingress and what a test needs to talk to it."""

    ingress: Ingress
    outbox: Outbox
    port: int
    http: aiohttp.ClientSession
    registry: CollectorRegistry

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def post(self, path: str, body: bytes = b"", **options: object) -> "Answer":
        return await self.request("POST", path, data=body, **options)

    async def request(self, method: str, path: str, **options: object) -> "Answer":
        async with self.http.request(method, self.url(path), **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def stored(self) -> list[Pending]:
        """Everything in the outbox."""
        return await self.outbox.pending(after=0, limit=10_000)

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@dataclass
class Answer:
    status: int
    headers: "aiohttp.typedefs.LooseHeaders"
    body: bytes


def source(vendor: str, *secrets: str, name: str | None = None, **options: object) -> Source:
    """A source as the settings would make it."""
    return Source(
        origin=Origin(vendor=vendor, source=name or vendor),
        vendor=vendors.discover()[vendor],
        secrets=Secrets(secrets),
        **options,
    )


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    box = Outbox(directory=tmp_path / "outbox", max_bytes=1 << 30, committed=asyncio.Event())
    await box.open()
    yield box
    await box.close()


@pytest.fixture
async def aside() -> AsyncIterator[ProcessingSubprocess]:
    aside = ProcessingSubprocess()
    yield aside
    await aside.close()


@pytest.fixture
async def start(outbox: Outbox, aside: ProcessingSubprocess) -> AsyncIterator[Start]:
    """Start an ingress; `sink`, `body_limit_bytes` and so on replace the defaults."""
    running: list[tuple[web.ServerRunner, aiohttp.ClientSession]] = []

    async def start(*sources: Source, **options: object) -> Running:
        registry = CollectorRegistry()
        arguments = {
            "sink": outbox,
            "body_limit_bytes": 100_000,
            "bodies_limit_bytes": 10_000_000,
            "read_timeout_s": 5,
            "trusted_proxies": [],
            "aside": aside,
        } | options
        ingress = Ingress(
            sources={source.origin.source: source for source in sources},
            metrics=IngressMetrics(registry),
            **arguments,
        )
        server = Server(
            ingress,
            body_limit_bytes=arguments["body_limit_bytes"],
            max_connections=100,
            head_timeout_s=5,
        )
        runner = web.ServerRunner(server, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        http = aiohttp.ClientSession(auto_decompress=False)
        running.append((runner, http))
        return Running(ingress, outbox, port, http, registry)

    yield start
    for runner, http in running:
        await http.close()
        await runner.cleanup()
