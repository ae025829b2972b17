"""`relay dead`: looking loses nothing, retrying hands over before it acknowledges."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from pamqp.commands import Basic

from consumers.kit.queues import headers, topology
from relay.broker.connection import declare
from relay.cli import service_queue
from relay.settings import BrokerSettings
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess

KEY = "swiftsell.message.created.text"
LIMIT_REACHED = "delivered again and again without an answer; the consumer may have died of it"


class Service:
    """The queues of a service that does not run, seen from beside the commands."""

    def __init__(self, connection: AbstractConnection, name: str) -> None:
        self._connection = connection
        self.name = name
        self.dead_name = topology.dead_queue(name)
        self._declared = topology.topology(name, retry_delays_s=[1], dead_max_length=100)

    async def declare(self) -> None:
        await declare(self._connection, self._declared, passive=False)

    async def delete(self) -> None:
        async with self._connection.channel() as channel:
            for queue in self._declared.queues:
                await channel.queue_delete(queue.name)

    async def put(
        self, queue: str, body: bytes = b"{}", exchange: str = "", **properties: Any
    ) -> None:
        async with self._connection.channel() as channel:
            wire = await channel.get_underlay_channel()
            await wire.basic_publish(
                body,
                exchange=exchange,
                routing_key=queue,
                properties=Basic.Properties(**properties),
                mandatory=True,
            )

    async def bury(self, event_id: str, *, age_s: float = 0, **changed: Any) -> None:
        """Put an event among the dead letters, as the kit does."""
        properties = Basic.Properties(
            message_id=event_id,
            message_type="message.created",
            content_type="application/cloudevents+json",
            app_id="relay",
            headers={"vendor": "swiftsell", **changed.pop("headers", {})},
        )
        dead = headers.dead_letter_properties(
            properties,
            attempts=5,
            routing_key=KEY,
            reason=changed.pop("reason", "ValueError: no such contact"),
            died_at=time.time() - age_s,
        )
        body = changed.pop("body", b'{"id":"%s"}' % event_id.encode())
        await self.put(self.dead_name, body, **dict(dead))

    async def bury_nameless(self, body: bytes, url: str, **properties: Any) -> None:
        """Put a message without an id among the dead letters; aiormq would give it one."""
        async with service_queue.opened(BrokerSettings(urls=[url]), self.dead_name) as queue:
            await queue.publish([(Basic.Properties(**properties), body)])

    async def take(self, queue: str, *, is_acked: bool = True) -> list[AbstractIncomingMessage]:
        """Return what is in a queue now."""
        found = []
        async with self._connection.channel() as channel:
            source = await channel.declare_queue(queue, passive=True)
            while message := await source.get(fail=False):
                found.append(message)
                if is_acked:
                    await message.ack()
        return found

    async def holds(self, *event_ids: str) -> bool:
        """Tell whether exactly these are among the dead letters; they are put back."""
        found = await self.take(self.dead_name, is_acked=False)
        return sorted(it.message_id or "" for it in found) == sorted(event_ids)

    async def is_waiting(self, count: int) -> bool:
        """Tell whether so many messages wait in the service's queue."""
        async with self._connection.channel() as channel:
            queue = await channel.declare_queue(self.name, passive=True)
        return queue.declaration_result.message_count == count


def headers_of(message: AbstractIncomingMessage) -> dict[str, Any]:
    """Return the headers but for what a quorum queue counts."""
    return {name: it for name, it in message.headers.items() if name != "x-delivery-count"}


@pytest.fixture
def relay(tmp_path: Path, broker_url: str, exchange: str) -> RelayCommand:
    RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange)
    return RelayCommand(tmp_path / "relay.toml")


@pytest.fixture
async def service(connection: AbstractConnection) -> AsyncIterator[Service]:
    service = Service(connection, f"test-{uuid.uuid4().hex[:12]}")
    await service.declare()
    yield service
    await service.delete()


async def test_the_list_says_what_why_and_since_when(relay: RelayCommand, service: Service) -> None:
    await service.bury("e1")
    await service.bury("e2", age_s=60)

    rows = (await relay("dead", "list", service.name)).rows
    listed = json.loads((await relay("dead", "list", service.name, "--json")).out)

    assert [row[0] for row in rows] == ["e2", "e1"]
    assert rows[0][2:] == ["message.created", KEY, "5", "ValueError: no such contact"]
    assert listed[0]["age_s"] == pytest.approx(listed[1]["age_s"] + 60, abs=0.5)
    assert listed[0] | {"age_s": 0} == {
        "id": "e2",
        "age_s": 0,
        "type": "message.created",
        "routing_key": KEY,
        "attempts": 5,
        "reason": "ValueError: no such contact",
    }


async def test_looking_changes_nothing_however_often(relay: RelayCommand, service: Service) -> None:
    await service.bury("e1")
    await service.bury("e2")

    for _ in range(topology.MAX_DELIVERIES + 5):
        assert len((await relay("dead", "list", service.name)).rows) == 2
        await eventually(lambda: service.holds("e1", "e2"))

    assert (await relay("dead", "show", service.name, "e1")).code == 0
    await eventually(lambda: service.holds("e1", "e2"))


