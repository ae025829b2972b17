"""A proxy of deploy/edge/ before three receivers, and a vendor that sends to them over TLS."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import count
from pathlib import Path

import aiohttp
import pytest
import trustme

from relay.settings import IngressSettings
from tests.faults.harness.receiver import Receiver
from tests.support.eventually import eventually
from tests.support.relay_process import SECRET, numbered
from tests.support.servers.edge_proxies import HAProxy, Nginx, Proxy

KINDS: list[type[Proxy]] = [HAProxy, Nginx]
RECEIVERS = 3
SENDERS = 8
LIMIT_BYTES = IngressSettings().body_limit_bytes
SETTINGS: dict[str, dict[str, object]] = {
    "ingress": {"body_limit_bytes": LIMIT_BYTES, "trusted_proxies": ["127.0.0.1"]},
    "broker": {},
    "sources__guarded": {
        "vendor": "swiftsell",
        "secrets": [SECRET],
        "allow_from": ["192.0.2.0/24"],
    },
}


class Certificate:
    """One for loopback, of an authority that only these tests trust.

    Args:
        directory: for its files.
    """

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        issued = self._authority.issue_cert("127.0.0.1")
        self.files = directory / "relay.crt", directory / "relay.key"
        chain, key = self.files
        chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())

    def trusted(self) -> ssl.SSLContext:
        """Return what a sender needs who trusts it."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context


class Edge:
    """A proxy, its receivers, and a vendor that sends to them over TLS."""

    def __init__(self, proxy: Proxy, receivers: list[Receiver], certificate: Certificate) -> None:
        self.proxy = proxy
        self.receivers = receivers
        self.certificate = certificate
        self.trust = certificate.trusted()
        self.url = f"https://127.0.0.1:{proxy.port}"
        self.accepted: list[str] = []
        self.failed: list[object] = []

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(ssl=self.trust)
        async with aiohttp.ClientSession(connector=connector) as http:
            yield http

    async def send(self, http: aiohttp.ClientSession, body: bytes) -> None:
        """Deliver once, and note what came of it: a vendor does not retry."""
        headers = {"Authorization": SECRET}
        try:
            async with http.post(
                f"{self.url}/in/swiftsell", data=body, headers=headers
            ) as response:
                if response.status == 200:
                    self.accepted += (await response.json())["events"]
                else:
                    self.failed.append(response.status)
        except aiohttp.ClientError as error:
            self.failed.append(error)

    async def status(self, path: str, **options: object) -> int:
        async with self.session() as http, http.post(f"{self.url}{path}", **options) as response:
            return response.status

    @contextlib.asynccontextmanager
    async def load(self) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
        """Send all through the block, which can wait for so many more acknowledgements."""
        bodies = (body for start in count(0, 1000) for body in numbered(1000, start))
        is_over = asyncio.Event()

        async def keep_sending() -> None:
            async with self.session() as http:
                while not is_over.is_set():
                    await self.send(http, next(bodies))

        async def accepts(more: int) -> None:
            wanted = len(self.accepted) + more
            await eventually(lambda: self.failed or len(self.accepted) >= wanted)

        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(keep_sending())
            try:
                yield accepts
            finally:
                is_over.set()

    async def requests(self) -> list[float]:
        """Return how many requests each receiver has answered."""
        return [await receiver.metric("relay_requests_total") for receiver in self.receivers]


@contextlib.asynccontextmanager
async def opened_edge(
    directory: Path,
    kind: type[Proxy],
    certificate: Certificate,
    *,
    broker_url: str,
    exchange: str,
    first: Mapping[str, Mapping[str, object]] | None = None,
) -> AsyncIterator[Edge]:
    """Run three receivers and a proxy before them; `first` are settings of the first one."""
    if reason := kind.lacks():
        pytest.skip(reason)
    async with contextlib.AsyncExitStack() as stack:
        receivers = []
        for number in range(RECEIVERS):
            settings = {} if number else dict(first or {})
            receiver = Receiver(
                directory / f"receiver-{number}",
                broker_url=broker_url,
                exchange=exchange,
                **{name: section | settings.get(name, {}) for name, section in SETTINGS.items()},
            )
            receivers.append(await stack.enter_async_context(receiver))
            if not settings:
                await eventually(receiver.is_connected)
        proxy = kind(directory / kind.program, receivers, certificate.files)
        await stack.enter_async_context(proxy)
        yield Edge(proxy, receivers, certificate)
