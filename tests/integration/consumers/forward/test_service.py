"""Events posted to real HTTP servers: what is sent, and what becomes of the event."""

import asyncio
import contextlib
import ssl
import time
import traceback

import pytest
import trustme
from aiohttp import client_exceptions, web
from prometheus_client import CollectorRegistry
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from consumers.forward.endpoint import NotDelivered
from consumers.forward.service import ForwardSettings, opened
from consumers.kit import Reject, Unavailable
from tests.support.forwarding import (
    NEW,
    OLD,
    TRACEPARENT,
    Endpoint,
    Receiver,
    event,
    forwarding,
    receiving,
    talking,
)

# What is sent.


async def test_an_event_is_posted_as_it_came_and_signed(
    endpoint: Endpoint, receiver: Receiver
) -> None:
    before = int(time.time())

    await endpoint.deliver(event(traceparent=TRACEPARENT))

    (request,) = receiver.received
    assert request.path == "/hooks"
    assert request.body == event().body
    assert request.headers["Content-Type"] == "application/cloudevents+json"
    assert request.headers["User-Agent"] == "relay"
    assert request.headers["traceparent"] == TRACEPARENT
    assert request.headers["webhook-id"] == "event-1"
    assert before <= int(request.headers["webhook-timestamp"]) <= time.time()
    assert Webhook(NEW).verify(request.body, dict(request.headers))["id"] == "event-1"


async def test_during_a_rotation_a_receiver_may_know_either_secret(receiver: Receiver) -> None:
    async with forwarding(receiver.url, secrets=[NEW, OLD]) as endpoint:
        await endpoint.deliver(event())

    (request,) = receiver.received
    for secret in (OLD, NEW):
        Webhook(secret).verify(request.body, dict(request.headers))


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-x\r\nx-evil: 1"])
async def test_without_a_trace_there_is_no_header_for_it(
    traceparent: str, endpoint: Endpoint, receiver: Receiver
) -> None:
    await endpoint.deliver(event(traceparent=traceparent))

    assert "traceparent" not in receiver.received[0].headers


async def test_an_event_whose_id_can_be_no_header_is_rejected(
    endpoint: Endpoint, receiver: Receiver
) -> None:
    with pytest.raises(Reject, match="its id can't be a webhook-id"):
        await endpoint.deliver(event(id="a\r\nx-evil: 1"))

    assert receiver.received == []


async def test_a_large_event_is_sent_whole(endpoint: Endpoint, receiver: Receiver) -> None:
    large = event(text="x" * 5_000_000)

    await endpoint.deliver(large)

    assert receiver.bodies == [large.body]
    Webhook(NEW).verify(large.body, dict(receiver.received[0].headers))


async def test_connections_are_used_again_and_cookies_are_not_kept(
    endpoint: Endpoint, receiver: Receiver
) -> None:
    receiver.headers = {"Set-Cookie": "session=1"}

    for number in range(5):
        await endpoint.deliver(event(number))

    assert len({request.peer for request in receiver.received}) == 1
    assert not any("Cookie" in request.headers for request in receiver.received)


async def test_two_endpoints_get_the_same_event_with_outcomes_of_their_own(
    receiver: Receiver,
) -> None:
    fields = {"secrets": [NEW], "bindings": ["#"], "allow_private": True}
    async with receiving() as other:
        other.status = 500
        settings = ForwardSettings.model_validate(
            {"endpoints": {"a": fields | {"url": receiver.url}, "b": fields | {"url": other.url}}}
        )
        async with opened(settings, CollectorRegistry()) as (first, second):
            assert first.handle_one
            assert second.handle_one
            await first.handle_one(event())
            with pytest.raises(NotDelivered, match="b answered 500 Internal Server Error"):
                await second.handle_one(event())

    assert receiver.bodies == other.bodies == [event().body]


