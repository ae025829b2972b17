"""`relay tail` over outages of RabbitMQ, and events from before it began."""

import asyncio
import json
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aio_pika.abc import AbstractConnection

from deploy.local.broker import PrivateBroker
from relay.events.topology import Topology, history_exchange
from tests.support.archives import event, opened_archive
from tests.support.eventually import LIMIT_S, eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess, numbered, post_all
from tests.support.servers.proxy import Proxy

HISTORY = {"enabled": True, "max_bytes": 10_000_000}


class Tail:
    """A tail that runs, its output read as it comes."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ids: list[str] = []
        self.states: list[str] = []
        self._readers = [
            asyncio.create_task(self._read_events()),
            asyncio.create_task(self._read_states()),
        ]

    async def _read_events(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            self.ids.append(json.loads(line)["id"])

    async def _read_states(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            self.states.append(line.decode().rstrip("\n"))

    async def says(self, start: str) -> str:
        """Wait for a state that begins so, and return it."""
        await eventually(lambda: [line for line in self.states if line.startswith(start)])
        return next(line for line in self.states if line.startswith(start))

    async def has(self, ids: Sequence[str]) -> None:
        await eventually(lambda: set(ids) <= set(self.ids))

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        await asyncio.wait_for(asyncio.gather(self.process.wait(), *self._readers), LIMIT_S)


class Tails:
    """Starts tails with the settings of a folder, and ends them.

    Args:
        exchange: of the events.
        proxy: on the way to RabbitMQ, for those that a test cuts off.
    """

    def __init__(self, exchange: str, proxy: Proxy) -> None:
        self.proxy = proxy
        self._exchange = exchange
        self._started: list[Tail] = []

    async def behind_proxy(self, folder: Path, *options: str) -> Tail:
        """Start one, with a history, whose way to RabbitMQ can be cut."""
        RelayProcess(
            folder,
            broker_url=self.proxy.url,
            exchange=self._exchange,
            broker={"heartbeat_s": 1},
            history=HISTORY,
        )
        return await self.start(folder, *options)

    async def start(self, folder: Path, *options: str) -> Tail:
        command = RelayCommand(folder / "relay.toml")
        tail = Tail(await command.start("tail", "--json", *options))
        self._started.append(tail)
        await tail.says("Waiting for ")
        return tail

    async def stop(self) -> None:
        for tail in self._started:
            await tail.stop()


@pytest.fixture
async def tails(broker_url: str, exchange: str) -> AsyncIterator[Tails]:
    async with Proxy(broker_url) as proxy:
        tails = Tails(exchange, proxy)
        yield tails
        await tails.stop()


@pytest.fixture
async def history(
    connection: AbstractConnection,
    exchange: str,
    declared: Topology,  # noqa: ARG001  takes the rest down
) -> AsyncIterator[str]:
    """The name of the stream, which is taken down at the end."""
    name = history_exchange(exchange)
    yield name
    async with connection.channel() as channel:
        await channel.queue_delete(name)
        await channel.exchange_delete(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for the settings of the tail alone."""
    (tmp_path / "tail").mkdir()
    return tmp_path / "tail"


@pytest.fixture
def relay(tmp_path: Path, broker_url: str, exchange: str, history: str) -> RelayProcess:
    """A relay that keeps a history."""
    assert history
    return RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange, history=HISTORY)


@pytest.mark.parametrize("options", [(), ("--since", "1h")], ids=["now", "since"])
async def test_with_a_history_an_outage_costs_nothing_and_its_events_are_counted(
    relay: RelayProcess, tails: Tails, folder: Path, options: tuple[str, ...]
) -> None:
    async with relay:
        before = await post_all(relay.url, numbered(5))
        await eventually(relay.is_drained)
        tail = await tails.behind_proxy(folder, *options)
        live = await post_all(relay.url, numbered(3, 100))
        await tail.has(live)

        tails.proxy.cut(refuse=True)
        await tail.says("Lost RabbitMQ at ")
        meanwhile = await post_all(relay.url, numbered(7, 200))
        await eventually(relay.is_drained)
        tails.proxy.is_open = True
        state = await tail.says("Connected again. ")
        after = await post_all(relay.url, numbered(2, 300))
        await tail.has([*meanwhile, *after])

    assert "; 7 events came meanwhile; those that match follow." in state
    expected = [*(before if options else []), *live, *meanwhile, *after]
    assert sorted(tail.ids) == sorted(expected)


