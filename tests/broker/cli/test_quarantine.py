"""`relay quarantine`: looking changes nothing; releasing and dropping take what they should."""

import json
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection
from pamqp import commands

from relay.events.envelope import encode_events
from relay.events.message import Message, Origin
from relay.events.quarantine import encode_quarantined
from relay.events.topology import Topology, quarantine_exchange
from relay.vendors import discover
from relay.vendors.kit.request import Request
from tests.conftest import SAMPLES
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess

ORIGIN = Origin(vendor="swiftsell", source="acme")
UNDERSTOOD = (SAMPLES / "swiftsell" / "02-message-text.json").read_bytes()
RECEIVED_AT = 1_693_577_625.503552
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def quarantined(body: bytes, origin: Origin = ORIGIN, age_s: float = 0) -> Message:
    return encode_quarantined(
        body,
        reason="not_json",
        origin=origin,
        received_at=RECEIVED_AT - age_s,
        headers={"content-type": "text/odd", "x-note": "a\x1b[2J", "traceparent": TRACEPARENT},
        secrets=(),
    )


NOT_JSON, NOW_JSON = quarantined(b"\x1b[31m<xml/>\n\xff"), quarantined(UNDERSTOOD, age_s=60)


class Quarantine:
    """The queue, seen from beside the commands."""

    def __init__(self, connection: AbstractConnection, exchange: str) -> None:
        self._connection = connection
        self._name = quarantine_exchange(exchange)

    async def put(self, *messages: Message) -> None:
        async with self._connection.channel() as channel:
            wire = await channel.get_underlay_channel()
            for message in messages:
                properties = commands.Basic.Properties()
                properties.unmarshal(int.from_bytes(message.properties[:2]), message.properties[2:])
                await wire.basic_publish(
                    message.body,
                    exchange=self._name,
                    routing_key=message.routing_key,
                    properties=properties,
                )

    async def holds(self, *messages: Message) -> bool:
        """Return whether it holds exactly these; they are put back."""
        async with self._connection.channel() as channel:
            queue = await channel.declare_queue(self._name, passive=True)
            found = []
            while message := await queue.get(fail=False):
                found.append(message.message_id)
        return sorted(map(str, found)) == sorted(message.id for message in messages)


@pytest.fixture
def relay(tmp_path: Path, broker_url: str, exchange: str) -> RelayCommand:
    process = RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange)
    process.sections["sources.acme"] = process.sections.pop("sources.swiftsell")
    process.write_config(process.sections)
    return RelayCommand(tmp_path / "relay.toml")


@pytest.fixture
async def quarantine(
    relay: RelayCommand,
    connection: AbstractConnection,
    exchange: str,
    declared: Topology,  # noqa: ARG001  takes it down
) -> Quarantine:
    assert (await relay("topology", "--apply")).code == 0
    return Quarantine(connection, exchange)


async def test_looking_changes_nothing(relay: RelayCommand, quarantine: Quarantine) -> None:
    await quarantine.put(NOT_JSON, NOW_JSON)

    for arguments in (["list"], ["list", "--json"], ["show", NOT_JSON.id]):
        assert (await relay("quarantine", *arguments)).code == 0

    await eventually(lambda: quarantine.holds(NOT_JSON, NOW_JSON))


async def test_the_list_is_sorted_by_age(relay: RelayCommand, quarantine: Quarantine) -> None:
    await quarantine.put(NOT_JSON, NOW_JSON)

    rows = (await relay("quarantine", "list")).rows
    listed = json.loads((await relay("quarantine", "list", "--json")).out)

    assert [row[0] for row in rows] == [NOW_JSON.id, NOT_JSON.id]
    assert rows[1][2:] == ["acme", "swiftsell", "not_json", "13", "text/odd"]
    assert listed[0]["age_s"] == pytest.approx(listed[1]["age_s"] + 60, abs=0.2)
    assert list(map(str, listed[1].values()))[2:] == [*rows[1][2:5], "13", "text/odd"]


