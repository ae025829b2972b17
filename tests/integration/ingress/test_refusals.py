"""What is refused over real HTTP, and what of it is logged; nothing of it is stored."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_network

import aiohttp
import orjson
import pytest
from structlog.testing import capture_logs

from relay import vendors
from relay.errors import Malformed, OutboxFull
from relay.events.event import NormalizedEvent
from relay.events.message import Origin
from relay.ingress.processing import Source
from relay.sink import PendingDelivery, Sink
from relay.vendors.kit.authentication import Secrets, require_secret
from relay.vendors.kit.request import Echo, Request
from tests.integration.conftest import Start, problem, source

TEXT = vendors.samples("swiftsell")[1].read_bytes()
TOKEN = "s3cret-token"
AUTHORIZED = {"Authorization": TOKEN}


@pytest.mark.parametrize("body", [b'{"token":"forged"}', b'"forged"', b"forged", b"token=forged"])
async def test_a_forged_token_is_refused_and_never_echoed(start: Start, body: bytes) -> None:
    relay = await start(source("swiftsell", TOKEN))

    answer = await relay.post("/in/swiftsell", body)

    assert answer.status == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem(answer.body)["type"] == "unauthenticated"
    assert b"forged" not in answer.body
    assert await relay.stored() == []


@pytest.mark.parametrize(
    "path",
    ["/in/nowhere", "/in/", "/in", "/", "/x/in/swiftsell", "/in/..%2fswiftsell",
     "/in/swiftsell%2f", "/metrics", "/readyz", "/in/SWIFTSELL"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_an_unknown_path_is_not_found(start: Start, path: str, method: str) -> None:
    relay = await start(source("swiftsell", TOKEN))
    url = aiohttp.client.URL(relay.url(path), encoded=True)

    async with relay.http.request(method, url, headers=AUTHORIZED) as response:
        body = await response.read()

    assert response.status == 404
    assert problem(body)["type"] == "unknown-source"
    assert relay.counted("relay_requests_total", source="unknown", status="404") == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_post_is_allowed(start: Start, method: str) -> None:
    relay = await start(source("swiftsell", TOKEN))

    answer = await relay.request(method, "/in/swiftsell", headers=AUTHORIZED)

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


class FullSink(Sink):
    """A sink that has no room."""

    def append_all(self, deliveries: Sequence[PendingDelivery]) -> None:
        for delivery in deliveries:
            delivery.complete(OutboxFull("The outbox has reached 1 bytes; try again later."))


async def test_a_full_sink_is_told_with_retry_after(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), sink=FullSink())

    answer = await relay.post("/in/swiftsell", TEXT, headers=AUTHORIZED)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert problem(answer.body)["type"] == "outbox-full"


class BrokenSink(Sink):
    """A sink with a bug."""

    def append_all(self, _: Sequence[PendingDelivery]) -> None:
        raise KeyError("bug")


async def test_our_own_bug_is_a_500_and_leaves_a_traceback(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), sink=BrokenSink())

    with capture_logs() as lines:
        answer = await relay.post("/in/swiftsell", TEXT, headers=AUTHORIZED)

    assert answer.status == 500
    assert b"bug" not in answer.body
    (line,) = [line for line in lines if line["event"] == "delivery failed"]
    assert line["error"] == "KeyError"
    assert "in append_all" in line["traceback"]


class FailingVendor:
    """A vendor's code with a bug."""

    def authenticate(self, request: Request, secrets: Secrets) -> None:
        require_secret([request.headers["Authorization"]], secrets)

    def normalize(self, request: Request) -> list[NormalizedEvent]:
        raise KeyError(request.body)


