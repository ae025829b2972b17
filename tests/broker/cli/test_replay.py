"""`relay replay`: the past events that were asked for, to one service, none left out."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit.queues import bindings, headers
from consumers.kit.queues import topology as consumer_topology
from relay.broker import connection as broker
from relay.events.topology import Topology
from tests.support.eventually import LIMIT_S, eventually
from tests.support.past_events import PastEvents, ids_of, past_events
from tests.support.proxy import Proxy
from tests.support.relay_command import RelayCommand, Result
from tests.support.relay_process import RelayProcess

HOUR_S = 3600
AFTER_A_KILL = 2_000  # events of a second at the rate of these tests


class Replay:
    """`relay replay` in a process of its own, its progress in a file of this test's."""

    def __init__(self, relay: RelayCommand, state: Path) -> None:
        self._relay = relay
        self.state = state

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        if "--key" not in arguments:  # nothing is known of what these services are bound to
            arguments = ("--key", "#", *arguments)
        return await self.start_as_told(*arguments)

    async def start_as_told(self, *arguments: str) -> asyncio.subprocess.Process:
        return await self._relay.start("replay", "--state", str(self.state), *arguments)

    async def __call__(self, *arguments: str) -> Result:
        return await self.end(await self.start(*arguments))

    async def end(self, process: asyncio.subprocess.Process) -> Result:
        out, err = await asyncio.wait_for(process.communicate(), 4 * LIMIT_S)
        return Result(process.returncode or 0, out.decode(), err.decode())

    @property
    def published(self) -> int:
        """How many events are confirmed, as the file says."""
        if not self.state.exists():
            return 0
        count: int = self.progress["published"]
        return count

    def age_by_days(self) -> None:
        """Move the range of the progress three days into the past."""
        document = json.loads(self.state.read_text())
        document["progress"]["since_s"] -= 3 * 24 * HOUR_S
        document["progress"]["until_s"] -= 3 * 24 * HOUR_S
        self.state.write_text(json.dumps(document))

    @property
    def progress(self) -> dict[str, Any]:
        progress: dict[str, Any] = json.loads(self.state.read_text())["progress"]
        return progress


@pytest.fixture
def relay(tmp_path: Path, broker_url: str, exchange: str) -> RelayCommand:
    RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange, history={"enabled": True})
    return RelayCommand(tmp_path / "relay.toml")


@pytest.fixture
def replay(relay: RelayCommand, tmp_path: Path) -> Replay:
    return Replay(relay, tmp_path / "progress" / "replay.json")


@pytest.fixture
async def past(
    connection: AbstractConnection, broker_url: str, exchange: str
) -> AsyncIterator[PastEvents]:
    async with PastEvents(connection, broker_url, exchange) as past:
        yield past


# What is replayed, and to whom.


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
    notes_queue = [it for it in queues.queues if it.name.endswith(".bindings")]
    await broker.declare(connection, Topology(queues=tuple(notes_queue)), passive=False)
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
    bound = await replay.end(await replay.start_as_told("--since", "1h", "--to", crm))
    unknown = await replay.end(await replay.start_as_told("--since", "1h", "--to", other))
    told = await replay("--since", "1h", "--key", "*.note.#", "--key", "*.message.#", "--to", crm)

    assert (bound.rows[0][1], told.rows[0][1], unknown.rows[0][1]) == ("2", "5", "5")
    assert unknown.err == f"What {other} is bound to is not known; it gets every event.\n"
    assert ids_of(await past.take(crm, 7))[:2] == ids_of(notes)
    async with connection.channel() as channel:
        await channel.queue_delete(notes_queue[0].name)


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


async def test_a_hundred_thousand_events_are_replayed(replay: Replay, past: PastEvents) -> None:
    crm = await past.service("crm")
    count = 100_000
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


# Interruptions.


