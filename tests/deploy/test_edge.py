"""HAProxy and nginx as in deploy/edge/, each in front of three receivers and RabbitMQ."""

import asyncio
import contextlib
import io
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import pytest
import trustme

from deploy.local.node import url_of
from deploy.local.private_server import free_port
from relay.settings import IngressSettings
from tests.faults.harness.receiver import Receiver
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_process import SECRET, numbered
from tests.support.servers.edge_proxies import HAProxy, Nginx, Proxy

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


class Edge:
    """A proxy, its receivers, and a vendor that sends to them over TLS."""

    def __init__(self, proxy: Proxy, receivers: list[Receiver], trust: ssl.SSLContext) -> None:
        self.proxy = proxy
        self.receivers = receivers
        self.trust = trust
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
        bodies = iter(numbered(1_000_000))
        is_over = asyncio.Event()

        async def keep_sending() -> None:
            async with self.session() as http:
                while not is_over.is_set():
                    await self.send(http, next(bodies))

        async def accepts(count: int) -> None:
            wanted = len(self.accepted) + count
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


Start = Callable[..., Awaitable[Edge]]

both = pytest.mark.parametrize("kind", [HAProxy, Nginx])


@pytest.fixture
async def start(tmp_path: Path, broker_url: str, recorder: Recorder) -> AsyncIterator[Start]:
    """Start three receivers and a proxy before them; `first` are settings of the first one."""
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    issued = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "relay.crt", tmp_path / "relay.key"
    chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            kind: type[Proxy], first: Mapping[str, Mapping[str, object]] | None = None
        ) -> Edge:
            if reason := kind.lacks():
                pytest.skip(reason)
            receivers = []
            for number in range(RECEIVERS):
                settings = {} if number else dict(first or {})
                receiver = Receiver(
                    tmp_path / f"receiver-{number}",
                    broker_url=broker_url,
                    exchange=recorder.exchange,
                    **{
                        name: section | settings.get(name, {}) for name, section in SETTINGS.items()
                    },
                )
                receivers.append(await stack.enter_async_context(receiver))
                if not settings:
                    await eventually(receiver.is_connected)
            proxy = kind(tmp_path / kind.program, receivers, (chain, key))
            await stack.enter_async_context(proxy)
            return Edge(proxy, receivers, trust)

        yield start


async def all_arrived(edge: Edge, recorder: Recorder) -> None:
    await eventually(lambda: set(edge.accepted) <= set(recorder.ids))


@both
async def test_requests_are_spread_over_all_receivers(
    kind: type[Proxy], start: Start, recorder: Recorder
) -> None:
    edge = await start(kind)

    async with edge.load() as accepts:
        await accepts(300)

    parts = await edge.requests()
    assert edge.failed == []
    assert min(parts) > 0.2 * sum(parts)
    await all_arrived(edge, recorder)


@both
async def test_a_receiver_that_is_killed_costs_no_request_and_no_event(
    kind: type[Proxy], start: Start, recorder: Recorder
) -> None:
    edge = await start(kind)

    async with edge.load() as accepts:
        await accepts(50)
        for receiver in edge.receivers:
            await receiver.kill()
            await eventually(receiver.takes_part)

    assert edge.failed == []
    await all_arrived(edge, recorder)


@both
async def test_a_rolling_restart_costs_no_request_and_no_event(
    kind: type[Proxy], start: Start, recorder: Recorder
) -> None:
    edge = await start(kind)

    async with edge.load():
        for receiver in edge.receivers:
            await receiver.restart()
            await eventually(receiver.takes_part)

    assert edge.failed == []
    await all_arrived(edge, recorder)


async def test_a_receiver_that_comes_back_gets_its_part_slowly(start: Start) -> None:
    edge = await start(HAProxy)
    assert isinstance(edge.proxy, HAProxy)
    state_of = edge.proxy.state_of
    await eventually(lambda: state_of(1)["status"] == "UP")

    await edge.receivers[0].take_away()
    await eventually(lambda: state_of(1)["status"].startswith("DOWN"))
    await edge.receivers[0].bring_back()
    await eventually(lambda: state_of(1)["status"] == "UP")

    begun = int(state_of(1)["throttle"].rstrip("%"))
    assert begun < 100
    await eventually(lambda: int(state_of(1)["throttle"].rstrip("%") or 100) > begun)


