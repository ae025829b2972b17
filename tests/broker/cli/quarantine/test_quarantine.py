"""`relay quarantine`: looking changes nothing, and dropping takes what it should."""

import json

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection

from relay.events.topology import quarantine_exchange
from tests.support.cli.quarantine import NOT_JSON, NOW_JSON, Quarantine
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand


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
