"""HAProxy and nginx as in deploy/edge/, each in front of three receivers that come and go."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from deploy.local.node import url_of
from deploy.local.private_server import free_port
from tests.deploy.edge.edge import KINDS, Certificate, Edge, opened_edge
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.servers.edge_proxies import HAProxy, Proxy

Start = Callable[..., Awaitable[Edge]]

both = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
async def start(tmp_path: Path, broker_url: str, recorder: Recorder) -> AsyncIterator[Start]:
    """Start an edge; `first` are settings of the first receiver."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            kind: type[Proxy], first: Mapping[str, Mapping[str, object]] | None = None
        ) -> Edge:
            edge = opened_edge(
                tmp_path,
                kind,
                Certificate(tmp_path),
                broker_url=broker_url,
                exchange=recorder.exchange,
                first=first,
            )
            return await stack.enter_async_context(edge)

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
async def test_no_secret_of_a_path_or_a_query_is_logged(kind: type[Proxy], start: Start) -> None:
    edge = await start(kind)
    await edge.status("/in/swiftsell/p4th-secret?token=qu3ry-secret")
    for receiver in edge.receivers:
        await receiver.take_away()

    assert await edge.status("/in/swiftsell/p4th-secret?token=qu3ry-secret") in {502, 503}

    await eventually(lambda: "swiftsell 401" in edge.proxy.log())
    assert "secret" not in edge.proxy.log()
