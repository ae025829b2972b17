"""A service on a real broker: its bindings, queues and rights, and its end."""

import asyncio
import json
from collections import defaultdict
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractConnection

from consumers.kit import Consumer, Event, Reject
from consumers.kit.queues import topology
from deploy.local.broker import PrivateBroker
from relay.broker.connection import declare
from relay.events import topology as relay_topology
from tests.support.consuming import Exchange, body, length, running, take
from tests.support.eventually import eventually


async def test_bindings_follow_the_code_from_version_to_version(
    broker_url: str, events: Exchange, name: str
) -> None:
    handled: list[str] = []

    async def handle(event: Event) -> None:
        handled.append(event.routing_key)

    keys = ["a.message.created", "b.message.created", "c.message.created"]
    for version, patterns in enumerate((["a.#", "b.#"], ["b.#", "c.#"], ["b.#", "c.#"], ["a.#"])):
        handled.clear()
        consumer = Consumer(name, bindings=patterns, handler=handle)
        async with running(consumer, url=broker_url, exchange=events.name) as run:
            for key in keys:
                await events.publish(body(), key=key)
            wanted = [key for key in keys if f"{key[0]}.#" in patterns]
            await eventually(lambda run=run, wanted=wanted: run.count(name, "done") == len(wanted))

        assert sorted(handled) == wanted, version


async def test_a_service_that_may_not_declare_uses_what_is_there(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    handled: list[str] = []

    async def handle(event: Event) -> None:
        handled.append(event.text)

    consumer = Consumer(name, bindings=["#"], handler=handle)
    queues = topology.topology(name, retry_delays_s=[1, 10, 60, 600], dead_max_length=1_000_000)
    await declare(connection, queues, passive=False)
    async with connection.channel() as channel:
        await (await channel.get_queue(name)).bind(events.name, "*.message.#")

    async with running(
        consumer, url=broker_url, exchange=events.name, declare_topology=False
    ) as run:
        await events.publish(body("by hand"))
        await eventually(lambda: run.count(name, "done") == 1)

    assert handled == ["by hand"]


async def test_stopping_finishes_what_is_handled_and_returns_the_rest(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    began: list[str] = []
    finished: list[str] = []
    go_on = asyncio.Event()

    async def handle(event: Event) -> None:
        began.append(event.id)
        await go_on.wait()
        finished.append(event.id)

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(consumer, url=broker_url, exchange=events.name, concurrency=4) as run:
        await events.publish(*[body() for _ in range(20)])
        await eventually(lambda: len(began) == 4)
        run.stop.set()
        await eventually(lambda: run.service.is_closing)
        go_on.set()

    assert finished == began
    assert len(finished) == 4
    await eventually_length(connection, name, 16)


async def eventually_length(connection: AbstractConnection, queue: str, wanted: int) -> None:
    async def has_it() -> bool:
        return await length(connection, queue) == wanted

    await eventually(has_it)


async def test_a_handler_that_outlasts_the_grace_time_is_ended_and_its_event_returned(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    began = asyncio.Event()

    async def handle(_: Event) -> None:
        began.set()
        await asyncio.Event().wait()

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(consumer, url=broker_url, exchange=events.name, shutdown_grace_s=0.1):
        await events.publish(body())
        await began.wait()

    await eventually_length(connection, name, 1)


async def test_of_several_single_active_instances_one_works_and_another_takes_over(
    broker_url: str, events: Exchange, name: str
) -> None:
    handled: dict[str, list[str]] = defaultdict(list)

    def instance(which: str) -> Consumer:
        async def handle(event: Event) -> None:
            handled[which].append(event.text)

        return Consumer(name, bindings=["#"], handler=handle)

    async with running(
        instance("first"), url=broker_url, exchange=events.name, single_active=True
    ) as first:
        await events.publish(body("warm-up"))
        await eventually(lambda: first.count(name, "done") == 1)
        async with running(
            instance("second"), url=broker_url, exchange=events.name, single_active=True
        ) as second:
            await events.publish(*[body(f"{n}") for n in range(50)])
            await eventually(lambda: first.count(name, "done") == 51)
            first.stop.set()
            await eventually(lambda: not first.service.subscriptions[0].is_consuming)
            await events.publish(body("after"))
            await eventually(lambda: second.count(name, "done") == 1)

    assert len(handled["first"]) == 51
    assert handled["second"] == ["after"]


async def test_a_queue_that_is_deleted_is_declared_and_consumed_again(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    async def handle(_: Event) -> None:
        pass

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(consumer, url=broker_url, exchange=events.name) as run:
        async with connection.channel() as channel:
            await channel.queue_delete(name)
        await eventually(lambda: not run.service.subscriptions[0].is_consuming)
        await run.is_consuming()
        await events.publish(body())
        await eventually(lambda: run.count(name, "done") == 1)


async def test_a_retry_queue_that_is_deleted_is_replaced(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    async def handle(event: Event) -> None:
        if event.attempt == 1:
            raise ValueError("not yet")

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(consumer, url=broker_url, exchange=events.name, retry_delays_s=[0.1]) as run:
        async with connection.channel() as channel:
            await channel.queue_delete(topology.retry_queue(name, 0.1))
        await events.publish(body())
        await eventually(lambda: run.count(name, "done") == 1)


async def test_a_service_waits_for_the_exchange_that_the_relay_has_yet_to_declare(
    broker_url: str, connection: AbstractConnection, declared: relay_topology.Topology, name: str
) -> None:
    exchange = declared.exchanges[-1].name

    async def handle(_: Event) -> None:
        pass

    consumer = Consumer(name, bindings=["#"], handler=handle)
    late = asyncio.create_task(_declared_late(connection, declared))
    async with running(consumer, url=broker_url, exchange=exchange) as run:
        await Exchange(await connection.channel(), exchange).publish(body())
        await eventually(lambda: run.count(name, "done") == 1)
    await late


async def _declared_late(connection: AbstractConnection, declared: relay_topology.Topology) -> None:
    await asyncio.sleep(0.5)  # nothing announces that the service has tried once
    await declare(connection, declared, passive=False)


async def test_a_service_needs_no_more_rights_than_its_readme_says(
    own_broker: PrivateBroker, exchange: str, name: str, tmp_path: Path
) -> None:
    own = rf"^{name}(\..*)?$"
    rights = {
        "configure": own,
        "write": rf"{own}|^amq\.default$",
        "read": rf"{own}|^{exchange}$",
    }
    definitions = {
        "users": [{"name": name, "password": "secret", "tags": ""}],
        "permissions": [{"user": name, "vhost": "/", **rights}],
    }
    (tmp_path / "definitions.json").write_text(json.dumps(definitions))
    own_broker.ctl("import_definitions", str(tmp_path / "definitions.json"))
    declared = relay_topology.topology(
        exchange, unrouted_max_length=1000, quarantine_max_length=1000
    )

    async def handle(event: Event) -> None:
        if event.attempt < 3:
            raise ValueError("not yet")
        if event.text == "never":
            raise Reject("never")

    consumer = Consumer(name, bindings=["#"], handler=handle)
    url = own_broker.url.replace("guest:guest", f"{name}:secret")
    async with await aio_pika.connect(own_broker.url) as connection:
        await declare(connection, declared, passive=False)
        async with running(consumer, url=url, exchange=exchange, retry_delays_s=[0.1, 0.2]) as run:
            events = Exchange(await connection.channel(), exchange)
            await events.publish(body("always"), body("never"))
            await eventually(lambda: run.count(name, "done") == 1)
            await take(connection, f"{name}.dead")