async def test_the_list_has_a_limit(relay: RelayCommand, quarantine: Quarantine) -> None:
    await quarantine.put(NOT_JSON, NOW_JSON)

    assert len((await relay("quarantine", "list", "--limit", "1")).rows) == 1
    await eventually(lambda: quarantine.holds(NOT_JSON, NOW_JSON))


async def test_an_empty_quarantine_lists_nothing(
    relay: RelayCommand, quarantine: Quarantine
) -> None:
    assert quarantine
    assert (await relay("quarantine", "list")).out == ""
    assert (await relay("quarantine", "list", "--json")).out == "[]\n"


async def test_a_delivery_is_shown_without_driving_the_terminal(
    relay: RelayCommand, quarantine: Quarantine
) -> None:
    await quarantine.put(NOT_JSON)

    result = await relay("quarantine", "show", NOT_JSON.id)

    assert ["reason", "not_json"] in result.rows
    assert ["header x-note", "a\\u001b[2J"] in result.rows
    assert result.out.endswith("\n\n\\u001b[31m<xml/>\n\\xff\n")


async def test_a_body_is_to_be_had_byte_for_byte(
    relay: RelayCommand, quarantine: Quarantine
) -> None:
    await quarantine.put(NOT_JSON)

    show = await relay.start("quarantine", "show", NOT_JSON.id, "--raw")

    assert await show.communicate() == (b"\x1b[31m<xml/>\n\xff", b"")


async def test_what_is_understood_by_now_is_published_as_it_would_have_been(
    relay: RelayCommand, quarantine: Quarantine, recorder: Recorder
) -> None:
    await quarantine.put(NOW_JSON)
    events = discover()["swiftsell"].normalize(Request(body=UNDERSTOOD))
    (wanted,) = encode_events(events, origin=ORIGIN, received_at=RECEIVED_AT - 60)

    result = await relay("quarantine", "release", NOW_JSON.id)
    await recorder.has(1)

    (message,) = recorder.messages
    assert result.code == 0, result.err
    assert result.rows == [["released", NOW_JSON.id, wanted.id]]
    assert (message.message_id, message.routing_key) == (wanted.id, wanted.routing_key)
    assert message.body == wanted.body
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.content_type == "application/cloudevents+json"
    assert message.headers == {"vendor": "swiftsell", "source": "acme", "traceparent": TRACEPARENT}
    await eventually(quarantine.holds)


async def test_what_is_still_not_understood_stays(
    relay: RelayCommand, quarantine: Quarantine, recorder: Recorder
) -> None:
    await quarantine.put(NOT_JSON, NOW_JSON)

    result = await relay("quarantine", "release", "--all")
    await recorder.has(1)

    assert result.code == 1
    assert result.err == "relay: 1 of 2 deliveries stay in quarantine.\n"
    assert ["kept", NOT_JSON.id, "it still is not understood (not_json)"] in result.rows
    await eventually(lambda: quarantine.holds(NOT_JSON))


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        (Origin(vendor="swiftsell", source="gone"), "its source 'gone' is not configured"),
        (Origin(vendor="gone", source="acme"), "it is from no known vendor ('gone')"),
    ],
    ids=["source", "vendor"],
)
async def test_a_delivery_of_nobody_known_stays(
    relay: RelayCommand, quarantine: Quarantine, origin: Origin, reason: str
) -> None:
    message = quarantined(UNDERSTOOD, origin)
    await quarantine.put(message)

    result = await relay("quarantine", "release", message.id)

    assert (result.code, result.rows) == (1, [["kept", message.id, reason]])
    await eventually(lambda: quarantine.holds(message))