async def test_a_replay_that_was_killed_goes_on_and_leaves_nothing_out(
    replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    await past.put(events := past_events(range(6_000)))
    arguments = ("--since", "1h", "--to", crm, "--rate", str(AFTER_A_KILL))

    process = await replay.start(*arguments)
    await eventually(lambda: replay.published > 500)
    process.kill()
    await process.wait()
    before = replay.progress
    result = await replay(*arguments)

    assert before["published"] < 6_000
    assert (result.code, result.rows[0][1:]) == (0, ["6000", "events to", crm, before["id"]])
    assert re.search(
        f"Going on with replay {before['id']}, from .*Z to before .*Z, "
        f"after {before['published']} events; ",
        result.err,
    )
    arrived = await past.take(crm, await past.length(crm))
    assert list(dict.fromkeys(ids_of(arrived))) == ids_of(events)  # in order, too
    assert len(arrived) <= 6_000 + 2 * AFTER_A_KILL
    assert {it.header.properties.headers[headers.REPLAY] for it in arrived} == {before["id"]}
    assert not replay.state.exists()


async def test_progress_is_never_ahead_of_what_the_broker_confirmed(
    replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    await past.put(events := past_events(range(6_000)))

    process = await replay.start("--since", "1h", "--to", crm, "--rate", "2000")
    await eventually(lambda: replay.published > 0)
    process.kill()
    await process.wait()

    progress = replay.progress
    arrived = set(ids_of(await past.take(crm, await past.length(crm))))
    assert set(ids_of(events)[: progress["published"]]) <= arrived
    assert progress["next_offset"] - progress["first_offset"] == progress["published"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_replay_that_is_interrupted_says_how_to_go_on(
    replay: Replay, past: PastEvents, number: signal.Signals
) -> None:
    crm = await past.service("crm")
    await past.put(events := past_events(range(500)))
    arguments = ("--since", "1h", "--to", crm)

    process = await replay.start(*arguments, "--rate", "100")
    await eventually(lambda: replay.published > 0)
    process.send_signal(number)
    interrupted = await replay.end(process)
    published = replay.published
    await replay(*arguments)

    assert interrupted.code == 1
    assert interrupted.err == (
        f"relay: Interrupted; the same command goes on after the {published} events published "
        "so far.\n"
    )
    arrived = ids_of(await past.take(crm, await past.length(crm)))
    assert list(dict.fromkeys(arrived)) == ids_of(events)
    assert len(arrived) <= 510


async def test_a_broker_lost_in_the_middle_ends_the_command_and_not_the_replay(
    tmp_path: Path, broker_url: str, past: PastEvents
) -> None:
    crm = await past.service("crm")
    await past.put(events := past_events(range(2_000)))
    arguments = ("--since", "1h", "--to", crm, "--rate", "1000")
    async with Proxy(broker_url) as proxy:
        RelayProcess(tmp_path, broker_url=proxy.url, exchange=past.exchange)
        replay = Replay(RelayCommand(tmp_path / "relay.toml"), tmp_path / "replay.json")
        process = await replay.start(*arguments)
        await eventually(lambda: replay.published > 0)
        proxy.cut(refuse=True)
        lost = await replay.end(process)
        published = replay.published
        proxy.is_open = True

        result = await replay(*arguments)

    assert (lost.code, lost.out) == (1, "")
    assert lost.err == (
        "relay: The connection to RabbitMQ was lost; the same command goes on after the "
        f"{published} events published so far.\n"
    )
    assert (result.code, result.rows[0][1]) == (0, "2000")
    arrived = ids_of(await past.take(crm, await past.length(crm)))
    assert list(dict.fromkeys(arrived)) == ids_of(events)


async def test_a_broker_that_answers_no_more_ends_the_command_and_not_the_replay(
    tmp_path: Path, broker_url: str, past: PastEvents
) -> None:
    crm = await past.service("crm")
    await past.put(past_events(range(500)))
    async with Proxy(broker_url) as proxy:
        settings = {"confirm_timeout_s": 1}
        RelayProcess(tmp_path, broker_url=proxy.url, exchange=past.exchange, broker=settings)
        replay = Replay(RelayCommand(tmp_path / "relay.toml"), tmp_path / "replay.json")
        process = await replay.start("--since", "1h", "--to", crm, "--rate", "100")
        await eventually(lambda: replay.published > 0)
        proxy.stall()
        result = await replay.end(process)
        proxy.resume()

    assert result.code == 1
    assert result.err == (
        "relay: RabbitMQ did not answer in time; the same command goes on after the "
        f"{replay.published} events published so far.\n"
    )


async def test_a_queue_that_is_full_ends_the_command_and_not_the_replay(
    replay: Replay, past: PastEvents, connection: AbstractConnection
) -> None:
    crm = await past.service("crm")
    await past.put(events := past_events(range(3_000)))
    async with connection.channel() as channel:
        await channel.queue_delete(crm)
        arguments = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
        await channel.declare_queue(crm, durable=True, arguments=arguments)

    full = await replay("--since", "1h", "--to", crm)
    first = ids_of(await past.take(crm, await past.length(crm)))
    async with connection.channel() as channel:
        await channel.queue_delete(crm)
        await channel.declare_queue(crm, durable=True, arguments={"x-queue-type": "quorum"})
    result = await replay("--since", "1h", "--to", crm)

    assert full.code == 1
    assert f"The queue {crm} did not take" in full.err
    assert (result.code, result.rows[0][1]) == (0, "3000")
    arrived = first + ids_of(await past.take(crm, await past.length(crm)))
    assert set(arrived) == set(ids_of(events))


async def test_a_replay_begins_anew_when_told_to(replay: Replay, past: PastEvents) -> None:
    crm = await past.service("crm")
    await past.put(past_events(range(500)))
    process = await replay.start("--since", "1h", "--to", crm, "--rate", "100")
    await eventually(lambda: replay.published > 0)
    process.terminate()
    await replay.end(process)
    earlier = replay.progress["id"]

    result = await replay("--since", "1h", "--to", crm, "--restart")

    assert (result.code, result.err, result.rows[0][1]) == (0, "", "500")
    assert result.rows[0][4] != earlier


async def test_the_same_words_at_another_time_do_not_go_on_unasked(
    replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    await past.put(past_events(range(500)))
    arguments = ("--since", "1h", "--to", crm)
    process = await replay.start(*arguments, "--rate", "100")
    await eventually(lambda: replay.published > 0)
    process.terminate()
    await replay.end(process)
    replay.age_by_days()
    before = replay.progress

    refused = await replay(*arguments)
    resumed = await replay(*arguments, "--resume")

    assert refused.code == 1
    assert re.fullmatch(
        f"relay: Replay {before['id']}, from .*Z to before .*Z, is not done, and --since is later "
        "now; give --resume to go on with it, or --restart to give it up.\n",
        refused.err,
    )
    assert (resumed.code, resumed.rows[0][4]) == (0, before["id"])


async def test_the_same_replay_does_not_run_twice_at_a_time(
    replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    await past.put(past_events(range(500)))
    process = await replay.start("--since", "1h", "--to", crm, "--rate", "100")
    await eventually(lambda: replay.published > 0)

    second = await replay("--since", "1h", "--to", crm)
    process.terminate()
    await replay.end(process)

    assert (second.code, second.err) == (
        1,
        f"relay: This replay runs already: {replay.state} is in use.\n",
    )


async def test_a_history_made_anew_is_noticed(
    replay: Replay, past: PastEvents, connection: AbstractConnection
) -> None:
    crm = await past.service("crm")
    await past.put(past_events(range(500)))
    process = await replay.start("--since", "1h", "--to", crm, "--rate", "100")
    await eventually(lambda: replay.published > 0)
    process.terminate()
    await replay.end(process)
    async with connection.channel() as channel:
        await channel.queue_delete(past.name)
    await past.declare()
    await past.put(past_events(range(3)))

    result = await replay("--since", "1h", "--to", crm)

    assert (result.code, result.err) == (
        1,
        "relay: The history was made anew since this replay began; give --restart.\n",
    )


async def test_what_has_left_the_history_meanwhile_is_said(
    replay: Replay, connection: AbstractConnection, broker_url: str, exchange: str
) -> None:
    async with PastEvents(connection, broker_url, exchange, max_bytes=2_000_000) as past:
        crm = await past.service("crm")
        await past.put(past_events(range(3_000)))
        process = await replay.start("--since", "1h", "--to", crm, "--rate", "100")
        await eventually(lambda: replay.published > 0)
        process.terminate()
        await replay.end(process)
        before = replay.progress
        await past.put(past_events(range(3_000, 12_000)))

        result = await replay("--since", "1h", "--to", crm)

    said = re.search(r"relay: Up to (\d+) events have left the history since it st", result.err)
    assert (result.code, int(result.rows[0][1])) == (0, before["published"])
    assert said
    # RabbitMQ itself takes an offset with each segment of a stream.
    assert int(said[1]) == pytest.approx(3_000 - before["published"], abs=5)


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
