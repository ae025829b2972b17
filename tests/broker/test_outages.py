"""The broker fails in each way it can; every acknowledged event arrives all the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aio_pika.abc import AbstractConnection

from deploy.local.broker import PrivateBroker
from relay.events import topology
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.parked_queue import ParkedQueue
from tests.support.relay_process import NOWHERE, RelayProcess, numbered, post_all
from tests.support.servers import administration
from tests.support.servers.proxy import Proxy

# A quorum queue takes more, until those who publish have heard that it is full.
SHORT = {"x-queue-type": "classic", "x-max-length": 5, "x-overflow": "reject-publish"}


@pytest.fixture
async def kept(own_broker: PrivateBroker, exchange: str) -> ParkedQueue:
    return await ParkedQueue(own_broker.url, exchange, f"{exchange}-kept").create()


async def test_a_thousand_deliveries_during_an_outage_arrive_in_order_after_it(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str, kept: ParkedQueue
) -> None:
    own_broker.stop()
    async with RelayProcess(tmp_path, broker_url=own_broker.url, exchange=exchange) as relay:
        accepted = await post_all(relay.url, numbered(1000), concurrency=1)
        status, readiness = await relay.readiness()
        assert (status, readiness["broker"]["state"]) == (200, "disconnected")
        assert readiness["outbox"]["messages"] == 1000

        own_broker.start()
        arrived = await kept.holds(set(accepted))

    assert len(accepted) == 1000
    assert arrived == accepted


async def test_a_broker_killed_under_load_costs_no_event(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str, kept: ParkedQueue
) -> None:
    async with RelayProcess(tmp_path, broker_url=own_broker.url, exchange=exchange) as relay:
        load = asyncio.create_task(post_all(relay.url, numbered(3000)))
        await eventually(lambda: len(relay.lines("delivery")) > 500)
        own_broker.kill()
        own_broker.start()
        accepted = await load
        arrived = await kept.holds(set(accepted))

    assert len(accepted) == 3000
    assert set(arrived) == set(accepted)


async def test_a_blocked_broker_is_waited_for(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str, kept: ParkedQueue
) -> None:
    async with RelayProcess(
        tmp_path, broker_url=own_broker.url, exchange=exchange, broker={"confirm_timeout_s": 1}
    ) as relay:
        await eventually(lambda: relay.lines("broker connected"))
        administration.set_vm_memory_high_watermark(own_broker, 0.0000001)
        try:
            accepted = await post_all(relay.url, numbered(50))
            await eventually(lambda: relay.lines("broker blocked"))
            status, readiness = await relay.readiness()
            assert (status, readiness["broker"]["state"]) == (200, "blocked")
        finally:
            administration.set_vm_memory_high_watermark(own_broker, 0.4)
        arrived = await kept.holds(set(accepted))
        await eventually(lambda: relay.lines("broker unblocked"))

    assert len(accepted) == 50
    assert set(arrived) == set(accepted)


@pytest.fixture
async def proxy(broker_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(broker_url) as proxy:
        yield proxy


async def test_a_cut_connection_is_made_again(
    tmp_path: Path, proxy: Proxy, exchange: str, recorder: Recorder
) -> None:
    async with RelayProcess(tmp_path, broker_url=proxy.url, exchange=exchange) as relay:
        load = asyncio.create_task(post_all(relay.url, numbered(2000)))
        for cut in (1, 2, 3):
            await eventually(lambda cut=cut: len(relay.lines("broker connected")) == cut)
            await recorder.has(100 * cut)
            proxy.cut()
        accepted = await load
        await eventually(lambda: set(accepted) <= set(recorder.ids))
        await eventually(relay.is_drained)
        await eventually(lambda: len(relay.lines("broker connected")) == 4)

    assert len(accepted) == 2000


async def test_an_answer_that_never_comes_ends_the_connection(
    tmp_path: Path, proxy: Proxy, exchange: str, recorder: Recorder
) -> None:
    async with RelayProcess(
        tmp_path, broker_url=proxy.url, exchange=exchange, broker={"confirm_timeout_s": 1}
    ) as relay:
        await eventually(lambda: relay.lines("broker connected"))
        proxy.stall()
        accepted = await post_all(relay.url, numbered(20))
        await eventually(lambda: relay.lines("broker unavailable"))
        proxy.cut()
        proxy.resume()
        await eventually(lambda: set(accepted) <= set(recorder.ids))

    assert "not confirmed within 1" in relay.lines("broker unavailable")[0]["reason"]


async def test_without_failures_events_arrive_once_and_in_order(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        accepted = await post_all(relay.url, numbered(500), concurrency=1)
        await eventually(relay.is_drained)
        await recorder.has(500)

    assert recorder.ids == accepted


async def test_a_deleted_exchange_is_declared_again(
    tmp_path: Path,
    broker_url: str,
    exchange: str,
    connection: AbstractConnection,
    declared: topology.Topology,
) -> None:
    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        await eventually(lambda: relay.lines("broker connected"))
        channel = await connection.channel()
        await channel.exchange_delete(exchange)

        accepted = await post_all(relay.url, numbered(10))
        await eventually(relay.is_drained)

        queue = await channel.get_queue(declared.queues[0].name)
        found = [await queue.get() for _ in range(10)]

    assert {message.message_id for message in found} == set(accepted)
    assert "no exchange" in relay.lines("broker unavailable")[0]["reason"]


async def test_a_nacked_message_is_published_again(
    tmp_path: Path, broker_url: str, exchange: str, declared: topology.Topology
) -> None:
    kept = await ParkedQueue(broker_url, exchange, f"{exchange}-short").create(**SHORT)
    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        accepted = await post_all(relay.url, numbered(30), concurrency=1)
        await eventually(lambda: relay.lines("publish refused"))
        nacked = (await relay.readiness())[1]["outbox"]["messages"]
        arrived = await kept.holds(set(accepted))
        await eventually(relay.is_drained)
        metrics = await relay.metrics()

    assert nacked > 0
    assert set(arrived) == set(accepted)
    assert "relay_publish_nacks_total 0.0" not in metrics
    assert declared


async def test_what_is_refused_for_long_is_tried_on_another_connection(
    tmp_path: Path, broker_url: str, exchange: str, declared: topology.Topology
) -> None:
    kept = await ParkedQueue(broker_url, exchange, f"{exchange}-short").create(**SHORT)
    broker = {"confirm_timeout_s": 0.25}
    async with RelayProcess(
        tmp_path, broker_url=broker_url, exchange=exchange, broker=broker
    ) as relay:
        accepted = await post_all(relay.url, numbered(30), concurrency=1)
        await eventually(lambda: len(relay.lines("broker connected")) >= 2)
        arrived = await kept.holds(set(accepted))
        await eventually(relay.is_drained)

    assert set(arrived) == set(accepted)
    reason = relay.lines("broker unavailable")[0]["reason"]
    assert reason == "swiftsell.message.created.text was refused for 1 s."
    assert declared


async def test_a_returned_message_is_published_again(
    tmp_path: Path, broker_url: str, exchange: str, connection: AbstractConnection
) -> None:
    # An exchange without the alternate exchange, whose binding comes too late.
    channel = await connection.channel()
    events = await channel.declare_exchange(exchange, "topic", durable=True)
    wanted = topology.topology(exchange, unrouted_max_length=10, quarantine_max_length=10)
    for to_declare in wanted.exchanges[:2]:
        await channel.declare_exchange(to_declare.name, to_declare.kind, durable=True)
    for queue in wanted.queues:
        await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments)
    async with RelayProcess(
        tmp_path,
        broker_url=broker_url,
        exchange=exchange,
        broker={"declare_topology": False},
    ) as relay:
        accepted = await post_all(relay.url, numbered(20))
        await eventually(lambda: relay.lines("publish refused"))
        late = await channel.declare_queue(exclusive=True)
        await late.bind(events, "#")
        await eventually(relay.is_drained)
        found = {(await late.get()).message_id for _ in range(20)}
        metrics = await relay.metrics()

    assert found == set(accepted)
    assert "relay_publish_returns_total 0.0" not in metrics
    for queue in wanted.queues:
        await channel.queue_delete(queue.name)
    for declared in wanted.exchanges:
        await channel.exchange_delete(declared.name)


async def test_an_existing_object_with_other_properties_is_named_once(
    tmp_path: Path, broker_url: str, exchange: str, connection: AbstractConnection
) -> None:
    channel = await connection.channel()
    await channel.declare_exchange(exchange, "direct", durable=True)

    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        await eventually(lambda: relay.lines("broker unavailable"))
        accepted = await post_all(relay.url, numbered(3))
        status, readiness = await relay.readiness()

    (line,) = relay.lines("broker unavailable")
    assert line["reason"].startswith(f"Exchange {exchange} exists with other properties")
    assert readiness["broker"]["reason"] == line["reason"]
    assert (status, len(accepted)) == (200, 3)
    wanted = topology.topology(exchange, unrouted_max_length=1, quarantine_max_length=1)
    for declared in wanted.exchanges:
        await channel.exchange_delete(declared.name)


async def test_a_missing_topology_that_may_not_be_declared_is_named_and_keeps_nobody_out(
    tmp_path: Path, broker_url: str, exchange: str
) -> None:
    async with RelayProcess(
        tmp_path, broker_url=broker_url, exchange=exchange, broker={"declare_topology": False}
    ) as relay:
        await eventually(lambda: relay.lines("broker connected"))

    (line,) = relay.lines("topology incomplete")
    assert line["reason"].startswith(f"Exchange {exchange}.unrouted does not exist")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("guest:guest", "guest:wrong"), "refused the user name or password; correct them in"),
        (
            ("/", "/nowhere"),
            "refused the virtual host: NOT_ALLOWED - vhost nowhere not found; crea",
        ),
    ],
)
async def test_a_login_that_fails_is_one_sentence(
    tmp_path: Path, broker_url: str, change: tuple[str, str], sentence: str
) -> None:
    old, new = change
    url = broker_url[: -len(old)] + new if old == "/" else broker_url.replace(old, new)

    async with RelayProcess(tmp_path, broker_url=url) as relay:
        await eventually(lambda: relay.lines("broker unavailable"))
        accepted = await post_all(relay.url, numbered(2))

    reason = relay.lines("broker unavailable")[0]["reason"]
    assert sentence in reason
    assert "guest" not in reason.partition("refused")[0]
    assert "wrong" not in reason
    assert len(accepted) == 2


async def test_the_next_url_is_tried_when_the_first_is_dead(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    async with RelayProcess(
        tmp_path, broker_url="", exchange=exchange, broker={"urls": [NOWHERE, broker_url]}
    ) as relay:
        accepted = await post_all(relay.url, numbered(5))
        await recorder.has(5)

    assert set(recorder.ids) == set(accepted)


async def test_confirm_mode_without_a_broker_is_unavailable(tmp_path: Path) -> None:
    async with RelayProcess(
        tmp_path, broker_url=NOWHERE, ingress={"ack_after": "confirm"}
    ) as relay:
        accepted = await post_all(relay.url, numbered(3))
        status, readiness = await relay.readiness()

    assert accepted == []
    assert {line["status"] for line in relay.lines("delivery")} == {503}
    assert (status, readiness["ready"]) == (503, False)


async def test_confirm_mode_acknowledges_nothing_that_is_lost(
    tmp_path: Path, proxy: Proxy, exchange: str, recorder: Recorder
) -> None:
    async with RelayProcess(
        tmp_path, broker_url=proxy.url, exchange=exchange, ingress={"ack_after": "confirm"}
    ) as relay:
        await eventually(lambda: relay.lines("broker connected"))
        load = asyncio.create_task(post_all(relay.url, numbered(1500)))
        await recorder.has(300)
        proxy.cut()
        accepted = await load
        await eventually(lambda: set(accepted) <= set(recorder.ids))

    statuses = [line["status"] for line in relay.lines("delivery")]
    assert 503 in statuses
    assert statuses.count(200) == len(accepted)


async def test_confirm_mode_refuses_what_the_broker_nacks(
    tmp_path: Path, broker_url: str, exchange: str, declared: topology.Topology
) -> None:
    kept = await ParkedQueue(broker_url, exchange, f"{exchange}-short").create(**SHORT)
    async with RelayProcess(
        tmp_path, broker_url=broker_url, exchange=exchange, ingress={"ack_after": "confirm"}
    ) as relay:
        await eventually(lambda: relay.lines("broker connected"))
        accepted = await post_all(relay.url, numbered(20), concurrency=1)
        arrived = await kept.read()

    assert 0 < len(accepted) < 20
    assert set(accepted) <= set(arrived)
    assert declared