async def test_the_list_has_a_limit(relay: RelayCommand, service: Service) -> None:
    await service.bury("e1")
    await service.bury("e2")

    limited = await relay("dead", "list", service.name, "--limit", "1")
    await eventually(lambda: service.holds("e1", "e2"))
    whole = await relay("dead", "list", service.name, "--limit", "2")

    assert len(limited.rows) == 1
    assert limited.err == "1 of 2 shown; --limit shows more.\n"
    assert (len(whole.rows), whole.err) == (2, "")
    await eventually(lambda: service.holds("e1", "e2"))


async def test_an_empty_queue_lists_nothing(relay: RelayCommand, service: Service) -> None:
    assert (await relay("dead", "list", service.name)).out == ""
    assert (await relay("dead", "list", service.name, "--json")).out == "[]\n"


async def test_a_message_is_shown_without_driving_the_terminal(
    relay: RelayCommand, service: Service
) -> None:
    await service.bury("e1", body=b"\x1b[31m{}", headers={"x-note": "a\x1b[2J"})

    result = await relay("dead", "show", service.name, "e1")

    assert ["reason", "ValueError: no such contact"] in result.rows
    assert ["header x-note", "a\\u001b[2J"] in result.rows
    assert result.out.endswith("\n\n\\u001b[31m{}\n")


async def test_a_body_is_to_be_had_byte_for_byte(relay: RelayCommand, service: Service) -> None:
    await service.bury("e1", body=b"\x1b[31m\xff\n")

    show = await relay.start("dead", "show", service.name, "e1", "--raw")

    assert await show.communicate() == (b"\x1b[31m\xff\n", b"")


async def test_what_is_retried_is_back_in_the_services_queue_for_a_first_attempt(
    relay: RelayCommand, service: Service
) -> None:
    await service.bury("e1", headers={"traceparent": "00-1", headers.REPLAY: "r1"})

    result = await relay("dead", "retry", service.name, "e1")

    assert (result.code, result.rows) == (0, [["retried", "e1", KEY]]), result.err
    (message,) = await service.take(service.name)
    assert message.body == b'{"id":"e1"}'
    assert headers_of(message) == {
        "vendor": "swiftsell",
        "traceparent": "00-1",
        headers.REPLAY: "r1",
        headers.ATTEMPT: 1,
        headers.ROUTING_KEY: KEY,
    }
    assert (message.message_id, message.type, message.app_id) == ("e1", "message.created", "relay")
    assert message.content_type == "application/cloudevents+json"
    assert message.delivery_mode == 2
    assert await service.holds()


async def test_an_id_means_every_message_that_has_it_and_no_other(
    relay: RelayCommand, service: Service
) -> None:
    for event_id in ("e1", "e2", "e1"):
        await service.bury(event_id)

    shown = await relay("dead", "show", service.name, "e1")
    retried = await relay("dead", "retry", service.name, "e1")

    assert shown.out.count('{"id":"e1"}') == 2
    assert retried.rows == [["retried", "e1", KEY]] * 2
    assert [it.message_id for it in await service.take(service.name)] == ["e1", "e1"]
    await eventually(lambda: service.holds("e2"))


async def test_what_is_dropped_is_gone_and_nothing_else_is(
    relay: RelayCommand, service: Service
) -> None:
    await service.bury("e1")
    await service.bury("e2")

    result = await relay("dead", "drop", service.name, "e1", "--yes")

    assert (result.code, result.rows) == (0, [["dropped", "e1"]])
    await eventually(lambda: service.holds("e2"))

    assert (await relay("dead", "drop", service.name, "--all", "--yes")).code == 0
    assert await service.holds()
    assert await service.is_waiting(0)


async def test_all_may_be_all_with_one_reason(relay: RelayCommand, service: Service) -> None:
    for event_id, reason in (("e1", "crm answered 500"), ("e2", "rejected"), ("e3", "crm is off")):
        await service.bury(event_id, reason=reason)

    retried = await relay("dead", "retry", service.name, "--all", "--reason", "answered 500")
    await eventually(lambda: service.holds("e2", "e3"))
    asked = await relay.on_terminal(
        *("dead", "drop", service.name, "--all", "--reason", "crm"), types="y\n"
    )

    assert [row[:2] for row in retried.rows] == [["retried", "e1"]]
    assert "Drop all messages whose reason contains 'crm' for good? [y/N]" in asked.err
    await eventually(lambda: service.holds("e2"))


async def test_a_reason_chooses_among_all_and_not_among_ids(
    relay: RelayCommand, service: Service
) -> None:
    result = await relay("dead", "retry", service.name, "e1", "--reason", "answered 500")

    assert result.code == 2
    assert "--reason goes with --all." in result.err