@both
async def test_a_receiver_that_answers_503_costs_no_request(
    kind: type[Proxy], start: Start, recorder: Recorder
) -> None:
    nowhere = {"urls": [url_of(free_port())]}
    edge = await start(kind, first={"ingress": {"ack_after": "confirm"}, "broker": nowhere})

    async with edge.load() as accepts:
        await accepts(50)

    assert edge.failed == []
    await all_arrived(edge, recorder)


@both
async def test_nothing_but_webhooks_is_let_through(kind: type[Proxy], start: Start) -> None:
    edge = await start(kind)

    for path in ("/", "/metrics", "/readyz", "/livez", "/in"):
        assert await edge.status(path) == 404
    assert await edge.requests() == [0.0] * RECEIVERS
    async with edge.session() as http, http.get(f"{edge.url}/in/swiftsell") as response:
        assert response.status == 405


@both
@pytest.mark.parametrize(
    "framing", [b"Content-Length: %d" % (LIMIT_BYTES + 1), b"Transfer-Encoding: chunked"]
)
async def test_a_body_has_the_relays_own_limit(
    framing: bytes, kind: type[Proxy], start: Start
) -> None:
    edge = await start(kind)
    headers = {"Authorization": SECRET}
    largest = io.BytesIO(b" " * LIMIT_BYTES)

    reader, writer = await asyncio.open_connection("127.0.0.1", edge.proxy.port, ssl=edge.trust)
    head = b"POST /in/swiftsell HTTP/1.1\r\nHost: a\r\nAuthorization: %b\r\n%b\r\n\r\n"
    writer.write(head % (SECRET.encode(), framing))
    if b"chunked" in framing:
        writer.write(b"%x\r\n" % (LIMIT_BYTES + 1))
    writer.write(b" " * (LIMIT_BYTES + 1))
    answer = await reader.readline()  # aiohttp reads none once it can't write any more
    writer.transport.abort()

    assert b" 413 " in answer
    assert await edge.status("/in/swiftsell", data=largest, headers=headers) == 200


@both
async def test_a_head_within_the_relays_limits_is_let_through(
    kind: type[Proxy], start: Start
) -> None:
    edge = await start(kind)
    (body,) = numbered(1)
    many = {f"X-{number}": "a" for number in range(180)}
    for more in (many, {"Cookie": "a" * 8200}, {"X-Token": "a" * 20_000}):
        status = await edge.status(
            "/in/swiftsell", data=body, headers={"Authorization": SECRET, **more}
        )
        assert status == 200


@both
async def test_an_address_that_a_caller_claims_is_not_believed(
    kind: type[Proxy], start: Start
) -> None:
    edge = await start(kind)
    headers = {"Authorization": SECRET, "X-Forwarded-For": "192.0.2.1"}

    assert await edge.status("/in/guarded", data=numbered(1)[0], headers=headers) == 401


@both
async def test_no_secret_of_a_path_or_a_query_is_logged(kind: type[Proxy], start: Start) -> None:
    edge = await start(kind)
    await edge.status("/in/swiftsell/p4th-secret?token=qu3ry-secret")
    for receiver in edge.receivers:
        await receiver.take_away()

    assert await edge.status("/in/swiftsell/p4th-secret?token=qu3ry-secret") in {502, 503}

    await eventually(lambda: "swiftsell 401" in edge.proxy.log())
    assert "secret" not in edge.proxy.log()


@both
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_old_tls_is_refused(kind: type[Proxy], start: Start) -> None:
    edge = await start(kind)
    edge.trust.set_ciphers("DEFAULT:@SECLEVEL=0")
    edge.trust.minimum_version = ssl.TLSVersion.TLSv1
    edge.trust.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(aiohttp.ClientConnectorError):
        await edge.status("/in/swiftsell")
