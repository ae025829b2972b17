"""The commands that look: check, topology, vendors, outbox, inspect."""

import json
from pathlib import Path

import pytest
from aio_pika.abc import AbstractConnection

from relay import vendors
from relay.events.topology import Topology
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import NOWHERE, RelayProcess, numbered, post_all


@pytest.fixture
def process(
    tmp_path: Path,
    broker_url: str,
    exchange: str,
    declared: Topology,  # noqa: ARG001  takes down what a test declares
) -> RelayProcess:
    """A relay that is not started, but whose settings are written."""
    return RelayProcess(
        tmp_path, broker_url=broker_url, exchange=exchange, vendors=("acquire", "swiftsell")
    )


@pytest.fixture
def relay(process: RelayProcess, tmp_path: Path) -> RelayCommand:  # noqa: ARG001
    return RelayCommand(tmp_path / "relay.toml")


async def test_help_names_every_command(relay: RelayCommand) -> None:
    result = await relay("--help")

    assert result.code == 0
    for name in ("check", "inspect", "outbox", "quarantine", "send", "serve", "tail", "topology"):
        assert f"  {name} " in result.out


async def test_an_unknown_command_is_named(relay: RelayCommand) -> None:
    result = await relay("sevre")

    assert result.code == 2
    assert "No such command 'sevre'" in result.err


