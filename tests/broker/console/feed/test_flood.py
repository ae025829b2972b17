"""A feed in a flood: what its filter wants is there, and the rest is counted."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aio_pika.abc import AbstractConnection
from aiohttp import web
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page

from relay.events.topology import unrouted_exchange
from tests.support.consuming import Exchange, body
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess, numbered, post_all
from tests.support.servers.chromium import opened_page
from tests.support.servers.console import Browser, opened_console

TWO_SOURCES = '[sources.shop]\nvendor = "swiftsell"\nsecrets = ["s3cret"]\n'


class Watcher:
    """Somebody who has a feed open."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.more = 0
        self.error: str | None = None

    @property
    def total(self) -> int:
        return len(self.rows) + self.more

    def ids(self) -> set[str]:
        return {row["id"] for row in self.rows}

    async def read(self, lines: AsyncIterator[str]) -> None:
        async for line in lines:
            if line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                self.rows += data["rows"]
                self.more += data["more"]
                self.error = data["error"]


@contextlib.asynccontextmanager
async def watching(console: Browser, query: str) -> AsyncIterator[Watcher]:
    """Have a feed open, live from the beginning."""
    watcher = Watcher()
    async with console.stream(f"/feed/stream?{query}") as lines:
        task = asyncio.create_task(watcher.read(lines))
        await eventually(lambda: watcher.error == "")
        yield watcher
        task.cancel()


def event(number: int, *, kind: str = "message.created", source: str = "acme") -> bytes:
    document = orjson.loads(body(event_id=f"{number:032x}"))
    return orjson.dumps(document | {"type": kind, "source": f"/swiftsell/{source}"})


@pytest.fixture
async def quiet_console(
    tmp_path: Path, broker_url: str, events: Exchange, connection: AbstractConnection
) -> AsyncIterator[Browser]:
    """A console of two sources of one vendor, without a receiver; and a service wants all events.

    Without the latter, what the feed does not want would fill the queue of unrouted events.
    """
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True, arguments={"x-max-length": 1})
    await queue.bind(events.name, "#")
    async with opened_console(
        tmp_path,
        broker_url=broker_url,
        exchange=events.name,
        console=f'receivers = ["http://127.0.0.1:1"]\n{TWO_SOURCES}',
    ) as browser:
        yield browser


async def test_what_a_flood_has_beside_the_rows_shown_is_counted(
    quiet_console: Browser, events: Exchange
) -> None:
    async with watching(quiet_console, "") as feed, watching(quiet_console, "") as other:
        for first in range(0, 3000, 500):
            await events.publish(*map(event, range(first, first + 500)))

        await eventually(lambda: feed.total >= 3000)
        await events.publish(event(3000))
        await eventually(lambda: f"{3000:032x}" in feed.ids())

        assert feed.total == 3001
        assert 100 <= len(feed.rows) <= 1000
        await eventually(lambda: other.total == 3001)
        assert other.rows == feed.rows


async def test_all_that_comes_at_once_from_one_delivery_is_shown(
    quiet_console: Browser, events: Exchange
) -> None:
    async with watching(quiet_console, "verdict=published") as feed:
        await events.publish(*map(event, range(100)))
        await eventually(lambda: feed.total >= 100)

    assert (len(feed.ids()), feed.more) == (100, 0)


@pytest.mark.parametrize(
    ("query", "rare", "common"),
    [
        ("type=note.created", {"kind": "note.created"}, {"kind": "message.created"}),
        ("type=note", {"kind": "note"}, {"kind": "note.created"}),  # the same binding
        ("source=shop", {"source": "shop"}, {"source": "acme"}),  # the same vendor
        ("source=elsewhere", {"source": "elsewhere"}, {"source": "acme"}),  # unknown here
        ("source=shop&type=note.created", {"source": "shop", "kind": "note.created"}, {}),
    ],
)
async def test_a_filter_misses_nothing_in_a_flood_of_others(
    quiet_console: Browser,
    events: Exchange,
    query: str,
    rare: dict[str, str],
    common: dict[str, str],
) -> None:
    async with watching(quiet_console, query) as feed:
        wanted = set()
        for first in range(0, 4000, 500):
            flood = [event(number, **common) for number in range(first, first + 499)]
            wanted.add(f"{first + 499:032x}")
            one = event(first + 499, **rare)
            key = f"swiftsell.{rare.get('kind', 'message.created')}"
            await asyncio.gather(
                events.publish(*flood, key=f"swiftsell.{common.get('kind', 'message.created')}"),
                events.publish(one, key=key),
            )

        await eventually(lambda: feed.ids() >= wanted)
        assert feed.ids() == wanted
        assert feed.more == 0