async def test_an_event_the_broker_does_not_take_leaves_its_delivery_where_it_is(
    relay: RelayCommand, quarantine: Quarantine, connection: AbstractConnection, exchange: str
) -> None:
    await quarantine.put(NOW_JSON)
    async with connection.channel() as channel:  # without its binding: no route anywhere
        await channel.queue_delete(f"{exchange}.unrouted")
        await channel.declare_queue(f"{exchange}.unrouted", durable=True)

    result = await relay("quarantine", "release", "--all")

    assert result.code == 1
    assert "did not take the event" in result.err
    assert "its delivery stays in quarantine" in result.err
    await eventually(lambda: quarantine.holds(NOW_JSON))


async def test_what_is_dropped_is_gone_and_nothing_else_is(
    relay: RelayCommand, quarantine: Quarantine
) -> None:
    await quarantine.put(NOT_JSON, NOW_JSON)

    result = await relay("quarantine", "drop", NOT_JSON.id, "--yes")

    assert (result.code, result.rows) == (0, [["dropped", NOT_JSON.id]])
    await eventually(lambda: quarantine.holds(NOW_JSON))

    assert (await relay("quarantine", "drop", "--all", "--yes")).code == 0
    await eventually(quarantine.holds)


async def test_a_person_is_asked_before_anything_is_dropped(
    relay: RelayCommand, quarantine: Quarantine
) -> None:
    await quarantine.put(NOT_JSON)

    refused = await relay.on_terminal("quarantine", "drop", "--all", types="n\n")
    await eventually(lambda: quarantine.holds(NOT_JSON))
    agreed = await relay.on_terminal("quarantine", "drop", NOT_JSON.id, types="y\n")

    assert (refused.code, agreed.code) == (1, 0)
    assert "Drop all deliveries for good? [y/N]" in refused.err
    await eventually(quarantine.holds)


async def test_a_script_has_to_say_yes(relay: RelayCommand, quarantine: Quarantine) -> None:
    await quarantine.put(NOT_JSON)

    result = await relay("quarantine", "drop", "--all")

    assert result.code == 1
    assert result.err == "relay: Nobody is there to ask; give --yes to drop them.\n"
    await eventually(lambda: quarantine.holds(NOT_JSON))


async def test_a_message_of_someone_else_can_be_listed_and_dropped(
    relay: RelayCommand, quarantine: Quarantine, connection: AbstractConnection, exchange: str
) -> None:
    async with connection.channel() as channel:
        target = await channel.get_exchange(quarantine_exchange(exchange))
        await target.publish(aio_pika.Message(b"?", message_id="stranger"), "any.key")

    assert (await relay("quarantine", "list")).rows == [["stranger", "", "", "", "", "1", ""]]
    assert (await relay("quarantine", "release", "stranger")).code == 1
    assert (await relay("quarantine", "drop", "stranger", "--yes")).code == 0
    await eventually(quarantine.holds)


@pytest.mark.parametrize(
    "arguments", [["show", "x"], ["release", "x"], ["drop", "x", "--yes"]], ids=" ".join
)
async def test_an_unknown_id_is_named(
    relay: RelayCommand, quarantine: Quarantine, arguments: list[str]
) -> None:
    await quarantine.put(NOT_JSON)

    result = await relay("quarantine", *arguments)

    assert (result.code, result.err) == (1, "relay: There is no x in quarantine.\n")


@pytest.mark.parametrize("arguments", [["release"], ["drop"], ["drop", "x", "--all"]])
async def test_ids_or_all_must_be_chosen(relay: RelayCommand, arguments: list[str]) -> None:
    result = await relay("quarantine", *arguments)

    assert result.code == 2
    assert "Give either ids or --all." in result.err


@pytest.mark.parametrize("arguments", [["list"], ["show", "x"], ["release", "x"]])
async def test_a_quarantine_that_is_not_there_is_named(
    relay: RelayCommand, exchange: str, arguments: list[str]
) -> None:
    result = await relay("quarantine", *arguments)

    assert result.code == 1
    assert f"{exchange}" in result.err
    assert "does not exist; create it with `relay topology --apply`" in result.err
