"""An ingress over real HTTP, with a real outbox behind it and no broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from relay import vendors
from relay.events.message import Origin
from relay.ingress.client_address import Network
from relay.ingress.handler import Ingress, IngressOptions
from relay.ingress.http_server import Server
from relay.ingress.limits import Limits
from relay.ingress.outcomes import Outcomes
from relay.ingress.processing import Source
from relay.ingress.processing_subprocess import ProcessingSubprocess
from relay.observability.metrics import IngressMetrics
from relay.observability.recent_requests import RecentRequests
from relay.observability.tracing import Tracing
from relay.outbox.database import Pending
from relay.outbox.outbox import Outbox
from relay.sink import Sink
from relay.vendors.kit.authentication import Secrets


@dataclass
class Running:
    """A listening ingress and what a test needs to talk to it."""

    ingress: Ingress
    outbox: Outbox
    port: int
    http: aiohttp.ClientSession
    registry: CollectorRegistry
    recent: RecentRequests

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


def problem(body: bytes) -> dict[str, object]:
    document = orjson.loads(body)
    assert set(document) == {"type", "title", "status", "request_id"}
    return document


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    box = Outbox(directory=tmp_path / "outbox", max_bytes=1 << 30, committed=asyncio.Event())
    await box.open()
    yield box
    await box.close()


@pytest.fixture
async def subprocess() -> AsyncIterator[ProcessingSubprocess]:
    subprocess = ProcessingSubprocess()
    yield subprocess
    await subprocess.close()


@pytest.fixture
async def start(outbox: Outbox, subprocess: ProcessingSubprocess) -> AsyncIterator[Start]:
    """Start an ingress; `sink`, `body_limit_bytes` and so on replace the defaults."""
    running: list[tuple[web.ServerRunner, aiohttp.ClientSession]] = []

    async def start(
        *sources: Source,
        sink: Sink | None = None,
        body_limit_bytes: int = 100_000,
        bodies_limit_bytes: int = 10_000_000,
        read_timeout_s: float = 5,
        head_timeout_s: float = 5,
        trusted_proxies: Sequence[Network] = (),
        tracing: Tracing | None = None,
        **more_limits: int,
    ) -> Running:
        registry, recent = CollectorRegistry(), RecentRequests()
        ingress = Ingress(
            sink=sink or outbox,
            sources={source.origin.source: source for source in sources},
            options=IngressOptions(
                body_limit_bytes=body_limit_bytes, trusted_proxies=trusted_proxies
            ),
            subprocess=subprocess,
            outcomes=Outcomes(IngressMetrics(registry), tracing, recent=recent),
        )
        limits = Limits(
            body_bytes=body_limit_bytes,
            bodies_bytes=bodies_limit_bytes,
            connections=100,
            head_timeout_s=head_timeout_s,
            body_timeout_s=read_timeout_s,
            **more_limits,
        )
        runner = Server(ingress, limits).runner(shutdown_timeout_s=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        http = aiohttp.ClientSession(auto_decompress=False)
        running.append((runner, http))
        return Running(ingress, outbox, port, http, registry, recent)

    yield start
    for runner, http in running:
        await http.close()
        await runner.cleanup()
