"""`relay replay`: the past events that were asked for, to one service, none left out."""

import asyncio
import re

import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit.queues import bindings, headers
from consumers.kit.queues import topology as consumer_topology
from relay.broker.connection import declare
from relay.events.topology import Topology
from tests.support.cli.past_events import PastEvents, ids_of, past_events
from tests.support.cli.replay import HOUR_S, Replay
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand


async def test_events_of_the_range_are_published_and_no_others(
    replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    ages_s = {0: 3 * HOUR_S, 1: 2 * HOUR_S - 60, 2: HOUR_S + 60, 3: HOUR_S - 60, 4: 0}
    events = [event for n, age_s in ages_s.items() for event in past_events([n], age_s=age_s)]
    await past.put(events)

    result = await replay("--since", "2h", "--until", "1h", "--to", crm)

    assert (result.code, result.err) == (0, "")
    assert result.rows[0][:4] == ["replayed", "2", "events to", crm]
    assert ids_of(await past.take(crm, 2)) == ids_of(events[1:3])
    assert await past.length(crm) == 0
    assert not replay.state.exists()


async def test_events_recorded_long_before_they_were_published_belong_to_their_time(
    replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    newer, older = past_events([0], age_s=60), past_events([1], age_s=HOUR_S)
    await past.put(newer + older)  # a relay came back after an outage

    result = await replay("--since", "2h", "--until", "30m", "--to", crm)

    assert result.rows[0][1] == "1"
    assert ids_of(await past.take(crm, 1)) == ids_of(older)


async def test_a_pattern_chooses_by_the_events_own_routing_key(
    replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    messages, notes = past_events(range(3)), past_events(range(3, 5), event_type="note.created")
    await past.put(messages + notes)

    result = await replay("--since", "1h", "--key", "*.note.#", "--to", crm)

    assert result.rows[0][1] == "2"
    assert ids_of(await past.take(crm, 2)) == ids_of(notes)


async def test_a_service_gets_what_it_is_bound_to_unless_told_otherwise(
    replay: Replay, past: PastEvents, connection: AbstractConnection
) -> None:
    crm = await past.service("crm")
    queues = consumer_topology.topology(crm, retry_delays_s=[], dead_max_length=1)
    bindings_queue = [queue for queue in queues.queues if queue.name.endswith(".bindings")]
    await declare(connection, Topology(queues=tuple(bindings_queue)), passive=False)
    await bindings.update(
        connection,
        service=crm,
        exchange=past.exchange,
        patterns=("*.note.#", "*.conversation.#"),
        is_removing=True,
    )
    messages, notes = past_events(range(3)), past_events(range(3, 5), event_type="note.created")
    await past.put(messages + notes)

    other = await past.service("other")
    bound = await replay.end(await replay.start_as_given("--since", "1h", "--to", crm))
    unknown = await replay.end(await replay.start_as_given("--since", "1h", "--to", other))
    told = await replay("--since", "1h", "--key", "*.note.#", "--key", "*.message.#", "--to", crm)

    assert (bound.rows[0][1], told.rows[0][1], unknown.rows[0][1]) == ("2", "5", "5")
    assert unknown.err == f"What {other} is bound to is not known; it gets every event.\n"
    assert ids_of(await past.take(crm, 7))[:2] == ids_of(notes)
    async with connection.channel() as channel:
        await channel.queue_delete(bindings_queue[0].name)


async def test_an_event_comes_as_it_was_and_says_that_it_is_replayed(
    replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    (event,) = past_events([7])
    await past.put([event])

    result = await replay("--since", "1h", "--to", crm)

    (delivered,) = await past.take(crm, 1)
    properties = delivered.header.properties
    replay_id = result.rows[0][4]
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", replay_id)
    assert properties.headers == {
        "vendor": "swiftsell",
        "source": "acme",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000008-01",
        headers.ROUTING_KEY: "swiftsell.message.created",
        headers.ATTEMPT: 1,
        headers.REPLAY: replay_id,
    }
    assert (delivered.body, properties.message_id) == (event.body, event.id)
    assert (properties.message_type, properties.app_id) == ("message.created", "relay")
    assert (properties.delivery_mode, properties.timestamp.timestamp()) == (
        *(2, int(event.received_at)),
    )


async def test_only_the_service_that_was_named_gets_them(replay: Replay, past: PastEvents) -> None:
    crm, archive = await past.service("crm"), await past.service("archive")
    await past.put(past_events(range(10)))

    await replay("--since", "1h", "--to", crm)

    assert await past.length(crm) == 10
    assert await past.length(archive) == 0
    assert await past.length(f"{past.exchange}.unrouted") == 0


async def test_what_comes_in_meanwhile_is_left_to_its_own_delivery(
    replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    await past.put(past_events(range(40)))
    process = await replay.start("--since", "1h", "--to", crm, "--rate", "20")
    await eventually(lambda: replay.published > 0)

    await past.put(past_events(range(40, 80)))

    assert (await replay.end(process)).rows[0][1] == "40"
    assert await past.length(crm) == 40


async def test_a_history_without_such_events_says_so(replay: Replay, past: PastEvents) -> None:
    crm = await past.service("crm")
    nothing = "Nothing to replay: the history has no such event.\n"

    empty = await replay("--since", "1h", "--to", crm)
    await past.put(past_events(range(3), age_s=HOUR_S))
    too_late = await replay("--since", "30m", "--to", crm)
    in_the_future = await replay("--since", "2999-01-01", "--until", "2999-02-01", "--to", crm)

    for result in (empty, too_late, in_the_future):
        assert (result.code, result.out, result.err) == (0, "", nothing)
    assert await past.length(crm) == 0
    assert not replay.state.exists()


async def test_many_batches_are_replayed_in_order(replay: Replay, past: PastEvents) -> None:
    crm = await past.service("crm")
    count = 20_500  # of 1,000 each, and a part of one
    await past.put(events := past_events(range(count)))

    result, arrived = await asyncio.gather(
        replay("--since", "1h", "--to", crm, "--rate", "0"), past.take(crm, count)
    )

    assert (result.code, result.rows[0][1]) == (0, str(count)), result.err
    assert ids_of(arrived) == ids_of(events)
    assert await past.length(crm) == 0


async def test_a_person_sees_how_far_it_is(
    relay: RelayCommand, replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    await past.put(past_events(range(10)))

    result = await relay.on_terminal(
        *("replay", "--state", str(replay.state), "--since", "1h", "--to", crm)
    )

    assert result.code == 0
    assert "100%" in result.out
    assert "10 events" in result.out


# What was asked for can't be.


async def test_a_service_without_a_queue_is_named_before_anything_is_read(
    replay: Replay, past: PastEvents
) -> None:
    await past.put(past_events(range(3)))

    result = await replay("--since", "1h", "--to", "nobody")

    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "relay: There is no queue nobody; a service declares its queues when it starts.\n"
    )
    assert not replay.state.exists()


async def test_without_a_history_there_is_nothing_to_replay(
    replay: Replay, past: PastEvents, connection: AbstractConnection
) -> None:
    crm = await past.service("crm")
    async with connection.channel() as channel:
        await channel.queue_delete(past.name)

    result = await replay("--since", "1h", "--to", crm)

    assert result.code == 1
    assert result.err == (
        f"relay: There is no history {past.name}; a relay keeps one with [history] enabled = "
        "true.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--since", "1h", "--until", "2h"], "--until must be later than --since."),
        (["--since", "yesterday"], "'yesterday' is no moment"),
        (["--since", "1h", "--rate", "3"], "it is 0, or at least 10."),
        (["--until", "1h"], "Missing option '--since'"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    replay: Replay, arguments: list[str], problem: str
) -> None:
    result = await replay("--to", "crm", *arguments)

    assert result.code == 2
    assert problem in result.err
