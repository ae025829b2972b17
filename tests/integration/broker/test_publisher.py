"""The publisher without a broker: what it must do all the same."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from relay.broker.publisher import BrokerOptions, ConnectionState, Publisher
from relay.broker.session import Session
from relay.events import topology
from relay.observability.metrics import BrokerMetrics
from tests.support.eventually import LIMIT_S, eventually


def publisher() -> Publisher:
    return Publisher(
        BrokerOptions(
            urls=["amqp://guest:guest@127.0.0.1:1/"],
            declare_topology=True,
            heartbeat_s=10,
            confirm_timeout_s=5,
        ),
        exchange_of=lambda _: "none",
        topology=topology.topology("none", unrouted_max_length=1, quarantine_max_length=1),
        metrics=BrokerMetrics(CollectorRegistry()),
    )


async def use(_: Session) -> None:
    raise AssertionError("there is no broker to open a session with")


@pytest.mark.parametrize("steps", range(15))
async def test_a_cancellation_at_any_step_of_connecting_ends_it(steps: int) -> None:
    for _ in range(20):
        running = asyncio.create_task(publisher().run(use))
        for _ in range(steps):
            await asyncio.sleep(0)

        running.cancel()

        done, _ = await asyncio.wait([running], timeout=LIMIT_S)
        assert done == {running}
        assert running.cancelled()


async def test_without_a_broker_it_is_disconnected_and_says_why() -> None:
    unconnected = publisher()
    running = asyncio.create_task(unconnected.run(use))
    await eventually(lambda: unconnected.reason != "not connected yet")

    running.cancel()
    await asyncio.wait([running])

    assert (unconnected.state, unconnected.is_connected) == (ConnectionState.DISCONNECTED, False)
    assert "RabbitMQ at 127.0.0.1:1 can't be reached" in (unconnected.reason or "")
