"""The history in front of the events' exchange: it keeps every event and changes nothing else."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from pamqp import commands

from relay.cli.replay import history_stream
from relay.cli.replay.history_stream import HistoryMessage
from relay.events import topology
from relay.events.message import Origin
from relay.events.quarantine import encode_quarantined
from relay.events.topology import Topology
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess, numbered, post_all


class History:
    """The stream, seen from beside the relay."""

    def __init__(self, connection: AbstractConnection, exchange: str) -> None:
        self._connection = connection
        self.exchange = exchange
        self.name = topology.history_exchange(exchange)
        self.unrouted = topology.unrouted_exchange(exchange)

    async def events(self) -> list[HistoryMessage]:
        """Return all there is."""
        async with history_stream.opened(self._connection, self.name, 0) as stream:
            batches = stream.batches(end=stream.last_offset, max_count=100)
            return [message async for batch in batches for message in batch]

    async def ids(self) -> list[str]:
        return [message.properties.message_id or "" for message in await self.events()]

    async def take_unrouted(self) -> list[str]:
        """Take what nobody wanted."""
        async with self._connection.channel() as channel:
            queue = await channel.declare_queue(self.unrouted, passive=True)
            found = []
            while message := await queue.get(fail=False):
                await message.ack()
                found.append(message.message_id or "")
            return found


@pytest.fixture
def relay(tmp_path: Path, broker_url: str, exchange: str) -> RelayProcess:
    return RelayProcess(
        tmp_path,
        broker_url=broker_url,
        exchange=exchange,
        history={"enabled": True, "max_bytes": 10_000_000},
    )


@pytest.fixture
def command(relay: RelayProcess, tmp_path: Path) -> RelayCommand:
    assert relay
    return RelayCommand(tmp_path / "relay.toml")


@pytest.fixture
async def history(
    connection: AbstractConnection,
    exchange: str,
    declared: Topology,  # noqa: ARG001  takes the rest down
) -> AsyncIterator[History]:
    history = History(connection, exchange)
    yield history
    async with connection.channel() as channel:
        await channel.queue_delete(history.name)
        await channel.exchange_delete(history.name)


async def test_every_event_reaches_its_consumers_and_the_history(
    relay: RelayProcess, history: History, recorder: Recorder
) -> None:
    async with relay:
        accepted = await post_all(relay.url, numbered(50))
        await recorder.has(50)

    kept = {message.properties.message_id: message for message in await history.events()}
    assert sorted(recorder.ids) == sorted(kept) == sorted(accepted)
    for message in recorder.messages:
        stored = kept[message.message_id]
        assert (stored.body, stored.routing_key) == (message.body, message.routing_key)
        assert stored.properties.headers == message.headers
        assert stored.properties.delivery_mode == 2


async def test_an_event_nobody_wants_is_in_the_history_and_still_waits_with_the_unrouted(
    relay: RelayProcess, history: History, connection: AbstractConnection
) -> None:
    async with relay, connection.channel() as channel:
        await eventually(lambda: is_connected(relay))
        picky = await channel.declare_queue(exclusive=True)
        await picky.bind(history.exchange, "*.conversation.#")
        accepted = await post_all(relay.url, numbered(5))
        await eventually(relay.is_drained)

    assert sorted(await history.ids()) == sorted(accepted)
    assert sorted(await history.take_unrouted()) == sorted(accepted)


async def test_an_event_somebody_wants_does_not_wait_with_the_unrouted(
    relay: RelayProcess, history: History, recorder: Recorder
) -> None:
    async with relay:
        await post_all(relay.url, numbered(5))
        await recorder.has(5)
        await eventually(relay.is_drained)

    assert await history.take_unrouted() == []


async def test_an_event_without_any_route_is_returned_and_stays_in_the_outbox(
    relay: RelayProcess, history: History, connection: AbstractConnection
) -> None:
    async with relay, connection.channel() as channel:
        await eventually(lambda: is_connected(relay))
        wire = await channel.get_underlay_channel()
        await wire.queue_unbind(history.name, history.name, routing_key="#")
        await wire.exchange_unbind(
            destination=history.exchange, source=history.name, routing_key="#"
        )
        accepted = await post_all(relay.url, numbered(1))
        await eventually(lambda: is_counted(relay, "relay_publish_returns_total"))
        assert not await relay.is_drained()

        await wire.queue_bind(history.name, history.name, routing_key="#")
        await eventually(relay.is_drained)

    assert await history.ids() == accepted


async def test_the_history_is_a_route_so_that_a_broken_one_to_the_unrouted_goes_unnoticed(
    relay: RelayProcess, history: History, connection: AbstractConnection
) -> None:
    """What the history costs: without it, this event would be returned and kept."""
    async with relay, connection.channel() as channel:
        await eventually(lambda: is_connected(relay))
        await unbind_unrouted(channel, history)
        accepted = await post_all(relay.url, numbered(1))
        await eventually(relay.is_drained)
        assert not await is_counted(relay, "relay_publish_returns_total")

    assert await history.ids() == accepted
    assert await history.take_unrouted() == []


async def test_a_queue_that_refuses_keeps_the_event_in_the_outbox_though_the_history_has_it(
    relay: RelayProcess, history: History, connection: AbstractConnection
) -> None:
    async with relay, connection.channel() as channel:
        await eventually(lambda: is_connected(relay))
        await unbind_unrouted(channel, history)
        full = await channel.declare_queue(
            f"{history.exchange}-full",
            durable=True,
            arguments={"x-max-length": 1, "x-overflow": "reject-publish"},
        )
        await full.bind(history.exchange, "#")
        await post_all(relay.url, numbered(1))
        await eventually(relay.is_drained)

        (refused,) = await post_all(relay.url, numbered(1, start=1))
        await eventually(lambda: is_counted(relay, "relay_publish_nacks_total"))
        assert not await relay.is_drained()
        await full.purge()
        await eventually(relay.is_drained)
        arrived = await full.get()
        await channel.queue_delete(full.name)

    assert arrived.message_id == refused
    assert (await history.ids()).count(refused) > 1  # once for each time it was sent


async def test_a_released_delivery_is_in_the_history(
    command: RelayCommand, history: History, connection: AbstractConnection
) -> None:
    await command("topology", "--apply")
    (body,) = numbered(1)
    delivery = encode_quarantined(
        body,
        reason="not_understood_then",
        origin=Origin(vendor="swiftsell", source="swiftsell"),
        received_at=1_693_577_625.5,
        delivery_id="d1",
        headers={},
        secrets=(),
    )
    async with connection.channel() as channel:
        properties = commands.Basic.Properties()
        properties.unmarshal(int.from_bytes(delivery.properties[:2]), delivery.properties[2:])
        wire = await channel.get_underlay_channel()
        await wire.basic_publish(
            body,
            exchange=topology.quarantine_exchange(history.exchange),
            routing_key=delivery.routing_key,
            properties=properties,
        )

    result = await command("quarantine", "release", "--all")

    assert result.code == 0, result.err
    (kept,) = await history.events()
    assert [["released", delivery.id, kept.properties.message_id]] == result.rows
    assert kept.routing_key == "swiftsell.message.created.text"
    assert await history.take_unrouted() == [kept.properties.message_id]


async def test_a_history_can_be_added_to_what_is_there(
    relay: RelayProcess, history: History, recorder: Recorder
) -> None:
    relay.write_config(relay.sections | {"history": {"enabled": False}})
    async with relay:
        before = await post_all(relay.url, numbered(3))
        await recorder.has(3)
        await eventually(relay.is_drained)
    relay.write_config(relay.sections | {"history": {"enabled": True}})

    async with relay:
        after = await post_all(relay.url, numbered(3, start=3))
        await recorder.has(6)
        await eventually(relay.is_drained)

    assert sorted(recorder.ids) == sorted(before + after)
    assert sorted(await history.ids()) == sorted(after)


async def test_the_commands_know_the_history(
    command: RelayCommand, history: History, exchange: str
) -> None:
    missing = await command("check")
    shown = await command("topology")
    applied = json.loads((await command("topology", "--apply", "--json")).out)
    complete = await command("check")

    assert f"exchange {history.name}" in missing.out
    assert f"queue {history.name}" in missing.out
    assert ["binding", exchange, f"exchange={history.name}, pattern=#"] in shown.rows
    assert {
        "exchange": history.name,
        "to_exchange": exchange,
        "pattern": "#",
    } in applied["bindings"]
    assert {
        "exchange": history.name,
        "queue": history.name,
        "pattern": "#",
    } in applied["bindings"]
    assert "topology complete" in complete.out


async def unbind_unrouted(channel: AbstractChannel, history: History) -> None:
    """Break the way from the alternate exchange to its queue."""
    wire = await channel.get_underlay_channel()
    await wire.queue_unbind(history.unrouted, history.unrouted)


async def is_connected(relay: RelayProcess) -> bool:
    """Return whether it is, and so has declared what it needs."""
    return bool((await relay.readiness())[1]["broker"]["state"] == "connected")


async def is_counted(relay: RelayProcess, name: str) -> bool:
    lines = (await relay.metrics()).splitlines()
    return any(line.startswith(f"{name} ") and float(line.split()[1]) > 0 for line in lines)
