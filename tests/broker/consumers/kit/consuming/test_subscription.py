"""A consumer's connection: cut, silent, refused; and what is said of it meanwhile."""

import asyncio
import time
from itertools import pairwise

import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit import Consumer, Event, Reject, Unavailable
from consumers.kit.queues import bindings, topology
from relay.broker.connection import connect, declare
from tests.support.cleanup import delete_queues
from tests.support.consuming import Exchange, Running, body, running, take
from tests.support.eventually import eventually
from tests.support.servers.proxy import Proxy


async def described(run: Running, name: str) -> dict[str, object]:
    readiness = await run.service.readiness()
    return readiness["consumers"][name]  # type: ignore[index,no-any-return]


@pytest.mark.parametrize("delay_s", [0.02, 0.05])  # anywhere in the middle of it
async def test_a_connection_that_falls_silent_while_it_is_set_up_is_replaced(
    broker_url: str, events: Exchange, name: str, delay_s: float
) -> None:
    async def handle(_: Event) -> None:
        pass

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with (
        Proxy(broker_url) as proxy,
        running(consumer, url=proxy.url, exchange=events.name) as run,
    ):
        connections = proxy.connections
        proxy.cut()
        await eventually(lambda: proxy.connections > connections)
        await asyncio.sleep(delay_s)
        proxy.stall()
        connections = proxy.connections
        await eventually(lambda: proxy.connections >= connections + 2)  # one publishes
        proxy.resume()
        await run.is_consuming()
        await events.publish(body())
        await eventually(lambda: run.count(name, "done") == 1)


async def test_it_is_not_ready_as_soon_as_the_connection_is_lost_though_a_handler_goes_on(
    broker_url: str, events: Exchange, name: str
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_: Event) -> None:
        began.set()
        await go_on.wait()

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with (
        Proxy(broker_url) as proxy,
        running(consumer, url=proxy.url, exchange=events.name) as run,
    ):
        await events.publish(body())
        await began.wait()
        proxy.cut()
        await eventually(lambda: not run.service.subscriptions[0].is_consuming)
        assert (await run.service.readiness())["ready"] is False

        go_on.set()
        await run.is_consuming()


async def test_nothing_new_is_begun_once_it_is_stopping(
    broker_url: str, events: Exchange, name: str
) -> None:
    began: list[str] = []
    go_on = asyncio.Event()

    async def handle(event: Event) -> None:
        began.append(event.text)
        if event.text == "slow":
            await go_on.wait()

    slow = Consumer(name, bindings=["slow"], handler=handle)
    cut_off = Consumer(f"{name}-2", bindings=["cut-off"], handler=handle)
    async with (
        Proxy(broker_url) as proxy,
        running(slow, cut_off, url=proxy.url, exchange=events.name) as run,
    ):
        await events.publish(body("slow"), key="slow")
        await eventually(lambda: began == ["slow"])
        proxy.cut(refuse=True)
        await eventually(lambda: not run.service.subscriptions[1].is_consuming)
        run.stop.set()
        await eventually(lambda: run.service.is_closing)
        await events.publish(body("late"), key="cut-off")
        proxy.is_open = True
        go_on.set()

    assert began == ["slow"]
    async with await connect(broker_url, heartbeat_s=10) as connection:
        await take(connection, f"{name}-2")
        queues = topology.topology(f"{name}-2", retry_delays_s=[1, 10, 60, 600], dead_max_length=1)
        await delete_queues(connection, queues.queues)


async def test_what_was_waited_for_is_forgotten_whatever_becomes_of_the_event(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    is_down = True

    async def handle(_: Event) -> None:
        if is_down:
            raise Unavailable("the CRM is down", retry_after_s=0.05)
        raise Reject("never")

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(consumer, url=broker_url, exchange=events.name) as run:
        await events.publish(body())

        async def is_waiting() -> bool:
            return "waiting" in await described(run, name)

        await eventually(is_waiting)
        is_down = False
        await take(connection, f"{name}.dead")

        assert "waiting" not in await described(run, name)


async def test_the_longer_something_is_down_the_less_often_it_is_tried(
    broker_url: str, events: Exchange, name: str
) -> None:
    called_at: list[float] = []

    async def handle(_: Event) -> None:
        called_at.append(time.monotonic())
        raise Unavailable("the CRM is down")

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(consumer, url=broker_url, exchange=events.name, hold_limit_s=0.2) as run:
        await events.publish(body())
        await eventually(lambda: run.count(name, "put_back") >= 3 and len(called_at) >= 4)

    first, *_, last = [after - before for before, after in pairwise(called_at[:4])]
    assert last > 1.5 * first  # doubled, although the event was put back in between


async def test_bindings_an_older_version_made_when_it_reconnected_are_removed(
    events: Exchange, name: str, connection: AbstractConnection
) -> None:
    queues = topology.topology(name, retry_delays_s=[1], dead_max_length=1)
    await declare(connection, queues, passive=False)

    async def update(pattern: str, *, is_removing: bool) -> set[str]:
        return await bindings.update(
            connection,
            service=name,
            exchange=events.name,
            patterns=(pattern,),
            is_removing=is_removing,
        )

    assert await update("old.#", is_removing=True) == set()
    assert await update("new.#", is_removing=True) == {"old.#"}
    assert await update("old.#", is_removing=False) == set()  # it reconnects
    assert await update("old.#", is_removing=False) == set()
    assert await update("new.#", is_removing=True) == {"old.#"}
    assert await update("new.#", is_removing=True) == set()
