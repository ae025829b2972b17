"""`relay check --deep` against a RabbitMQ: what it says, and that it leaves nothing behind."""

import json
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest

from deploy.local.broker import PrivateBroker
from relay import vendors
from relay.broker.connection import declare
from relay.events.topology import Topology
from tests.support.event_recorder import Recorder
from tests.support.relay_command import RelayCommand, Result
from tests.support.relay_process import NOWHERE, RelayProcess
from tests.support.servers import administration

DEEP = ["version", "rights", "queues", "clocks", "round trip"]


@pytest.fixture
def relay(
    tmp_path: Path,
    broker_url: str,
    exchange: str,
    declared: Topology,  # noqa: ARG001  takes down what a test declares
) -> RelayCommand:
    settings = tuple(vendors.discover())
    bounds = {"unrouted_max_length": 1000, "quarantine_max_length": 1000}
    RelayProcess(
        tmp_path, broker_url=broker_url, exchange=exchange, vendors=settings, broker=bounds
    )
    return RelayCommand(tmp_path / "relay.toml")


def rows_of(result: Result) -> dict[str, tuple[str, str]]:
    """Return status and text by the check's name, without the broker's address."""
    return {row[1].split(" 127.")[0]: (row[0], row[2]) for row in result.rows}


async def test_a_signed_sample_of_each_vendor_goes_through_and_nobody_sees_it(
    relay: RelayCommand,
    connection: aio_pika.abc.AbstractConnection,
    exchange: str,
    declared: Topology,
    recorder: Recorder,
) -> None:
    await declare(connection, declared, passive=False)

    result = await relay("check", "--deep")

    assert result.code == 0, result.out + result.err
    rows = rows_of(result)
    assert {"clock", "fsync", "free space", *DEEP} <= set(rows)
    assert rows["version"][1].startswith("RabbitMQ ")
    assert rows["rights"] == ("ok", f"guest may publish to {exchange}, {exchange}.quarantine")
    status, text = rows["round trip"]
    assert status == "ok"
    assert text.startswith(f"{len(vendors.discover())} signed, accepted, published and back in ")
    assert "can't be played" not in text
    assert rows["clocks"] == ("ok", "this clock and RabbitMQ's agree")
    assert f"{exchange}.unrouted has 0" in rows["queues"][1]
    assert recorder.messages == []


async def test_before_the_first_start_nothing_is_created(
    relay: RelayCommand, connection: aio_pika.abc.AbstractConnection, declared: Topology
) -> None:
    result = await relay("check", "--deep")

    assert result.code == 0, result.out
    rows = rows_of(result)
    assert rows["rights"][1].endswith("not declared yet")
    assert rows["queues"] == ("ok", "none is declared yet")
    for part in (*declared.exchanges, *declared.queues):
        async with connection.channel() as channel:
            is_exchange = part in declared.exchanges
            ask = channel.declare_exchange if is_exchange else channel.declare_queue
            with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
                await ask(part.name, passive=True)


async def test_what_waits_is_a_warning_with_what_to_do(
    relay: RelayCommand,
    connection: aio_pika.abc.AbstractConnection,
    exchange: str,
    declared: Topology,
) -> None:
    await declare(connection, declared, passive=False)
    channel = await connection.channel()
    unrouted = await channel.get_exchange(exchange)
    await unrouted.publish(aio_pika.Message(b"{}"), "swiftsell.message.created")

    result = await relay("check", "--deep")

    assert result.code == 0
    status, text = rows_of(result)["queues"]
    assert status == "warning"
    assert text.startswith(f"{exchange}.unrouted has 1: nobody has a binding for them")


async def test_a_queue_that_is_nearly_full_fails(
    relay: RelayCommand,
    connection: aio_pika.abc.AbstractConnection,
    exchange: str,
    declared: Topology,
) -> None:
    await declare(connection, declared, passive=False)
    channel = await connection.channel()
    quarantine = await channel.get_exchange(f"{exchange}.quarantine")
    await quarantine.publish(aio_pika.Message(b"?"), "swiftsell.not_json")
    bound = {"RELAY_BROKER__QUARANTINE_MAX_LENGTH": "1", "RELAY_BROKER__DECLARE_TOPOLOGY": "false"}

    result = await relay("check", "--deep", **bound)

    assert result.code == 1
    status, text = rows_of(result)["queues"]
    assert (status, text) == (
        "failed",
        f"{exchange}.quarantine has 1 of 1: see `relay quarantine list`.",
    )
    assert text in result.err


async def test_a_program_reads_a_line_of_json_per_check(relay: RelayCommand) -> None:
    result = await relay("check", "--deep", "--json", RELAY_BROKER__URLS=NOWHERE)

    lines = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == 1
    assert [line["check"] for line in lines] == [
        *("settings", "outbox", "clock", "ports", "fsync", "free space", "broker 127.0.0.1:1"),
    ]
    assert lines[-1]["status"] == "failed"  # and what needs the broker is not tried
    assert "can't be reached" in lines[-1]["text"]