async def test_wrong_settings_are_told_all_at_once(relay: RelayCommand, tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("[ingress]\nport = -1\n[outbox]\nmax_bytes = 'much'\n")

    result = await relay("check")

    assert result.code == 2
    assert [line.split(":")[:2] for line in result.err.splitlines()] == [
        ["relay", " ingress.port"],
        ["relay", " outbox.max_bytes"],
    ]


async def test_a_settings_file_that_is_not_there_is_named(relay: RelayCommand) -> None:
    result = await relay("topology", "--config", "nowhere.toml")

    assert (result.code, result.err) == (
        2,
        "relay: The settings file nowhere.toml does not exist.\n",
    )


# check


async def test_check_lists_what_is_fine_and_changes_nothing(
    relay: RelayCommand, tmp_path: Path
) -> None:
    for _ in range(2):
        result = await relay("check")

        assert result.code == 0, result.err
        assert [row[0] for row in result.rows] == ["ok", "ok", "ok"]
        assert "sources: acquire, swiftsell" in result.rows[0][2]
        assert "`relay serve` will declare exchange" in result.rows[2][2]
    assert not (tmp_path / "outbox").exists()


async def test_check_is_content_while_a_relay_runs(
    relay: RelayCommand, process: RelayProcess
) -> None:
    async with process:
        await eventually(lambda: process.lines("broker connected"))

        result = await relay("check")

    assert result.code == 0, result.err
    assert "0 messages waiting" in result.rows[1][2]
    assert "topology complete" in result.rows[2][2]


async def test_check_tries_every_broker_though_one_is_down(
    relay: RelayCommand, broker_url: str
) -> None:
    result = await relay("check", RELAY_BROKER__URLS=f"{NOWHERE},{broker_url}")

    assert result.code == 1
    assert [row[:2] for row in result.rows[2:]] == [
        ["failed", "broker 127.0.0.1:1"],
        ["ok", result.rows[3][1]],
    ]
    assert "127.0.0.1:1 can't be reached" in result.err
    assert "guest" not in result.out + result.err


async def test_check_offline_leaves_the_broker_out(relay: RelayCommand) -> None:
    result = await relay("check", "--offline", RELAY_BROKER__URLS=NOWHERE)

    assert result.code == 0
    assert [row[1] for row in result.rows] == ["settings", "outbox"]


async def test_check_says_what_to_do_about_a_refused_login(
    relay: RelayCommand, broker_url: str
) -> None:
    result = await relay("check", RELAY_BROKER__URLS=broker_url.replace("guest@", "wrong@"))

    assert result.code == 1
    assert "refused the user name or password" in result.err
    assert "wrong" not in result.err


async def test_check_reports_a_topology_that_nobody_may_declare(relay: RelayCommand) -> None:
    result = await relay("check", RELAY_BROKER__DECLARE_TOPOLOGY="false")

    assert result.code == 1
    assert "does not exist; create it with `relay topology --apply`" in result.err


async def test_check_finds_other_properties_behind_something_missing(
    relay: RelayCommand, connection: AbstractConnection, exchange: str
) -> None:
    async with connection.channel() as channel:
        await channel.declare_exchange(exchange, "direct", durable=True)

    result = await relay("check")

    assert result.code == 1
    assert f"Exchange {exchange} exists with other properties" in result.err


async def test_check_finds_an_outbox_that_cannot_be_made(
    relay: RelayCommand, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    result = await relay(
        "check", "--offline", RELAY_OUTBOX__DIRECTORY=str(tmp_path / "file" / "outbox")
    )

    assert result.code == 1
    assert "can't be used: Not a directory;" in result.err


async def test_check_finds_an_outbox_that_is_none(relay: RelayCommand, tmp_path: Path) -> None:
    (tmp_path / "outbox").mkdir()
    (tmp_path / "outbox" / "outbox.db").write_text("This is not a database, but long enough.")

    result = await relay("check", "--offline")

    assert result.code == 1
    assert "file is not a database" in result.err


async def test_check_needs_no_outbox_that_is_not_used(relay: RelayCommand) -> None:
    result = await relay("check", "--offline", RELAY_INGRESS__ACK_AFTER="confirm")

    assert result.code == 0
    assert "not used" in result.rows[1][2]


# topology


async def test_topology_is_printed_without_a_broker(relay: RelayCommand, exchange: str) -> None:
    result = await relay("topology", "--json", RELAY_BROKER__URLS=NOWHERE)
    rows = (await relay("topology", RELAY_BROKER__URLS=NOWHERE)).rows

    shown = json.loads(result.out)
    assert {exchange["name"] for exchange in shown["exchanges"]} == {
        exchange,
        f"{exchange}.unrouted",
        f"{exchange}.quarantine",
    }
    assert [queue["arguments"]["x-queue-type"] for queue in shown["queues"]] == ["quorum", "quorum"]
    assert [binding["pattern"] for binding in shown["bindings"]] == ["", "#"]
    assert [row[0] for row in rows] == ["exchange"] * 3 + ["queue"] * 2 + ["binding"] * 2


async def test_topology_is_applied_as_often_as_one_likes(
    relay: RelayCommand, connection: AbstractConnection, exchange: str
) -> None:
    for _ in range(2):
        result = await relay("topology", "--apply")
        assert (result.code, result.err) == (0, "Declared.\n")

    async with connection.channel() as channel:
        await channel.get_queue(f"{exchange}.quarantine")
        await channel.get_exchange(exchange)


async def test_topology_says_what_to_do_about_other_properties(
    relay: RelayCommand, connection: AbstractConnection, exchange: str
) -> None:
    async with connection.channel() as channel:
        await channel.declare_exchange(exchange, "direct", durable=True)

    result = await relay("topology", "--apply")

    assert result.code == 1
    assert f"Exchange {exchange} exists with other properties" in result.err


async def test_topology_cannot_be_applied_without_a_broker(relay: RelayCommand) -> None:
    result = await relay("topology", "--apply", RELAY_BROKER__URLS=NOWHERE)

    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("relay: RabbitMQ at 127.0.0.1:1 can't be reached")


# vendors


async def test_vendors_are_listed(relay: RelayCommand) -> None:
    shown = json.loads((await relay("vendors", "--json")).out)
    found = {vendor["name"]: vendor for vendor in shown}
    rows = {row[0]: row for row in (await relay("vendors")).rows}

    samples = len(vendors.samples("swiftsell"))
    assert found["swiftsell"]["samples"] == samples > 0
    assert (found["swiftsell"]["handshake"], found["acquire"]["handshake"]) == (True, False)
    assert rows["swiftsell"] == [
        "swiftsell",
        str(samples),
        "handshake",
        found["swiftsell"]["about"],
    ]


# outbox


async def test_outbox_is_read_while_a_relay_runs_and_when_none_does(
    relay: RelayCommand, process: RelayProcess
) -> None:
    process.sections["broker"]["urls"] = [NOWHERE]
    process.sections["ingress"]["shutdown_grace_s"] = 0
    process.write_config(process.sections)
    async with process:
        await post_all(process.url, numbered(3))
        running = json.loads((await relay("outbox", "--json")).out)
        await process.stop()
    stopped = json.loads((await relay("outbox", "--json")).out)
    rows = (await relay("outbox")).rows

    assert running["messages"] == stopped["messages"] == 3
    assert running["routing_keys"] == {"swiftsell.message.created.text": 3}
    assert 0 < running["log_bytes"] < running["bytes"]
    assert 0 < stopped["used_bytes"] <= stopped["bytes"] <= stopped["max_bytes"]
    assert 0 < running["oldest_age_s"] < stopped["oldest_age_s"]
    assert ["messages", "3"] in rows
    assert ["swiftsell.message.created.text", "3"] in rows


async def test_all_outboxes_of_a_receiver_are_summed_also_those_left_over(
    relay: RelayCommand, process: RelayProcess
) -> None:
    process.sections["broker"]["urls"] = [NOWHERE]
    process.sections["ingress"] |= {"shutdown_grace_s": 0, "workers": 3}
    process.write_config(process.sections)
    async with process:
        await post_all(process.url, numbered(90), concurrency=30)
        running = json.loads((await relay("outbox", "--json")).out)
        await process.stop()
    process.sections["ingress"]["workers"] = 2
    process.write_config(process.sections)
    stopped = json.loads((await relay("outbox", "--json")).out)
    rows = (await relay("outbox")).rows
    checked = await relay("check", "--offline")

    assert running["messages"] == stopped["messages"] == 90
    assert stopped["routing_keys"] == {"swiftsell.message.created.text": 90}
    assert [worker["worker"] for worker in stopped["workers"]] == [0, 1, 2]
    assert sum(worker["messages"] for worker in stopped["workers"]) == 90
    assert sum(worker["bytes"] for worker in stopped["workers"]) == stopped["bytes"]
    assert (stopped["max_bytes"], stopped["workers"][0]["max_bytes"]) == (
        10_737_418_240,
        5_368_709_120,
    )
    assert ["worker 2", str(stopped["workers"][2]["messages"])] in rows
    assert "90 messages waiting in 3 outboxes" in checked.out


async def test_outbox_that_is_not_there_is_an_error(relay: RelayCommand, tmp_path: Path) -> None:
    result = await relay("outbox")

    assert (result.code, result.err) == (
        1,
        f"relay: There is no outbox in {tmp_path / 'outbox'}.\n",
    )