async def test_a_person_is_asked_before_anything_is_dropped(
    relay: RelayCommand, service: Service
) -> None:
    await service.bury("e1")

    unasked = await relay("dead", "drop", service.name, "--all")
    refused = await relay.on_terminal("dead", "drop", service.name, "--all", types="n\n")
    await eventually(lambda: service.holds("e1"))
    agreed = await relay.on_terminal("dead", "drop", service.name, "e1", types="y\n")

    assert unasked.err == "relay: Nobody is there to ask; give --yes to drop them.\n"
    assert (unasked.code, refused.code, agreed.code) == (1, 1, 0)
    assert "Drop all messages for good? [y/N]" in refused.err
    assert await service.holds()


# What the broker itself gave up on.


async def exhaust(connection: AbstractConnection, service: Service) -> None:
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
    connection: AbstractConnection, service: Service, exchange: str
) -> AsyncIterator[Service]:
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
    relay: RelayCommand, exhausted: Service
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
    relay: RelayCommand, exhausted: Service
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
    relay: RelayCommand, connection: AbstractConnection, exhausted: Service
) -> None:
    await relay("dead", "retry", exhausted.name, "--all")

    await exhaust(connection, exhausted)

    (listed,) = json.loads((await relay("dead", "list", exhausted.name, "--json")).out)
    assert (listed["routing_key"], listed["attempts"]) == (KEY, 1)
    assert listed["reason"] == LIMIT_REACHED


# Messages of someone else.


async def test_a_message_without_an_id_is_called_by_its_body(
    relay: RelayCommand, service: Service, broker_url: str
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
    relay: RelayCommand, service: Service, broker_url: str
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


# What can go wrong.


async def test_a_service_without_a_queue_keeps_its_dead_letters(
    relay: RelayCommand, service: Service, connection: AbstractConnection
) -> None:
    await service.bury("e1")
    async with connection.channel() as channel:
        await channel.queue_delete(service.name)

    result = await relay("dead", "retry", service.name, "--all")

    assert (result.code, result.out) == (1, "")
    assert result.err == (
        f"relay: There is no queue {service.name}; a service declares its queues when it starts.\n"
    )
    assert await service.holds("e1")


async def test_a_full_queue_leaves_the_rest_where_it_is(
    relay: RelayCommand, service: Service, connection: AbstractConnection
) -> None:
    async with connection.channel() as channel:
        await channel.queue_delete(service.name)
        await channel.declare_queue(
            service.name,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-max-length": 1,
                "x-overflow": "reject-publish",
            },
        )
    count = 20  # RabbitMQ lets a few in beyond the limit
    for number in range(count):
        await service.bury(f"e{number}")

    result = await relay("dead", "retry", service.name, "--all")

    assert result.code == 1
    assert result.err == (
        f"relay: The queue {service.name} did not take 1 of 1 messages; it is full, or was deleted "
        "meanwhile.\n"
    )
    retried = [row[1] for row in result.rows]
    assert sorted(it.message_id or "" for it in await service.take(service.name)) == sorted(retried)
    left = {f"e{number}" for number in range(count)} - set(retried)
    assert left
    await eventually(lambda: service.holds(*left))


async def test_two_retries_at_a_time_hand_over_each_message_once(
    relay: RelayCommand, service: Service
) -> None:
    ids = [f"e{number}" for number in range(60)]
    for event_id in ids:
        await service.bury(event_id)

    results = await asyncio.gather(  # each in a process of its own
        relay.on_terminal("dead", "retry", service.name, "--all"),
        relay.on_terminal("dead", "retry", service.name, "--all"),
        relay.on_terminal("dead", "list", service.name),
    )
    await relay("dead", "retry", service.name, "--all")  # what the list had in its hands

    assert [result.code for result in results] == [0, 0, 0]
    assert sorted(it.message_id or "" for it in await service.take(service.name)) == sorted(ids)
    assert await service.holds()


@pytest.mark.parametrize(
    "arguments", [["show", "x"], ["retry", "x"], ["drop", "x", "--yes"]], ids=lambda it: it[0]
)
async def test_an_unknown_id_is_named(
    relay: RelayCommand, service: Service, arguments: list[str]
) -> None:
    await service.bury("e1")
    action, *rest = arguments

    result = await relay("dead", action, service.name, *rest)

    assert (result.code, result.err) == (1, f"relay: There is no x in {service.dead_name}.\n")


@pytest.mark.parametrize(
    "arguments", [["retry", "s"], ["drop", "s"], ["drop", "s", "x", "--all"]], ids=" ".join
)
async def test_ids_or_all_must_be_chosen(relay: RelayCommand, arguments: list[str]) -> None:
    result = await relay("dead", *arguments)

    assert result.code == 2
    assert "Give either ids or --all." in result.err


@pytest.mark.parametrize(
    "arguments",
    [["list", "nobody"], ["show", "nobody", "x"], ["drop", "nobody", "x", "--yes"]],
    ids=lambda it: it[0],
)
async def test_a_service_that_never_ran_is_named(relay: RelayCommand, arguments: list[str]) -> None:
    result = await relay("dead", *arguments)

    assert (result.code, result.err) == (
        1,
        "relay: There is no queue nobody.dead; a service declares its queues when it starts.\n",
    )