async def test_offline_only_this_machine_is_looked_at(relay: RelayCommand) -> None:
    result = await relay("check", "--deep", "--offline")

    assert result.code == 0, result.out
    assert list(rows_of(result)) == ["settings", "outbox", "clock", "ports", "fsync", "free space"]


# Users with fewer rights


@pytest.fixture
def user(own_broker: PrivateBroker) -> Iterator[str]:
    administration.add_user(own_broker, "small", "pw")
    yield "small"
    administration.clear_topic_permissions(own_broker, "small")
    administration.delete_user(own_broker, "small")


def url_of(node: PrivateBroker, user: str) -> str:
    return node.url.replace("guest:guest@", f"{user}:pw@")


async def checked(
    relay: RelayCommand, node: PrivateBroker, user: str, rights: tuple[str, str, str], **more: str
) -> dict[str, tuple[str, str]]:
    administration.set_permissions(node, user, rights)
    url = {"RELAY_BROKER__URLS": url_of(node, user), "RELAY_BROKER__DECLARE_TOPOLOGY": "false"}
    return rows_of(await relay("check", "--deep", **(url | more)))


async def declared_on(node: PrivateBroker, wanted: Topology) -> None:
    async with await aio_pika.connect(node.url) as connection:
        await declare(connection, wanted, passive=False)


async def test_the_rights_of_the_definitions_are_enough_but_for_the_round_trip(
    relay: RelayCommand, own_broker: PrivateBroker, user: str, exchange: str, declared: Topology
) -> None:
    await declared_on(own_broker, declared)

    rows = await checked(relay, own_broker, user, ("^$", f"^{exchange}(\\.quarantine)?$", "^$"))

    assert rows["rights"] == ("ok", f"small may publish to {exchange}, {exchange}.quarantine")
    for name in ("round trip", "clocks"):
        assert rows[name][0] == "warning"
        assert f"configure, write and read ^{exchange}\\.check\\." in rows[name][1]


async def test_with_the_rights_it_names_the_round_trip_is_made(
    relay: RelayCommand, own_broker: PrivateBroker, user: str, exchange: str, declared: Topology
) -> None:
    await declared_on(own_broker, declared)
    before = administration.names_on(own_broker)
    check = f"^{exchange}\\.check\\."
    rights = (check, f"^{exchange}(\\.quarantine|\\.check\\..*)?$", check)

    rows = await checked(relay, own_broker, user, rights)

    assert rows["round trip"][0] == rows["clocks"][0] == "ok"
    assert administration.names_on(own_broker) == before


@pytest.mark.parametrize("pattern", ["^$", "^{}$", "^{}\\.quarantine$"])
async def test_a_right_that_is_lacking_is_named(
    relay: RelayCommand,
    own_broker: PrivateBroker,
    user: str,
    exchange: str,
    *,
    declared: Topology,
    pattern: str,
) -> None:
    await declared_on(own_broker, declared)

    rows = await checked(relay, own_broker, user, ("^$", pattern.format(exchange), "^$"))

    status, text = rows["rights"]
    assert status == "failed"
    assert text.startswith("small may not write to exchange ")
    assert (f"exchange {exchange}," in text) == ("quarantine" in pattern or pattern == "^$")
    assert (f"exchange {exchange}.quarantine," in text) == ("quarantine" not in pattern)


async def test_keys_that_may_not_be_used_are_named(
    relay: RelayCommand, own_broker: PrivateBroker, user: str, exchange: str, declared: Topology
) -> None:
    if int(own_broker.ctl("version").split(".")[0]) > 3:
        pytest.skip("RabbitMQ 4 looks at the rights of routing keys last")
    await declared_on(own_broker, declared)
    administration.set_topic_permissions(own_broker, user, exchange, "^swiftsell\\.", ".*")

    rows = await checked(relay, own_broker, user, (".*", ".*", ".*"))

    assert rows["rights"][0] == "failed"
    assert "keys such as acquire.unrecognized" in rows["rights"][1]
    assert "keys such as swiftsell" not in rows["rights"][1]


async def test_what_may_not_be_declared_is_named_and_not_declared(
    relay: RelayCommand, own_broker: PrivateBroker, user: str, exchange: str
) -> None:
    before = administration.names_on(own_broker)

    rights = (f"^{exchange}(\\.unrouted)?$", ".*", ".*")
    rows = await checked(relay, own_broker, user, rights, RELAY_BROKER__DECLARE_TOPOLOGY="true")

    assert rows["rights"][0] == "failed"
    assert rows["rights"][1].startswith(
        f"small may not configure {exchange}.quarantine; nor configure {exchange}.quarantine"
    )
    assert administration.names_on(own_broker) == before