async def test_a_vendors_bug_is_quarantined_and_logged_without_the_body(start: Start) -> None:
    origin = Origin(vendor="failing", source="failing")
    failing = Source(origin=origin, vendor=FailingVendor(), secrets=Secrets([TOKEN]))
    relay = await start(failing)

    with capture_logs() as lines:
        answer = await relay.post("/in/failing", b"the body", headers=AUTHORIZED)

    (row,) = await relay.stored()
    (line,) = [line for line in lines if line["event"] == "vendor failed"]
    assert orjson.loads(answer.body)["reason"] == "vendor_error"
    assert (row.message.body, row.message.is_quarantined) == (b"the body", True)
    assert "in normalize" in line["traceback"]
    assert "the body" not in str(lines)


class EchoingVendor:
    """Vendor code that echoes what no JSON can hold, if it is asked to."""

    def authenticate(self, request: Request, _: Secrets) -> Echo | None:
        return Echo(token="caf\udce9") if b"caf" in request.body else None

    def normalize(self, _: Request) -> list[NormalizedEvent]:
        raise Malformed("not_json")


async def test_an_answer_that_fails_is_a_500_and_leaves_the_others_of_its_commit_alone(
    start: Start,
) -> None:
    origin = Origin(vendor="echoing", source="echoing")
    relay = await start(Source(origin=origin, vendor=EchoingVendor(), secrets=Secrets([TOKEN])))

    with capture_logs() as lines:
        answers = await asyncio.gather(
            *[relay.post("/in/echoing", body) for body in (b"1", b"caf", b"2")]
        )

    assert [answer.status for answer in answers] == [200, 500, 200]
    (line,) = [line for line in lines if line["event"] == "delivery failed"]
    assert "in accepted_response" in line["traceback"]
    assert relay.counted("relay_requests_total", source="echoing", status="500") == 1


async def test_a_handshake_needs_no_room(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), sink=FullSink())

    answer = await relay.post("/in/swiftsell", b'{"token":"%s"}' % TOKEN.encode())

    assert answer.status == 200


async def test_an_address_outside_allow_from_is_refused(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN, allow_from=(ip_network("192.0.2.0/24"),)))

    answer = await relay.post("/in/swiftsell", TEXT, headers=AUTHORIZED)

    assert answer.status == 401
    assert await relay.stored() == []


@pytest.mark.parametrize(
    ("trusted", "forwarded", "status"),
    [
        ("127.0.0.0/8", "192.0.2.9", 200),
        ("127.0.0.0/8", "203.0.113.1, 192.0.2.9", 200),
        ("127.0.0.0/8", "192.0.2.9, 203.0.113.1", 401),  # the last hop is the one seen
        ("127.0.0.0/8", "192.0.2.9, 127.0.0.2", 200),  # a second trusted proxy
        ("127.0.0.0/8", "not an address", 401),
        ("10.0.0.0/8", "192.0.2.9", 401),  # the caller is no proxy of ours
    ],
)
async def test_only_trusted_proxies_are_believed(
    start: Start, trusted: str, forwarded: str, status: int
) -> None:
    relay = await start(
        source("swiftsell", TOKEN, allow_from=(ip_network("192.0.2.0/24"),)),
        trusted_proxies=[ip_network(trusted)],
    )

    answer = await relay.post(
        "/in/swiftsell", TEXT, headers=AUTHORIZED | {"X-Forwarded-For": forwarded}
    )

    assert answer.status == status


async def test_a_failed_authentication_logs_names_and_no_values(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    body = orjson.dumps({"tokn": "wrong-value", "events": []})

    with capture_logs() as lines:
        await relay.post("/in/swiftsell?tok=query-value&bare", body, headers={"X-Tok": "hv"})

    (line,) = [line for line in lines if line["event"] == "delivery"]
    assert line["body_names"] == ["tokn", "events"]
    assert line["query_names"] == ["tok"]
    assert "X-Tok" in line["header_names"]
    assert line["bytes"] == len(body)
    for value in ("wrong-value", "query-value", "bare", "hv"):
        assert value not in str({**line, "header_names": None})


async def test_a_bare_token_is_not_taken_for_a_field_name(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    with capture_logs() as lines:
        await relay.post("/in/swiftsell", b"almost-" + TOKEN.encode(), headers=headers)

    assert TOKEN not in str(lines)
