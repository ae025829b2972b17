"""Redirects are followed, but not out of https and not into private networks."""

from collections.abc import Callable

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from consumers.forward.endpoint import NotDelivered
from tests.support.forwarding import (
    NEW,
    Endpoint,
    Receiver,
    event,
    forwarding,
    receiving,
)


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("size", [1, 2_000_000])
async def test_a_redirect_that_keeps_the_request_is_followed(
    status: int, size: int, receiver: Receiver
) -> None:
    big = event(text="x" * size)
    async with receiving() as target, forwarding(receiver.url) as endpoint:
        receiver.status, receiver.headers = status, {"Location": target.url + "?x=1"}

        await endpoint.deliver(big)

    (request,) = target.received
    assert (request.path, request.body) == ("/hooks?x=1", big.body)
    assert Webhook(NEW).verify(request.body, dict(request.headers))["id"] == "event-1"


async def test_three_redirects_are_followed_and_a_fourth_is_not(
    endpoint: Endpoint, receiver: Receiver
) -> None:
    def redirecting(times: int) -> Callable[[web.Request], object]:
        async def answer(request: web.Request) -> web.StreamResponse:
            hop = int(request.query.get("hop", "0"))
            if hop == times:
                return web.Response()
            return web.Response(status=307, headers={"Location": f"/hooks?hop={hop + 1}"})

        return answer

    receiver.answer = redirecting(3)
    await endpoint.deliver(event())
    assert len(receiver.received) == 4

    receiver.answer = redirecting(4)
    with pytest.raises(NotDelivered, match="crm redirected more than 3 times"):
        await endpoint.deliver(event())
    assert len(receiver.received) == 8


@pytest.mark.parametrize("location", ["", "ftp://127.0.0.1/", "http://me:s3cret@127.0.0.1/"])
async def test_a_redirect_to_nowhere_fails(
    location: str, endpoint: Endpoint, receiver: Receiver
) -> None:
    receiver.status, receiver.headers = 308, {"Location": location}

    with pytest.raises(NotDelivered, match="crm redirected to ") as caught:
        await endpoint.deliver(event())

    assert "s3cret" not in str(caught.value)
    assert not endpoint.is_paused


@pytest.mark.parametrize("name", ["localhost", "0x7f000001", "127.1"])
async def test_a_name_that_leads_to_a_private_address_is_not_called(
    name: str, receiver: Receiver
) -> None:
    port = receiver.url.rpartition(":")[2]
    url = f"http://{name}:{port}"

    async with forwarding(url, allow_private=["10.0.0.0/8"]) as endpoint:
        with pytest.raises(NotDelivered, match=r"is private|broke off"):
            await endpoint.deliver(event())

    assert receiver.received == []


@pytest.mark.parametrize("target", ["http://127.0.0.2:{}", "http://[::ffff:127.0.0.2]:{}/"])
async def test_a_redirect_to_a_network_that_is_not_allowed_is_not_followed(
    target: str, receiver: Receiver
) -> None:
    async with receiving("127.0.0.2") as inner:
        location = target.format(inner.address.rpartition(":")[2])
        receiver.status, receiver.headers = 307, {"Location": location}

        async with forwarding(receiver.url, allow_private=["127.0.0.1/32"]) as endpoint:
            with pytest.raises(NotDelivered, match="is private, and allow_private does not"):
                await endpoint.deliver(event())

        async with forwarding(receiver.url, allow_private=["127.0.0.0/8"]) as endpoint:
            await endpoint.deliver(event())

    assert len(receiver.received) == 2
    assert len(inner.received) == 1