async def test_a_flood_of_what_a_filter_wants_is_counted_among_others(
    quiet_console: Browser, events: Exchange
) -> None:
    async with watching(quiet_console, "source=shop") as feed:
        await events.publish(*[event(n, source="acme") for n in range(5)])
        for first in range(0, 2000, 500):
            await events.publish(
                *[event(n, source=("acme", "shop")[n % 2]) for n in range(first, first + 500)]
            )

        await eventually(lambda: feed.total >= 1000)
        await events.publish(event(5000, source="shop"))
        await eventually(lambda: feed.total >= 1001)

    assert feed.total == 1001
    assert len(feed.rows) < 1000


async def test_the_page_counts_what_it_does_not_show_and_waits_while_one_reads(
    quiet_console: Browser, chromium: Chromium, events: Exchange
) -> None:
    async with opened_page(chromium, quiet_console.url) as page:
        await page.goto("/feed")
        await eventually(lambda: has_text(page, "#feed-state", "live"))

        await events.publish(*map(event, range(1000)))

        await eventually(lambda: has_text(page, "#feed-left", "more, not shown"))
        await eventually(lambda: adds_up(page, 1000))
        await page.locator("#feed tr").nth(3).hover()
        shown = await page.inner_text("#feed")
        await events.publish(event(1000))
        await eventually(lambda: has_text(page, "#feed-more", "1 new"))
        assert await page.inner_text("#feed") == shown
        await page.locator("#feed-more").click()
        await eventually(lambda: adds_up(page, 1001))


async def has_text(page: Page, selector: str, text: str) -> bool:
    return text in await page.inner_text(selector)


async def adds_up(page: Page, count: int) -> bool:
    """Return whether so many rows are shown or counted."""
    (left,) = re.findall(r"([\d,]+) more", await page.inner_text("#feed-left"))
    return await page.locator("#feed tr").count() + int(left.replace(",", "")) == count


@pytest.mark.parametrize("query", ["verdict=accepted", "source=swiftsell&verdict=accepted"])
async def test_requests_of_a_flood_are_shown_or_counted(
    console: Browser, relay: RelayProcess, query: str
) -> None:
    async with watching(console, query) as feed:
        await post_all(relay.url, numbered(300))

        await eventually(lambda: feed.total >= 300)

    assert feed.total == 300


class Receiver:
    """Stands for a receiver, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        page = {"cursor": "1-1", "missed": 0, "skipped": 0, "requests": []}
        return web.json_response(page)

    def count(self, path: str) -> int:
        return self.asked.count(path)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_get("/{path}", self.answer)
        runner = web.AppRunner(application, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()


async def test_a_feed_that_is_closed_binds_nothing_and_asks_nobody(
    tmp_path: Path, broker_url: str, events: Exchange, connection: AbstractConnection
) -> None:
    unrouted = unrouted_exchange(events.name)
    channel = await connection.channel()
    receiver = Receiver()

    async def is_unrouted() -> bool:
        """Publish what no service wants, and return whether some of it was kept as that."""
        await events.publish(event(0))
        queue = await channel.declare_queue(unrouted, passive=True)
        return bool(queue.declaration_result.message_count)

    async with (
        receiver.listening() as url,
        opened_console(
            tmp_path,
            broker_url=broker_url,
            exchange=events.name,
            console=f'receivers = ["{url}"]',
        ) as console,
    ):
        async with watching(console, ""), watching(console, "type=message.created") as feed:
            await eventually(lambda: receiver.count("/recent") >= 4)
            assert not await is_unrouted()
            await eventually(lambda: feed.rows)
        await eventually(is_unrouted)
        before, looks = receiver.count("/recent"), receiver.count("/readyz")

        await eventually(lambda: receiver.count("/readyz") >= looks + 2)

        assert receiver.count("/recent") == before
