"""Dead letters that no service wrote: of the broker, which counts deliveries, and of strangers."""

import json
from collections.abc import AsyncIterator

import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit.queues import headers, topology
from tests.support.cli.idle_service import KEY, IdleService, headers_of
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand

LIMIT_REACHED = "delivered again and again without an answer; the consumer may have died of it"


# What the broker itself gave up on.


async def exhaust(connection: AbstractConnection, service: IdleService) -> None:
    """Take the one message there is and give it back until it is gone."""
    async with connection.channel() as channel:
        queue = await channel.declare_queue(service.name, passive=True)
        for _ in range(topology.MAX_DELIVERIES + 1):
            message = await queue.get(timeout=30, fail=False)
            while message is None:  # on its way back
                message = await queue.get(timeout=30, fail=False)
            await message.reject(requeue=True)
    await eventually(lambda: service.holds("e1"))


@pytest.fixture
async def exhausted(
    connection: AbstractConnection, service: IdleService, exchange: str
) -> AsyncIterator[IdleService]:
    """A service whose consumers died of an event that they got under its own routing key."""
    async with connection.channel() as channel:
        await channel.declare_exchange(exchange, "topic", durable=True)
        queue = await channel.declare_queue(service.name, passive=True)
        await queue.bind(exchange, "swiftsell.#")
        await service.put(
            KEY,
            b'{"id":"e1"}',
            exchange,
            message_id="e1",
            message_type="message.created",
            headers={"vendor": "swiftsell"},
            delivery_mode=2,
        )
        await exhaust(connection, service)
        yield service
        await channel.exchange_delete(exchange)


async def test_what_kills_its_consumers_is_listed_with_its_own_routing_key(
    relay: RelayCommand, exhausted: IdleService
) -> None:
    (listed,) = json.loads((await relay("dead", "list", exhausted.name, "--json")).out)

    assert 0 <= listed.pop("age_s") < 120
    assert listed == {
        "id": "e1",
        "type": "message.created",
        "routing_key": KEY,
        "attempts": None,
        "reason": LIMIT_REACHED,
    }


async def test_what_kills_its_consumers_can_be_tried_again(
    relay: RelayCommand, exhausted: IdleService
) -> None:
    result = await relay("dead", "retry", exhausted.name, "--all")

    assert (result.code, result.rows) == (0, [["retried", "e1", KEY]]), result.err
    (message,) = await exhausted.take(exhausted.name)
    assert (message.message_id, message.body) == ("e1", b'{"id":"e1"}')
    assert headers_of(message) == {
        "vendor": "swiftsell",
        headers.ATTEMPT: 1,
        headers.ROUTING_KEY: KEY,
    }
    assert await exhausted.holds()


async def test_a_retry_starts_a_new_count_of_deliveries(
    relay: RelayCommand, connection: AbstractConnection, exhausted: IdleService
) -> None:
    await relay("dead", "retry", exhausted.name, "--all")

    await exhaust(connection, exhausted)

    (listed,) = json.loads((await relay("dead", "list", exhausted.name, "--json")).out)
    assert (listed["routing_key"], listed["attempts"]) == (KEY, 1)
    assert listed["reason"] == LIMIT_REACHED


# Messages of someone else.


async def test_a_message_without_an_id_is_called_by_its_body(
    relay: RelayCommand, service: IdleService, broker_url: str
) -> None:
    await service.bury_nameless(b"what is this?", broker_url)
    await service.bury_nameless(b"and this?", broker_url)

    rows = (await relay("dead", "list", service.name)).rows
    again = (await relay("dead", "list", service.name)).rows

    names = {row[0] for row in rows}
    assert names == {row[0] for row in again}
    assert len(names) == 2
    assert all(name.startswith("body-") for name in names)
    assert [row[1:] for row in rows] == [["", "", service.dead_name, "", "not known"]] * 2


async def test_a_message_without_an_id_is_shown_retried_and_dropped(
    relay: RelayCommand, service: IdleService, broker_url: str
) -> None:
    await service.bury_nameless(b"what is this?", broker_url, headers={"theirs": [1, {"a": None}]})
    await service.bury_nameless(b"and this?", broker_url)
    rows = (await relay("dead", "list", service.name)).rows
    bodies = {}
    for name, *_ in rows:
        bodies[(await relay("dead", "show", service.name, name, "--raw")).out] = name

    retried = await relay("dead", "retry", service.name, bodies["what is this?"])
    dropped = await relay("dead", "drop", service.name, bodies["and this?"], "--yes")

    assert (retried.code, dropped.code) == (0, 0), retried.err + dropped.err
    (message,) = await service.take(service.name)
    assert (message.body, message.message_id) == (b"what is this?", None)
    assert message.headers["theirs"] == [1, {"a": None}]
    assert await service.holds()