async def test_a_connection_that_falls_silent_is_noticed_and_nothing_is_missed(
    relay: RelayProcess, tails: Tails, folder: Path
) -> None:
    async with relay:
        await post_all(relay.url, numbered(1))
        await eventually(relay.is_drained)
        tail = await tails.behind_proxy(folder)

        tails.proxy.stall()
        meanwhile = await post_all(relay.url, numbered(4, 100))
        await tail.says("Lost RabbitMQ at ")
        tails.proxy.resume()
        await tail.has(meanwhile)

    assert sorted(tail.ids) == sorted(meanwhile)


async def test_without_a_history_it_says_of_what_time_events_may_be_missing(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str, tails: Tails
) -> None:
    relay = RelayProcess(tmp_path, broker_url=own_broker.url, exchange=exchange)
    async with relay:
        await eventually(lambda: relay.lines("broker connected"))
        tail = await tails.start(tmp_path)
        await tail.has(await post_all(relay.url, numbered(1)))

        own_broker.kill()
        lost = await tail.says("Lost RabbitMQ at ")
        reason = await tail.says("Still without RabbitMQ: ")
        own_broker.start()
        state = await tail.says("Connected again. ")
        after = await post_all(relay.url, numbered(2, 100))
        await tail.has(after)

    assert lost.endswith(" UTC; connecting again.")
    assert "can't be reached" in reason
    assert state.startswith(f"Connected again. RabbitMQ was away from {lost.split()[3]} UTC on")
    assert state.endswith(": events of that time may be missing.")


async def test_past_events_match_the_pattern_and_begin_at_since(
    relay: RelayProcess, tails: Tails, tmp_path: Path
) -> None:
    async with relay:
        accepted = await post_all(relay.url, numbered(5))
        await eventually(relay.is_drained)
        folder, later = tmp_path, datetime.now(UTC) + timedelta(hours=1)
        everything = await tails.start(folder, "#.text", "--since", "5m", "--count", "5")
        nothing = await tails.start(folder, "*.note.#", "--since", "5m")
        too_late = await tails.start(folder, "--since", later.isoformat())
        await asyncio.wait_for(everything.process.wait(), LIMIT_S)
        await everything.has(accepted)

    assert sorted(everything.ids) == sorted(accepted)
    assert nothing.ids == too_late.ids == []


async def test_without_a_history_the_archive_gives_what_is_past_and_no_event_comes_twice(
    tmp_path: Path, broker_url: str, exchange: str, declared: Topology, tails: Tails
) -> None:
    assert declared
    database, now = f"sqlite:{tmp_path}/archive.db", datetime.now(UTC)
    relay = RelayProcess(
        tmp_path,
        broker_url=broker_url,
        exchange=exchange,
        consumers__archive={"database": database},
    )
    async with relay, opened_archive(database) as archive:
        await eventually(lambda: relay.lines("broker connected"))
        past = [
            event(name, time=(now - timedelta(minutes=ago)).isoformat(), note={"text": name})
            for name, ago in (("old", 90), ("middle", 30), ("late", 1))
        ]
        await archive.append(past)
        tail = await tails.start(tmp_path, "--since", "1h")
        live = await post_all(relay.url, [*numbered(2), *numbered(2)])  # each twice
        await tail.has(live)
        last = await post_all(relay.url, numbered(1, 100))
        await tail.has(last)

    assert tail.ids[:2] == [past[1].id, past[2].id]
    assert sorted(tail.ids[2:]) == sorted({*live, *last})


async def test_since_without_past_events_is_one_sentence(
    tmp_path: Path, broker_url: str, exchange: str
) -> None:
    RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange)

    found = await RelayCommand(tmp_path / "relay.toml")("tail", "--since", "1h")

    assert (found.code, found.out) == (1, "")
    assert found.err.startswith("relay: --since needs past events: set [history] enabled = true")
