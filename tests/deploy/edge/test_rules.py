"""What HAProxy and nginx let through, as in deploy/edge/: one of each for all these tests."""

import asyncio
import io
import ssl
import uuid
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.deploy.edge.edge import KINDS, LIMIT_BYTES, Certificate, Edge, opened_edge
from tests.faults.harness.queues import Queues
from tests.support.relay_process import SECRET, nothing_set_outside, numbered

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def edge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, broker_url: str
) -> AsyncIterator[Edge]:
    """An edge that no test changes."""
    directory = tmp_path_factory.mktemp("edge")
    exchange = f"test-{uuid.uuid4().hex[:12]}"
    certificate = Certificate(directory)
    with nothing_set_outside():
        async with opened_edge(
            directory, request.param, certificate, broker_url=broker_url, exchange=exchange
        ) as edge:
            yield edge
    await Queues(lambda: broker_url, exchange, {}).delete([])


async def test_nothing_but_webhooks_is_let_through(edge: Edge) -> None:
    before = await edge.requests()

    for path in ("/", "/metrics", "/readyz", "/livez", "/in"):
        assert await edge.status(path) == 404
    assert await edge.requests() == before
    async with edge.session() as http, http.get(f"{edge.url}/in/swiftsell") as response:
        assert response.status == 405


@pytest.mark.parametrize(
    "framing", [b"Content-Length: %d" % (LIMIT_BYTES + 1), b"Transfer-Encoding: chunked"]
)
async def test_a_body_has_the_relays_own_limit(framing: bytes, edge: Edge) -> None:
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


async def test_a_head_within_the_relays_limits_is_let_through(edge: Edge) -> None:
    (body,) = numbered(1)
    many = {f"X-{number}": "a" for number in range(180)}
    for more in (many, {"Cookie": "a" * 8200}, {"X-Token": "a" * 20_000}):
        status = await edge.status(
            "/in/swiftsell", data=body, headers={"Authorization": SECRET, **more}
        )
        assert status == 200


async def test_an_address_that_a_caller_claims_is_not_believed(edge: Edge) -> None:
    headers = {"Authorization": SECRET, "X-Forwarded-For": "192.0.2.1"}

    assert await edge.status("/in/guarded", data=numbered(1)[0], headers=headers) == 401


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_old_tls_is_refused(edge: Edge) -> None:
    old = Edge(edge.proxy, edge.receivers, edge.certificate)
    old.trust.set_ciphers("DEFAULT:@SECLEVEL=0")
    old.trust.minimum_version = ssl.TLSVersion.TLSv1
    old.trust.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(aiohttp.ClientConnectorError):
        await old.status("/in/swiftsell")
