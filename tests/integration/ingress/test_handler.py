"""Each row of the table in design section 3 over real HTTP; what is stored is in a real outbox."""

import asyncio
import gzip
import zlib
from collections.abc import Sequence
from ipaddress import ip_network

import aiohttp
import orjson
import pytest
from structlog.testing import capture_logs

from relay import vendors
from relay.errors import OutboxFull
from relay.events.event import NormalizedEvent
from relay.events.message import Origin
from relay.ingress.processing import Source
from relay.sink import PendingDelivery, Sink
from relay.vendors.kit.authentication import Secrets, require_secret, signature_of
from relay.vendors.kit.request import Request
from tests.integration.conftest import Start, source

TEXT = vendors.samples("swiftsell")[1].read_bytes()
TOKEN = "s3cret-token"
AUTHORIZED = {"Authorization": TOKEN}


def problem(body: bytes) -> dict[str, object]:
    document = orjson.loads(body)
    assert set(document) == {"type", "title", "status", "request_id"}
    return document


async def test_an_authenticated_delivery_is_stored_and_accepted(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN, name="acme"))

    answer = await relay.post("/in/acme", TEXT, headers=AUTHORIZED)

    (row,) = await relay.stored()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert orjson.loads(answer.body) == {
        "status": "accepted",
        "events": [row.message.id],
        "token": TOKEN,
    }
    assert row.message.routing_key == "swiftsell.message.created.text"
    assert relay.counted("relay_requests_total", source="acme", status="200") == 1
    assert relay.counted("relay_events_total", vendor="swiftsell", type="message.created") == 1


async def test_a_vendor_without_echo_gets_no_token_back(start: Start) -> None:
    relay = await start(source("channeltalk", TOKEN))
    body = vendors.samples("channeltalk")[0].read_bytes()

    answer = await relay.post(f"/in/channeltalk?token={TOKEN}", body)

    assert set(orjson.loads(answer.body)) == {"status", "events"}


