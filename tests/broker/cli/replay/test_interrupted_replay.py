"""A replay that is interrupted: the same command resumes it, and leaves nothing out."""

import re
import signal
from pathlib import Path

import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit.queues import headers
from tests.support.cli.past_events import PastEvents, ids_of, past_events
from tests.support.cli.replay import Replay
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess
from tests.support.servers.proxy import Proxy

AFTER_A_KILL = 2_000  # events of a second at the rate of these tests


async def test_a_replay_that_was_killed_goes_on_and_leaves_nothing_out(
    replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    await past.put(events := past_events(range(4_000)))
    arguments = ("--since", "1h", "--to", crm, "--rate", str(AFTER_A_KILL))

    process = await replay.start(*arguments)
    await eventually(lambda: replay.published > 500)
    process.kill()
    await process.wait()
    before = replay.progress
    result = await replay(*arguments)

    assert before["published"] < 4_000
    assert (result.code, result.rows[0][1:]) == (0, ["4000", "events to", crm, before["id"]])
    assert re.search(
        f"Going on with replay {before['id']}, from .*Z to before .*Z, "
        f"after {before['published']} events; ",
        result.err,
    )
    arrived = await past.take(crm, await past.length(crm))
    assert list(dict.fromkeys(ids_of(arrived))) == ids_of(events)  # in order, too
    assert len(arrived) <= 4_000 + 2 * AFTER_A_KILL
    replay_ids = {message.header.properties.headers[headers.REPLAY] for message in arrived}
    assert replay_ids == {before["id"]}
    assert not replay.state.exists()


async def test_progress_is_never_ahead_of_what_the_broker_confirmed(
    replay: Replay, past: PastEvents
) -> None:
    crm = await past.service("crm")
    await past.put(events := past_events(range(4_000)))

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
    await replay.interrupt("--since", "1h", "--to", crm, "--rate", "100")
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
    await replay.interrupt(*arguments, "--rate", "100")
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
    await replay.interrupt("--since", "1h", "--to", crm, "--rate", "100")
    async with connection.channel() as channel:
        await channel.queue_delete(past.name)
    await past.declare()
    await past.put(past_events(range(3)))

    result = await replay("--since", "1h", "--to", crm)

    assert (result.code, result.err) == (
        1,
        "relay: The history was made anew since this replay began; give --restart.\n",
    )


async def test_what_has_left_the_history_meanwhile_is_reported(
    replay: Replay, connection: AbstractConnection, broker_url: str, exchange: str
) -> None:
    async with PastEvents(connection, broker_url, exchange, max_bytes=2_000_000) as past:
        crm = await past.service("crm")
        await past.put(past_events(range(3_000)))
        await replay.interrupt("--since", "1h", "--to", crm, "--rate", "100")
        before = replay.progress
        await past.put(past_events(range(3_000, 12_000)))

        result = await replay("--since", "1h", "--to", crm)

    report = re.search(r"relay: Up to (\d+) events have left the history since it st", result.err)
    assert (result.code, int(result.rows[0][1])) == (0, before["published"])
    assert report
    # RabbitMQ itself takes an offset with each segment of a stream.
    assert int(report[1]) == pytest.approx(3_000 - before["published"], abs=5)
