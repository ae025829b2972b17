"""What goes down under a console is said on its open pages, which recover by themselves."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, expect

from deploy.local.broker import PrivateBroker
from deploy.local.private_server import free_port
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess, numbered, post_all
from tests.support.servers.chromium import opened_page
from tests.support.servers.console import SOURCE
from tests.support.servers.ports import is_taken

pytestmark = pytest.mark.asyncio(loop_scope="module")


class ConsoleProcess:
    """`relay console` as its users run it, which may be killed and started again."""

    def __init__(self, directory: Path, broker_url: str, *, receiver: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._config = directory / "console.toml"
        self._config.write_text(
            f'[console]\nport = {self.port}\nreceivers = ["{receiver}"]\n'
            f'[broker]\nurls = ["{broker_url}"]\n{SOURCE}'
        )

    async def start(self) -> None:
        command = ("-m", "relay", "console", "--config", str(self._config))
        self._process = await asyncio.create_subprocess_exec(sys.executable, *command)
        await eventually(lambda: is_taken(self.port))

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@pytest_asyncio.fixture(loop_scope="module")
async def relay(tmp_path: Path, own_broker: PrivateBroker) -> AsyncIterator[RelayProcess]:
    """A relay whose admin port stays the same when it is started again."""
    admin = {"port": free_port()}
    async with RelayProcess(tmp_path, broker_url=own_broker.url, admin=admin) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="module")
async def console(
    tmp_path: Path, own_broker: PrivateBroker, relay: RelayProcess
) -> AsyncIterator[ConsoleProcess]:
    console = ConsoleProcess(tmp_path, own_broker.url, receiver=relay.admin_url)
    await console.start()
    yield console
    await console.kill()


async def test_a_receiver_that_is_killed_and_comes_back(
    console: ConsoleProcess, relay: RelayProcess, shared_chromium: Chromium
) -> None:
    async with opened_page(shared_chromium, console.url) as page:
        await says(page, "main", "1 of 1 receivers ready")

        await relay.kill()
        await says(page, "main", "0 of 1 receivers ready")
        await says(page, "main", "Not accepting")

        await relay.start()
        await says(page, "main", "1 of 1 receivers ready")


async def test_a_broker_that_is_stopped_and_comes_back(
    console: ConsoleProcess,
    own_broker: PrivateBroker,
    relay: RelayProcess,
    shared_chromium: Chromium,
) -> None:
    async with (
        opened_page(shared_chromium, console.url) as overview,
        opened_page(shared_chromium, console.url) as feed,
        opened_page(shared_chromium, console.url) as triage,
    ):
        await feed.goto("/feed")
        await triage.goto("/triage")
        await says(feed, "#feed-state", "live")
        await says(overview, "main", "RabbitMQ connected")

        await asyncio.to_thread(own_broker.stop)
        await says(overview, "main", "not connected to RabbitMQ")
        await says(feed, "#feed-state", "RabbitMQ")
        await says(triage, "main", "RabbitMQ")
        await post_all(relay.url, numbered(1))

        await asyncio.to_thread(own_broker.start)
        await says(overview, "main", "RabbitMQ connected")
        await says(triage, "main", "Nothing waits here")
        await says(feed, "#feed-state", "live")
        await post_all(relay.url, numbered(1, start=1))
        await says(feed, "#feed", "published")


async def test_a_console_that_is_killed_and_started_again(
    console: ConsoleProcess, relay: RelayProcess, shared_chromium: Chromium
) -> None:
    refused = "ERR_CONNECTION_REFUSED"
    cut = "ERR_INCOMPLETE_CHUNKED_ENCODING"
    async with (
        opened_page(shared_chromium, console.url, expected=(refused, cut)) as overview,
        opened_page(shared_chromium, console.url, expected=(refused, cut)) as feed,
    ):
        await feed.goto("/feed")
        await says(feed, "#feed-state", "live")
        await says(overview, "main", "1 of 1 receivers ready")

        await console.kill()
        await says(feed, "#feed-state", "connection lost")
        await says(overview, "#stale", "The console does not answer")

        await console.start()
        await says(feed, "#feed-state", "live")
        await overview.locator("#stale").wait_for(state="hidden")
        await says(overview, "main", "1 of 1 receivers ready")
        await post_all(relay.url, numbered(1))
        await says(feed, "#feed", "published")


async def says(page: Page, selector: str, text: str) -> None:
    """Wait until an element of the open page has a text; nothing is loaded again for that."""

    element = page.locator(selector)
    await expect(element).to_contain_text(text, use_inner_text=True, timeout=90_000)