async def test_events_of_one_delivery_are_answered_in_order(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    element = orjson.loads(TEXT)["events"][0]

    answer = await relay.post(
        "/in/swiftsell", orjson.dumps({"events": [element, element]}), headers=AUTHORIZED
    )

    ids = orjson.loads(answer.body)["events"]
    assert ids == [row.message.id for row in await relay.stored()]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("padding", [0, 70_000], ids=["small", "large"])
async def test_equal_deliveries_that_nothing_tells_apart_are_stored_as_two_events(
    start: Start, padding: int
) -> None:
    relay = await start(source("acquire", TOKEN))
    said = orjson.dumps({"event": "CHAT_ON_MESSAGE", "id": 7, "message": {"msg": "ok"}})
    body = said + b" " * padding
    headers = {"x-acquire-signature": signature_of(body, TOKEN)}

    answers = [await relay.post("/in/acquire", body, headers=headers) for _ in range(2)]

    ids = [event_id for answer in answers for event_id in orjson.loads(answer.body)["events"]]
    assert ids == [row.message.id for row in await relay.stored()]
    assert len(set(ids)) == 2


async def test_an_entity_that_comes_again_with_other_company_has_the_same_id(start: Start) -> None:
    relay = await start(source("channeltalk", TOKEN))
    entity = {"id": "m1", "version": 1, "plainText": "ok"}
    bodies = [
        orjson.dumps({"type": "message", "event": "push", "entity": entity, "refers": refers})
        for refers in ({}, {"user": {"id": "u1"}})
    ]

    answers = [await relay.post(f"/in/channeltalk?token={TOKEN}", body) for body in bodies]

    first, again = (orjson.loads(answer.body)["events"] for answer in answers)
    assert first == again


HANDSHAKES = [
    (b'{"token":"%s"}', "application/json", {"token": TOKEN}),
    (b'{"token":"%s","events":[]}', "application/json", {"token": TOKEN}),
    (b'"%s"', "application/json", {"token": TOKEN}),
    (b"token=%s", "application/x-www-form-urlencoded", {"token": TOKEN}),
    (b"%s", "text/plain", TOKEN),
]


@pytest.mark.parametrize(("body", "content_type", "expected"), HANDSHAKES)
async def test_a_handshake_gets_its_token_back_and_stores_nothing(
    start: Start, body: bytes, content_type: str, expected: object
) -> None:
    relay = await start(source("swiftsell", "old-token", TOKEN))

    answer = await relay.post(
        "/in/swiftsell", body % TOKEN.encode(), headers={"Content-Type": content_type}
    )

    assert answer.status == 200
    got = answer.body.decode() if expected == TOKEN else orjson.loads(answer.body)
    assert got == expected
    assert await relay.stored() == []
    assert relay.counted("relay_handshakes_total", source="swiftsell") == 1


@pytest.mark.parametrize("place", ["header", "query", "path", "bearer"])
async def test_an_empty_handshake_outside_the_body_gets_its_token_back(
    start: Start, place: str
) -> None:
    relay = await start(source("supporthunt", TOKEN))
    path = {"query": f"?token={TOKEN}", "path": f"/{TOKEN}"}.get(place, "")
    headers = {"header": {"X-Token": TOKEN}, "bearer": {"Authorization": f"Bearer {TOKEN}"}}

    answer = await relay.post(f"/in/supporthunt{path}", headers=headers.get(place, {}))

    assert (answer.status, orjson.loads(answer.body)) == (200, {"token": TOKEN})
    assert await relay.stored() == []


@pytest.mark.parametrize(
    ("echo", "body", "expected"),
    [
        ("text", b'{"token":"%s"}', b"%s"),
        ("text", b'"%s"', b"%s"),
        ("mirror", b'{"token":"%s"}', b'{"token":"%s"}'),
        ("mirror", b'"%s"', b'"%s"'),
        ("mirror", b"%s", b"%s"),
        ("mirror", b"token=%s", b"token=%s"),
        ("json", b"token=%s", b'{"token":"%s"}'),
    ],
)
async def test_settings_choose_the_form_of_the_echo(
    start: Start, echo: str, body: bytes, expected: bytes
) -> None:
    relay = await start(source("swiftsell", TOKEN, echo=echo))

    answer = await relay.post("/in/swiftsell", body % TOKEN.encode())

    assert (answer.status, answer.body) == (200, expected % TOKEN.encode())


@pytest.mark.parametrize("body", [b'{"token":"forged"}', b'"forged"', b"forged", b"token=forged"])
async def test_a_forged_token_is_refused_and_never_echoed(start: Start, body: bytes) -> None:
    relay = await start(source("swiftsell", TOKEN))

    answer = await relay.post("/in/swiftsell", body)

    assert answer.status == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem(answer.body)["type"] == "unauthenticated"
    assert b"forged" not in answer.body
    assert await relay.stored() == []


async def test_an_empty_authenticated_call_stores_nothing(start: Start) -> None:
    relay = await start(source("pickyassist", TOKEN))

    answer = await relay.post(f"/in/pickyassist/{TOKEN}")

    assert (answer.status, orjson.loads(answer.body)) == (
        200,
        {"status": "accepted", "events": []},
    )
    assert await relay.stored() == []


@pytest.mark.parametrize("sample", vendors.samples("acquire"), ids=lambda sample: sample.name)
async def test_what_is_not_understood_is_quarantined_byte_for_byte(
    start: Start, sample: vendors.Traversable
) -> None:
    relay = await start(source("acquire", TOKEN))
    body = sample.read_bytes() + b"\n,"  # no sample is JSON after this
    headers = {"X-Acquire-Signature": signature_of(body, TOKEN), "Cookie": "session=1"}

    answer = await relay.post("/in/acquire", body, headers=headers)

    (row,) = await relay.stored()
    assert orjson.loads(answer.body) == {
        "status": "quarantined",
        "reason": "not_json",
        "id": row.message.id,
    }
    assert answer.status == 200
    assert row.message.is_quarantined
    assert row.message.routing_key == "acquire.not_json"
    assert row.message.body == body


async def test_xml_of_a_signed_caller_is_quarantined(start: Start) -> None:
    relay = await start(source("acquire", TOKEN))
    body = b"<case><status>closed</status></case>"

    answer = await relay.post(
        "/in/acquire", body, headers={"X-Acquire-Signature": signature_of(body, TOKEN)}
    )

    assert orjson.loads(answer.body)["status"] == "quarantined"


async def test_a_token_in_a_quarantined_body_is_removed(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    body = f"token={TOKEN}&unexpected=1".encode()

    answer = await relay.post("/in/swiftsell", body)

    (row,) = await relay.stored()
    assert orjson.loads(answer.body)["status"] == "quarantined"
    assert TOKEN.encode() not in row.message.body
    assert row.message.body == b"token=[secret removed]&unexpected=1"


async def test_an_unknown_event_type_is_accepted_under_its_own_name(start: Start) -> None:
    relay = await start(source("supporthunt", TOKEN))
    body = TEXT.replace(b'"type": "message"', b'"type": "sla_breached"', 1)

    answer = await relay.post("/in/supporthunt", body, headers=AUTHORIZED)

    (row,) = await relay.stored()
    assert answer.status == 200
    assert row.message.routing_key == "supporthunt.unrecognized.sla_breached"


async def test_an_insecure_source_takes_everything_and_echoes_nothing(start: Start) -> None:
    relay = await start(source("swiftsell"))

    handshake = await relay.post("/in/swiftsell", b'{"token":"anything"}')
    delivery = await relay.post("/in/swiftsell", TEXT)

    assert orjson.loads(handshake.body) == {"status": "accepted", "events": []}
    assert set(orjson.loads(delivery.body)) == {"status", "events"}


@pytest.mark.parametrize(
    "path",
    ["/in/nowhere", "/in/", "/in", "/", "/in/swiftsell/a/b", "/in/..%2fswiftsell",
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


async def chunks(count: int, size: int) -> object:
    for _ in range(count):
        yield b" " * size


@pytest.mark.parametrize("encoding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("framing", ["content-length", "chunked"])
async def test_a_body_over_the_limit_is_refused(
    start: Start, encoding: str | None, framing: str
) -> None:
    relay = await start(source("swiftsell", TOKEN), body_limit_bytes=10_000)
    plain = b" " * 10_001
    body = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(plain)
    headers = AUTHORIZED | ({"Content-Encoding": encoding} if encoding else {})

    async def chunked() -> object:
        yield body

    data = body if framing == "content-length" else chunked()
    answer = await relay.request("POST", "/in/swiftsell", data=data, headers=headers)

    assert answer.status == 413
    assert problem(answer.body)["type"] == "body-too-large"
    assert await relay.stored() == []


async def test_an_endless_chunked_body_is_cut_at_the_limit(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), body_limit_bytes=10_000)

    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        writer.write(b"400\r\n" + b"a" * 1024 + b"\r\n")
    status = await asyncio.wait_for(reader.readline(), 5)
    writer.close()

    assert status.startswith(b"HTTP/1.1 413 ")


async def test_a_caller_who_sends_on_after_a_refusal_is_cut(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), body_limit_bytes=1000)

    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)

    async def send_on() -> None:
        while True:
            writer.write(bytes(1000))
            await writer.drain()

    assert head.startswith(b"HTTP/1.1 413 ")
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_on(), 5)  # half of what aiohttp would listen on
    writer.close()


async def test_a_zip_bomb_costs_no_more_than_the_limit(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), body_limit_bytes=1_000_000)
    bomb = gzip.compress(b"\0" * 500_000_000, 9)
    assert len(bomb) < 1_000_000

    answer = await relay.post(
        "/in/swiftsell", bomb, headers=AUTHORIZED | {"Content-Encoding": "gzip"}
    )

    assert answer.status == 413


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda plain: zlib.compress(plain, wbits=-15)),
        ("identity", bytes),
    ],
)
async def test_supported_encodings_are_understood(
    start: Start, encoding: str, compress: object
) -> None:
    relay = await start(source("swiftsell", TOKEN))

    answer = await relay.post(
        "/in/swiftsell", compress(TEXT), headers=AUTHORIZED | {"Content-Encoding": encoding}
    )

    assert orjson.loads(answer.body)["status"] == "accepted"


