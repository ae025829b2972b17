"""An endpoint that is down is paused, and comes back by itself."""

import asyncio

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from consumers.forward.endpoint import NotDelivered
from consumers.kit import Reject, Unavailable
from tests.support.eventually import eventually
from tests.support.forwarding import Endpoint, Receiver, event, forwarding


async def fail(endpoint: Endpoint, *, times: int) -> None:
    for _ in range(times):
        with pytest.raises(NotDelivered):
            await endpoint.deliver(event())


async def recovered(endpoint: Endpoint) -> None:
    """Deliver an event as the kit does, waiting as long as told."""

    async def is_delivered() -> bool:
        try:
            await endpoint.deliver(event())
        except Unavailable as error:
            await asyncio.sleep(error.retry_after_s or 0)
            return False
        return True

    await eventually(is_delivered)


async def test_a_dead_endpoint_is_paused_and_comes_back(receiver: Receiver) -> None:
    async with forwarding(receiver.url, longest_pause_s=0.1) as endpoint:
        receiver.status = 503
        with capture_logs() as lines:
            await fail(endpoint, times=4)
            assert not endpoint.is_paused
            with pytest.raises(Unavailable, match="crm is paused: it answered 503"):
                await endpoint.deliver(event())
            assert endpoint.is_paused
            receiver.status = 204

            await recovered(endpoint)

        assert not endpoint.is_paused
        assert [(line["event"], line["endpoint"]) for line in lines] == [
            ("endpoint paused", "crm"),
            ("endpoint probed", "crm"),
            ("endpoint back", "crm"),
        ]


async def test_while_it_is_paused_nothing_is_sent(receiver: Receiver) -> None:
    async with forwarding(receiver.url, failures_to_pause=1) as endpoint:
        receiver.status = 502
        with pytest.raises(Unavailable):
            await endpoint.deliver(event())

        for number in range(50):
            with pytest.raises(Unavailable) as caught:
                await endpoint.deliver(event(number))
            assert caught.value.retry_after_s
            assert 0 < caught.value.retry_after_s <= 5

    assert len(receiver.received) == 1


async def test_a_single_event_finds_out_whether_it_is_back(receiver: Receiver) -> None:
    may_answer = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await may_answer.wait()
        return web.Response()

    async with forwarding(receiver.url, failures_to_pause=1, longest_pause_s=0.001) as endpoint:
        receiver.status = 503
        with pytest.raises(Unavailable):
            await endpoint.deliver(event())
        receiver.answer = wait

        async with asyncio.TaskGroup() as tasks:
            probes = [tasks.create_task(recovered(endpoint)) for _ in range(20)]
            await eventually(lambda: len(receiver.received) == 2)
            with pytest.raises(Unavailable) as caught:
                await endpoint.deliver(event())
            assert caught.value.retry_after_s == 1
            assert len(receiver.received) == 2
            assert not any(probe.done() for probe in probes)
            may_answer.set()

    assert len(receiver.received) == 2 + 19


async def test_an_event_that_failed_asks_again_after_the_others(receiver: Receiver) -> None:
    async with forwarding(receiver.url, failures_to_pause=1, longest_pause_s=240) as endpoint:
        receiver.status, receiver.headers = 503, {"Retry-After": "30"}

        with pytest.raises(Unavailable) as tried:
            await endpoint.deliver(event(1))
        with pytest.raises(Unavailable) as waiting:
            await endpoint.deliver(event(2))

    assert tried.value.retry_after_s == pytest.approx(31, abs=0.5)
    assert waiting.value.retry_after_s == pytest.approx(30, abs=0.5)


@pytest.mark.parametrize(("retry_after", "wait_s"), [("7", 7), ("0", 1), ("86400", 240)])
async def test_an_endpoint_that_says_when_to_come_back_is_paused_at_once(
    retry_after: str, wait_s: float, endpoint: Endpoint, receiver: Receiver
) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": retry_after}

    with pytest.raises(Unavailable) as caught:
        await endpoint.deliver(event())

    assert endpoint.is_paused
    assert caught.value.retry_after_s == pytest.approx(wait_s + 1, abs=0.5)


async def test_an_endpoint_that_is_gone_is_paused_for_the_longest_time(
    endpoint: Endpoint, receiver: Receiver
) -> None:
    receiver.status = 410

    with capture_logs() as lines, pytest.raises(Unavailable, match="it answered 410 Gone"):
        await endpoint.deliver(event())

    assert endpoint.is_paused
    assert lines[0]["reason"] == "answered 410 Gone"
    assert lines[0]["for_s"] == pytest.approx(240, abs=0.5)


@pytest.mark.parametrize("status", [500, 404, 401, 302])
async def test_an_endpoint_that_takes_no_event_is_paused(
    status: int, endpoint: Endpoint, receiver: Receiver
) -> None:
    receiver.status = status

    for number in range(5):
        assert not endpoint.is_paused
        with pytest.raises(NotDelivered):
            await endpoint.deliver(event(number))

    assert endpoint.is_paused
    for number in range(50):
        with pytest.raises(Unavailable, match=f"crm is paused: it answered {status}"):
            await endpoint.deliver(event(number))
    assert len(receiver.received) == 5


async def test_an_event_that_an_endpoint_never_takes_uses_up_its_attempts(
    endpoint: Endpoint, receiver: Receiver
) -> None:
    for status in [401, 500, 404, 302] * 5:
        receiver.status = status
        await fail(endpoint, times=1)

    assert not endpoint.is_paused


async def test_an_event_that_is_refused_as_a_probe_has_failed_and_the_pause_goes_on(
    receiver: Receiver,
) -> None:
    async with forwarding(receiver.url, failures_to_pause=1, longest_pause_s=0.01) as endpoint:
        receiver.status = 500
        with pytest.raises(NotDelivered):
            await endpoint.deliver(event())

        with pytest.raises(NotDelivered):
            await recovered(endpoint)
        assert endpoint.is_paused

        receiver.status = 204
        await recovered(endpoint)
        assert not endpoint.is_paused


async def test_rejections_do_not_pause_an_endpoint_that_is_up(
    endpoint: Endpoint, receiver: Receiver
) -> None:
    receiver.status = 422

    for number in range(20):
        with pytest.raises(Reject):
            await endpoint.deliver(event(number))

    assert not endpoint.is_paused


async def test_an_endpoint_that_rejects_an_event_is_back(receiver: Receiver) -> None:
    async with forwarding(receiver.url, failures_to_pause=1, longest_pause_s=0.01) as endpoint:
        receiver.status = 503
        with pytest.raises(Unavailable):
            await endpoint.deliver(event())
        receiver.status = 422

        with pytest.raises(Reject):
            await recovered(endpoint)

        assert not endpoint.is_paused


async def test_a_probe_that_is_cancelled_leaves_the_next_one_its_chance(
    receiver: Receiver,
) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    async with forwarding(receiver.url, failures_to_pause=1, longest_pause_s=0.01) as endpoint:
        receiver.status = 503
        with pytest.raises(Unavailable):
            await endpoint.deliver(event())
        receiver.answer = hang
        probe = asyncio.create_task(recovered(endpoint))
        await eventually(lambda: len(receiver.received) == 2)

        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        receiver.answer, receiver.status = None, 204

        await endpoint.deliver(event())
        assert not endpoint.is_paused
