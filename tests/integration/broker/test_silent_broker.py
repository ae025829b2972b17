"""A broker that answers all but one step: it is given up in time, and the next one is tried."""

import asyncio

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from consumers.kit.consuming.inbox import Inbox, Intake
from consumers.kit.queues import bindings
from relay.broker.connection import close, connect
from relay.broker.publisher import BrokerOptions, Publisher
from relay.broker.session import Session
from relay.errors import BrokerError
from relay.events import topology
from relay.observability.metrics import BrokerMetrics
from tests.integration.broker.silent_broker import silent_on
from tests.support.eventually import LIMIT_S

NOTHING = "Nothing.AtAll"
PUBLISHING = {
    "Connection.StartOk": "did not answer",
    "Connection.Open": "did not answer",
    "Channel.Open": "open a channel",
    "Exchange.Declare": "declare Exchange",
    "Queue.Declare": "declare Queue",
    "Queue.Bind": "declare Binding",
    "Confirm.Select": "open a channel",
    "Channel.Close": "close a channel",
}
CONSUMING = {
    "Basic.Get": "read",
    "Basic.Publish": "publish",
    "Basic.Qos": "limit the prefetch",
    "Basic.Consume": "consume",
}


async def reaches_the_next_one(method: str) -> str:
    """Connect where a method is ignored; return why the first broker was given up."""
    async with silent_on(method) as silent, silent_on(NOTHING) as next_one:
        options = BrokerOptions(
            urls=[silent, next_one], declare_topology=True, heartbeat_s=10, confirm_timeout_s=5
        )
        publisher = Publisher(
            options,
            exchange_of=lambda _: "none",
            topology=topology.topology("none", unrouted_max_length=1, quarantine_max_length=1),
            metrics=BrokerMetrics(CollectorRegistry()),
        )
        connected = asyncio.Event()
        reasons: list[str] = []

        async def use(_: Session) -> None:
            connected.set()
            await asyncio.Event().wait()

        running = asyncio.create_task(publisher.run(use))
        async with asyncio.timeout(2 * LIMIT_S):
            await connected.wait()
        reasons.append(publisher.reason or "")
        running.cancel()
        await asyncio.wait([running])
    return reasons[0]


async def test_every_step_of_connecting_a_publisher_has_a_limit() -> None:
    with capture_logs() as lines:
        await asyncio.gather(*map(reaches_the_next_one, PUBLISHING))

    reasons = [line["reason"] for line in lines if line["event"] == "broker unavailable"]
    assert len(reasons) == len(PUBLISHING)
    assert [reason for reason in reasons if "did not answer within" not in reason] == []
    for step in PUBLISHING.values():
        assert any(step in reason for reason in reasons), step


async def consume(method: str) -> str:
    """Do what a service does where a method is ignored, and return how it failed."""
    async with silent_on(method) as url:
        connection = await connect(url, heartbeat_s=10)
        try:
            await bindings.update(
                connection, service="s", exchange="e", patterns=("#",), is_removing=True
            )
            assert connection.transport
            inbox = Inbox(connection.transport.connection, lambda _: None)
            await inbox.consume("s", Intake(prefetch=1))
        except BrokerError as error:
            return str(error)
        finally:
            await close(connection)
    raise AssertionError(f"{method} was answered")


async def test_every_step_of_consuming_has_a_limit() -> None:
    reasons = await asyncio.gather(*map(consume, CONSUMING))

    for reason, step in zip(reasons, CONSUMING.values(), strict=True):
        assert "did not answer within" in reason
        assert step in reason