async def test_a_body_that_does_not_decompress_is_quarantined_as_it_came(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    body = gzip.compress(TEXT)[:-9]

    answer = await relay.post(
        "/in/swiftsell", body, headers=AUTHORIZED | {"Content-Encoding": "gzip"}
    )

    (row,) = await relay.stored()
    assert orjson.loads(answer.body)["reason"] == "not_json"
    assert row.message.body == body


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
async def test_other_encodings_are_unsupported(start: Start, encoding: str) -> None:
    relay = await start(source("swiftsell", TOKEN))

    answer = await relay.post(
        "/in/swiftsell", TEXT, headers=AUTHORIZED | {"Content-Encoding": encoding}
    )

    assert answer.status == 415


async def test_a_slow_body_times_out(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), read_timeout_s=0.1)

    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    status = await asyncio.wait_for(reader.readline(), 5)
    writer.close()

    assert status.startswith(b"HTTP/1.1 408 ")


async def test_bodies_that_are_being_read_share_a_limit(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), bodies_limit_bytes=70_000)
    head = f"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\n"
    begun = f"{head}Content-Length: 60000\r\n\r\n".encode() + b"a" * 40_000

    callers = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(2)]
    for _, writer in callers:
        writer.write(begun)
    answers = {asyncio.create_task(it.readline()): writer for it, writer in callers}
    refused, _ = await asyncio.wait(answers, timeout=5, return_when="FIRST_COMPLETED")
    refusal = refused.pop()
    answers.pop(refusal).close()
    (other, writer), *_ = answers.items()
    writer.write(b"a" * 20_000)
    status = await asyncio.wait_for(other, 5)
    writer.close()

    assert (await refusal).startswith(b"HTTP/1.1 503 ")
    assert status.startswith(b"HTTP/1.1 200 ")


