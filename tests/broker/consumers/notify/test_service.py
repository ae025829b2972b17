"""Notify as its users run it: from the vendor's webhook to the chat of the people it is for."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit.queues import topology as kit
from relay.events import topology
from tests.support.cleanup import delete_queues
from tests.support.eventually import LIMIT_S, eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess
from tests.support.servers.slack import Slack


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as slack:
        yield slack


@pytest.fixture
async def rule(exchange: str, connection: AbstractConnection) -> AsyncIterator[str]:
    """The name of a rule that only this test has; its queues are deleted at the end."""
    yield exchange
    wanted = kit.topology(f"notify-{exchange}", retry_delays_s=[1, 10, 60, 600], dead_max_length=1)
    await delete_queues(connection, wanted.queues)


async def logged(stream: asyncio.StreamReader | None, event: str) -> dict[str, str]:
    """Read a log up to the first line of an event, and return that."""
    assert stream
    async with asyncio.timeout(LIMIT_S):
        while (line := json.loads(await stream.readline()))["event"] != event:
            pass
    return line


async def has_counted(address: str, sample: str) -> bool:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{address}/metrics") as response,
    ):
        return sample in await response.text()


async def test_a_chat_that_was_missed_reaches_people_once(
    tmp_path: Path,
    broker_url: str,
    rule: str,
    slack: Slack,
    declared: topology.Topology,  # noqa: ARG001  takes down what the relay declares
) -> None:
    notify = {
        "seen": f"sqlite:{tmp_path / 'seen.db'}",
        "max_age_s": 0,  # the sample is from another year
    }
    rules = {
        f"consumers__notify__rules__{rule}": {
            "bindings": ["*.conversation.missed"],
            "url": slack.url,
            "template": "A chat was missed: {contact.phone} on {vendor}",
        }
    }
    relay = RelayProcess(
        tmp_path,
        broker_url=broker_url,
        exchange=rule,
        vendors=("pickyassist",),
        consumers__notify=notify,
        consumers__notify__admin={"port": 0},
        **rules,
    )
    config = tmp_path / "relay.toml"
    async with relay:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "consumers.notify", "--config", str(config)),
            stderr=asyncio.subprocess.PIPE,
        )
        admin = (await logged(process.stderr, "listening"))["address"]
        await logged(process.stderr, "consuming")
        send = RelayCommand(config)
        for _ in range(2):
            result = await send("send", "pickyassist", "--all", "--url", relay.url)
            assert result.code == 0, result.err
        duplicate = f'relay_consumer_events_total{{consumer="notify-{rule}",outcome="duplicate"}} 1'
        await eventually(lambda: has_counted(admin, duplicate))
        process.terminate()
        _, log = await asyncio.wait_for(process.communicate(), LIMIT_S)

    assert process.returncode == 0, log
    assert slack.texts == ["A chat was missed: 9194954xxxxx on pickyassist"]
    assert slack.url not in log.decode()
