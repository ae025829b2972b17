"""`relay recent`, against a running relay."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.eventually import LIMIT_S
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import NOWHERE, RelayProcess, numbered, post_all


@pytest.fixture
def stopped(tmp_path: Path) -> RelayProcess:
    """A relay that is not started, but whose settings are written."""
    return RelayProcess(tmp_path, broker_url=NOWHERE)


@pytest.fixture
async def relay(stopped: RelayProcess) -> AsyncIterator[RelayProcess]:
    async with stopped:
        yield stopped


@pytest.fixture
def command(stopped: RelayProcess) -> RelayCommand:
    return RelayCommand(stopped.directory / "relay.toml")


async def refuse(relay: RelayProcess, path: str = "/in/swiftsell") -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{relay.url}{path}", data=b'{"field": "visible-value"}'),
    ):
        pass


async def test_it_lists_what_came_and_filters(relay: RelayProcess, command: RelayCommand) -> None:
    (event_id,) = await post_all(relay.url, numbered(1))
    await refuse(relay)
    await refuse(relay, "/in/nobody")
    admin = ("--url", relay.admin_url)

    shown = await command("recent", *admin)
    refused = await command("recent", *admin, "--verdict", "refused", "--source", "swiftsell")
    both = await command("recent", *admin, *admin, "--json", "--reason", "unknown-source")

    assert [row[1:5] for row in shown.rows] == [
        ["swiftsell", "200", "accepted", ""],
        ["swiftsell", "401", "refused", "token_missing"],
        ["unknown", "404", "refused", "unknown-source"],
    ]
    assert shown.rows[0][6] == event_id
    assert [row[4] for row in refused.rows] == ["token_missing"]
    assert [json.loads(line)["status"] for line in both.out.splitlines()] == [404, 404]
    assert "visible-value" not in shown.out + refused.out + both.out


async def test_it_is_a_table_on_a_terminal(relay: RelayProcess, command: RelayCommand) -> None:
    await refuse(relay)

    result = await command.on_terminal("recent", "--url", relay.admin_url)

    assert result.code == 0
    assert "Verdict" in result.out
    assert "refused" in result.out


async def test_it_follows_and_says_when_the_relay_was_away(
    relay: RelayProcess, command: RelayCommand
) -> None:
    await refuse(relay)
    process = await command.start("recent", "--follow", "--json", "--url", relay.admin_url)
    assert process.stdout
    assert process.stderr
    async with asyncio.timeout(LIMIT_S):
        assert json.loads(await process.stdout.readline())["status"] == 401
        await post_all(relay.url, numbered(1))
        assert json.loads(await process.stdout.readline())["status"] == 200

        await relay.stop()
        assert b"Trying on." in await process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


@pytest.mark.parametrize("option", [("--limit", "0"), ("--limit", "1001"), ("--verdict", "no")])
async def test_what_it_can_not_list_is_refused(
    command: RelayCommand, option: tuple[str, str]
) -> None:
    assert (await command("recent", *option)).code == 2


async def test_without_a_relay_it_says_so(command: RelayCommand) -> None:
    result = await command("recent", "--url", "http://127.0.0.1:1")

    assert result.code == 1
    assert "can't be reached" in result.err