async def test_expect_100_continue_is_answered_before_the_body(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))

    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    head = f"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\n"
    writer.write(f"{head}Expect: 100-continue\r\nContent-Length: {len(TEXT)}\r\n\r\n".encode())
    interim = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.write(TEXT)
    status = await asyncio.wait_for(reader.readline(), 5)
    writer.close()

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert status == b"HTTP/1.1 200 OK\r\n"


async def test_broken_framing_is_a_bad_request(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))

    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await writer.drain()
    writer.write(b"zz\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 Bad Request\r\n" in head
    assert b"Server: relay" in head
    assert problem(body)["type"] == "bad-request"
    assert b"zz" not in body
    assert await relay.stored() == []


class FullSink(Sink):
    """A sink that has no room."""

    def append_all(self, deliveries: Sequence[PendingDelivery]) -> None:
        for it in deliveries:
            it.complete(OutboxFull("The outbox has reached 1 bytes; try again later."))


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


async def test_answers_carry_no_quick_reply_and_no_version(start: Start) -> None:
    relay = await start(source("channeltalk", TOKEN))

    answer = await relay.post(
        f"/in/channeltalk?token={TOKEN}", b"{}", headers={"X-Quick-Reply": "true"}
    )

    assert "x-quick-reply" not in answer.headers
    assert answer.headers["Server"] == "relay"


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


async def test_a_large_delivery_is_understood_like_a_small_one(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), body_limit_bytes=5_000_000)
    element = orjson.loads(TEXT)["events"][0]
    body = orjson.dumps({"events": [element] * 1000})

    accepted = await relay.post("/in/swiftsell", body, headers=AUTHORIZED)
    refused = await relay.post("/in/swiftsell", body, headers={"Authorization": "wrong"})

    assert len(orjson.loads(accepted.body)["events"]) == 1000
    assert refused.status == 401


async def test_while_closing_each_answer_ends_its_connection(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    relay.ingress.is_closing = True

    answer = await relay.post("/in/swiftsell", TEXT, headers=AUTHORIZED)

    assert (answer.status, answer.headers["Connection"]) == (200, "close")


async def test_a_vendor_type_never_becomes_a_label(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    body = TEXT.replace(b'"type": "message"', b'"type": "made_up"', 1)

    await relay.post("/in/swiftsell", body, headers=AUTHORIZED)

    assert relay.counted("relay_events_total", vendor="swiftsell", type="unrecognized") == 1
