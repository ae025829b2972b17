"""`relay dead`: looking loses nothing, retrying hands over before it acknowledges."""

import asyncio
import json

import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit.queues import headers, topology
from tests.support.cli.idle_service import KEY, IdleService, headers_of
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand


async def test_the_list_says_what_why_and_since_when(
    relay: RelayCommand, service: IdleService
) -> None:
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


async def test_looking_changes_nothing_however_often(
    relay: RelayCommand, service: IdleService
) -> None:
    await service.bury("e1")
    await service.bury("e2")

    for _ in range(topology.MAX_DELIVERIES + 5):
        assert len((await relay("dead", "list", service.name)).rows) == 2
        await eventually(lambda: service.holds("e1", "e2"))

    assert (await relay("dead", "show", service.name, "e1")).code == 0
    await eventually(lambda: service.holds("e1", "e2"))


async def test_the_list_has_a_limit(relay: RelayCommand, service: IdleService) -> None:
    await service.bury("e1")
    await service.bury("e2")

    limited = await relay("dead", "list", service.name, "--limit", "1")
    await eventually(lambda: service.holds("e1", "e2"))
    whole = await relay("dead", "list", service.name, "--limit", "2")

    assert len(limited.rows) == 1
    assert limited.err == "1 of 2 shown; --limit shows more.\n"
    assert (len(whole.rows), whole.err) == (2, "")
    await eventually(lambda: service.holds("e1", "e2"))


async def test_an_empty_queue_lists_nothing(relay: RelayCommand, service: IdleService) -> None:
    assert (await relay("dead", "list", service.name)).out == ""
    assert (await relay("dead", "list", service.name, "--json")).out == "[]\n"


async def test_a_message_is_shown_without_driving_the_terminal(
    relay: RelayCommand, service: IdleService
) -> None:
    await service.bury("e1", body=b"\x1b[31m{}", headers={"x-note": "a\x1b[2J"})

    result = await relay("dead", "show", service.name, "e1")

    assert ["reason", "ValueError: no such contact"] in result.rows
    assert ["header x-note", "a\\u001b[2J"] in result.rows
    assert result.out.endswith("\n\n\\u001b[31m{}\n")


async def test_a_body_is_to_be_had_byte_for_byte(relay: RelayCommand, service: IdleService) -> None:
    await service.bury("e1", body=b"\x1b[31m\xff\n")

    show = await relay.start("dead", "show", service.name, "e1", "--raw")

    assert await show.communicate() == (b"\x1b[31m\xff\n", b"")


async def test_what_is_retried_is_back_in_the_services_queue_for_a_first_attempt(
    relay: RelayCommand, service: IdleService
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
    relay: RelayCommand, service: IdleService
) -> None:
    for event_id in ("e1", "e2", "e1"):
        await service.bury(event_id)

    shown = await relay("dead", "show", service.name, "e1")
    retried = await relay("dead", "retry", service.name, "e1")

    assert shown.out.count('{"id":"e1"}') == 2
    assert retried.rows == [["retried", "e1", KEY]] * 2
    assert [message.message_id for message in await service.take(service.name)] == ["e1", "e1"]
    await eventually(lambda: service.holds("e2"))


async def test_what_is_dropped_is_gone_and_nothing_else_is(
    relay: RelayCommand, service: IdleService
) -> None:
    await service.bury("e1")
    await service.bury("e2")

    result = await relay("dead", "drop", service.name, "e1", "--yes")

    assert (result.code, result.rows) == (0, [["dropped", "e1"]])
    await eventually(lambda: service.holds("e2"))

    assert (await relay("dead", "drop", service.name, "--all", "--yes")).code == 0
    assert await service.holds()
    assert await service.is_waiting(0)


async def test_all_may_be_all_with_one_reason(relay: RelayCommand, service: IdleService) -> None:
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
    relay: RelayCommand, service: IdleService
) -> None:
    result = await relay("dead", "retry", service.name, "e1", "--reason", "answered 500")

    assert result.code == 2
    assert "--reason goes with --all." in result.err


async def test_a_person_is_asked_before_anything_is_dropped(
    relay: RelayCommand, service: IdleService
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


# What can go wrong.


async def test_a_service_without_a_queue_keeps_its_dead_letters(
    relay: RelayCommand, service: IdleService, connection: AbstractConnection
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
    relay: RelayCommand, service: IdleService, connection: AbstractConnection
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
    arrived = [message.message_id or "" for message in await service.take(service.name)]
    assert sorted(arrived) == sorted(retried)
    left = {f"e{number}" for number in range(count)} - set(retried)
    assert left
    await eventually(lambda: service.holds(*left))


async def test_two_retries_at_a_time_hand_over_each_message_once(
    relay: RelayCommand, service: IdleService
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
    arrived = [message.message_id or "" for message in await service.take(service.name)]
    assert sorted(arrived) == sorted(ids)
    assert await service.holds()


@pytest.mark.parametrize(
    "arguments", [["show", "x"], ["retry", "x"], ["drop", "x", "--yes"]], ids=" ".join
)
async def test_an_unknown_id_is_named(
    relay: RelayCommand, service: IdleService, arguments: list[str]
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
    ids=" ".join,
)
async def test_a_service_that_never_ran_is_named(relay: RelayCommand, arguments: list[str]) -> None:
    result = await relay("dead", *arguments)

    assert (result.code, result.err) == (
        1,
        "relay: There is no queue nobody.dead; a service declares its queues when it starts.\n",
    )
