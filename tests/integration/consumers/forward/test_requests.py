"""What an endpoint's settings say of its requests: headers, media type, proxy."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson
import pytest
import trustme
from aiohttp import connector, web
from standardwebhooks import Webhook

from consumers.kit import Unavailable
from tests.support.forwarding import NEW, Receiver, event, forwarding, receiving, talking

CREDENTIALS = "user:p%40ss"
BASIC = "Basic " + base64.b64encode(b"user:p@ss").decode()


async def test_a_receiver_that_parses_only_json_gets_the_event(receiver: Receiver) -> None:
    parsed: list[object] = []

    async def answer(request: web.Request) -> web.Response:  # as express.json() does
        is_json = request.content_type == "application/json"
        parsed.append(orjson.loads(receiver.bodies[-1]) if is_json else None)
        return web.Response()

    receiver.answer = answer
    async with forwarding(receiver.url, content_type="application/json") as endpoint:
        await endpoint.deliver(event())

    assert parsed == [orjson.loads(event().body)]


async def test_headers_of_ones_own_go_along_and_the_signature_holds(receiver: Receiver) -> None:
    headers = {"X-API-Key": "s3cret", "Authorization": "Bearer abc", "User-Agent": "shop"}
    async with forwarding(receiver.url, headers=headers) as endpoint:
        await endpoint.deliver(event())

    (request,) = receiver.received
    assert {name: request.headers[name] for name in headers} == headers
    assert Webhook(NEW).verify(request.body, dict(request.headers))["id"] == "event-1"


async def test_a_redirect_takes_them_to_no_other_origin(receiver: Receiver) -> None:
    async with receiving() as other:
        receiver.status, receiver.headers = 307, {"Location": other.url}
        async with forwarding(receiver.url, headers={"X-API-Key": "s3cret"}) as endpoint:
            await endpoint.deliver(event())

        assert "X-API-Key" in receiver.received[0].headers
        assert "X-API-Key" not in other.received[0].headers
        assert "webhook-signature" in other.received[0].headers


@dataclass
class ForwardProxy:
    """An HTTP proxy: CONNECT for https, the absolute form of the target for http."""

    requests: list[str] = field(default_factory=list)
    address: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, _, fields = head.partition("\r\n")
        self.requests.append(line)
        if f"Proxy-Authorization: {BASIC}\r\n" not in fields:
            writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        method, target, _ = line.split()
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            first = b""
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            host, _, port = target.removeprefix("http://").partition("/")[0].rpartition(":")
            path = target.removeprefix(f"http://{host}:{port}")
            first = f"{method} {path} HTTP/1.1\r\n{fields}".encode()
        remote_reader, remote_writer = await asyncio.open_connection(host, int(port))
        remote_writer.write(first)
        await asyncio.gather(copy(reader, remote_writer), copy(remote_reader, writer))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[ForwardProxy]:
    proxy = ForwardProxy()
    async with talking(proxy.serve) as url:
        proxy.address = url.removeprefix("http://").removesuffix("/hooks")
        yield proxy


async def test_http_goes_through_a_proxy_by_the_absolute_form(
    proxy: ForwardProxy, receiver: Receiver
) -> None:
    url = f"http://{CREDENTIALS}@{proxy.address}"
    async with forwarding(receiver.url, proxy=url) as endpoint:
        await endpoint.deliver(event())

    assert proxy.requests == [f"POST {receiver.url} HTTP/1.1"]
    assert receiver.bodies == [event().body]


async def test_https_goes_through_a_proxy_by_connect(
    proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n")
        await writer.drain()

    trusting, serving = (ssl.create_default_context(purpose) for purpose in ssl.Purpose)
    authority.configure_trust(trusting)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    monkeypatch.setattr(connector, "_SSL_CONTEXT_VERIFIED", trusting)  # made on import
    async with talking(answer, serving) as url:
        given = f"http://{CREDENTIALS}@{proxy.address}"
        async with forwarding(url, proxy=given) as endpoint:
            await endpoint.deliver(event())

        address = url.removeprefix("https://").removesuffix("/hooks")
    assert proxy.requests == [f"CONNECT {address} HTTP/1.1"]
    assert b"authorization" not in received[0].lower()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_makes_the_endpoint_unavailable_and_names_no_password(
    proxy: ForwardProxy, scheme: str
) -> None:
    async with forwarding(
        f"{scheme}://127.0.0.1:9/", proxy=f"http://user:wrong@{proxy.address}", failures_to_pause=1
    ) as endpoint:
        with pytest.raises(Unavailable, match="answered 407") as caught:
            await endpoint.deliver(event())

    assert "wrong" not in str(caught.value)


async def test_a_proxy_that_is_down_is_named_as_the_reason() -> None:
    async with forwarding(
        "http://127.0.0.1:9/", proxy="http://user:secret@127.0.0.1:1", failures_to_pause=1
    ) as endpoint:
        with pytest.raises(Unavailable, match="can't be reached through its proxy") as caught:
            await endpoint.deliver(event())

    assert "secret" not in str(caught.value)


async def test_a_proxy_is_not_asked_for_a_private_address(
    proxy: ForwardProxy,
) -> None:
    async with forwarding(
        "https://localhost:9/",
        proxy=f"http://{CREDENTIALS}@{proxy.address}",
        allow_private=False,
        failures_to_pause=1,
    ) as endpoint:
        with pytest.raises(Unavailable, match="is private, and allow_private does not have it"):
            await endpoint.deliver(event())

    assert proxy.requests == []