# What the answer means.


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, None),
        (299, None),
        (301, NotDelivered),
        (302, NotDelivered),
        (303, NotDelivered),
        (400, Reject),
        (401, NotDelivered),
        (404, NotDelivered),
        (410, Unavailable),
        (413, Reject),
        (415, Reject),
        (422, Reject),
        (429, NotDelivered),
        (500, NotDelivered),
        (502, NotDelivered),
        (503, NotDelivered),
        (504, NotDelivered),
    ],
)
async def test_a_status_decides_what_becomes_of_the_event(
    status: int, error: type[Exception] | None, endpoint: Endpoint, receiver: Receiver
) -> None:
    receiver.status = status
    receiver.headers = {"Location": "/elsewhere"}

    with (
        pytest.raises(error, match=f"crm.* answered {status}")
        if error
        else contextlib.nullcontext()
    ):
        await endpoint.deliver(event())

    assert len(receiver.received) == 1


async def test_an_endpoint_that_is_slow_to_answer_is_given_up() -> None:
    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with talking(say_nothing) as url, forwarding(url, timeout_s=0.2) as endpoint:
        with pytest.raises(NotDelivered, match=r"crm did not answer within 0\.2 s"):
            await endpoint.deliver(event())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    ],
    ids=["nothing", "half a line", "half a head", "no HTTP", "long header", "many headers"],
)
async def test_an_endpoint_that_breaks_off_is_down(answer: bytes) -> None:
    async def answer_so(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with talking(answer_so) as url, forwarding(url) as endpoint:
        with pytest.raises(NotDelivered, match="crm broke off: "):
            await endpoint.deliver(event())


async def test_an_endpoint_where_nobody_listens_is_down() -> None:
    async with receiving() as gone:
        pass

    async with forwarding(gone.url) as endpoint:
        with pytest.raises(NotDelivered, match=r"crm can't be reached: .*Connect call failed"):
            await endpoint.deliver(event())


@pytest.mark.parametrize("host", ["nobody.invalid", "x" * 64 + ".invalid"])
async def test_an_endpoint_whose_name_is_unknown_is_down(host: str) -> None:
    async with forwarding(f"https://{host}/") as endpoint:
        with pytest.raises(NotDelivered, match=r"crm (can't be reached|broke off): "):
            await endpoint.deliver(event())


async def test_an_endpoint_nobody_vouches_for_gets_nothing() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    served = []

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        served.append(await reader.read())

    async with talking(serve, tls=context) as url, forwarding(url) as endpoint:
        with pytest.raises(NotDelivered, match=r"can't be reached: .*CERTIFICATE_VERIFY_FAILED"):
            await endpoint.deliver(event())

    assert served == []


async def test_an_answer_before_the_whole_event_was_read_counts() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with talking(refuse) as url, forwarding(url, timeout_s=10) as endpoint:
        with pytest.raises(Reject, match="crm answered 413"):
            await endpoint.deliver(event(text="x" * 10_000_000))


async def test_of_an_answer_that_never_ends_little_is_read(receiver: Receiver) -> None:
    sent_bytes = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent_bytes
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65_536))
            sent_bytes += 65_536

    receiver.answer = flood
    async with forwarding(receiver.url) as endpoint:
        await endpoint.deliver(event())

    assert sent_bytes < 32_000_000  # what the kernel's buffers take


async def test_an_answer_whose_rest_does_not_come_is_an_answer(receiver: Receiver) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "5"})
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    receiver.answer = hang
    async with forwarding(receiver.url, timeout_s=0.3) as endpoint:
        await endpoint.deliver(event())

    assert len(receiver.received) == 1


async def test_no_error_and_no_line_of_the_log_shows_the_url_or_the_answer() -> None:
    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 s3cret\r\nContent-Length: 6\r\n\r\ns3cret")
        await writer.drain()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    for talk in (tell, hang_up):
        async with (
            talking(talk) as url,
            forwarding(url + "?token=s3cret", failures_to_pause=1) as endpoint,
        ):
            with capture_logs() as lines, pytest.raises(Unavailable) as caught:
                await endpoint.deliver(event(text="x" * 10_000_000))

        assert "s3cret" not in "".join(traceback.format_exception(caught.value))
        assert lines
        assert "s3cret" not in str(lines)


def test_every_error_of_the_client_means_that_the_endpoint_is_down() -> None:
    errors = {getattr(client_exceptions, name) for name in client_exceptions.__all__}

    errors.remove(client_exceptions.WSMessageTypeError)  # of WebSockets, and not raised by a POST
    assert all(issubclass(error, client_exceptions.ClientError | OSError) for error in errors)
