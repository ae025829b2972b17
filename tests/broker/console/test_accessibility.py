"""What axe-core finds in the pages, light and dark: nothing serious."""

from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page

from consumers.kit.queues import topology as consumer_topology
from deploy.local.test_programs import AXE
from relay.broker.connection import declare
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess, numbered, post_all, post_signed
from tests.support.servers.chromium import SCHEMES, opened_page
from tests.support.servers.console import Browser, opened_console

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        not AXE.path.exists(), reason="axe-core is missing: `make test` fetches it with npm"
    ),
]

FIND_VIOLATIONS = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations.filter((each) => ["serious", "critical"].includes(each.impact))
    .flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.html.slice(0, 200)}`));
}"""
TOKENS = 'tokens = {viewer = ["viewer-token"], operator = ["operator-token"]}'


@pytest_asyncio.fixture(loop_scope="module")
async def console(
    tmp_path: Path, relay: RelayProcess, broker_url: str, exchange: str, name: str
) -> AsyncIterator[Browser]:
    """A console of which every page has something to show."""
    wanted = consumer_topology.topology(name, retry_delays_s=[1], dead_max_length=100)
    async with await aio_pika.connect(broker_url) as connection:
        await declare(connection, wanted, passive=False)
    settings = f'receivers = ["{relay.admin_url}", "http://127.0.0.1:1"]\n'
    settings += f'services = {{"{name}" = ""}}\n{TOKENS}'
    async with opened_console(
        tmp_path, broker_url=broker_url, exchange=exchange, console=settings
    ) as browser:
        yield browser


async def test_no_page_keeps_anybody_from_using_it(
    console: Browser, shared_chromium: Chromium, relay: RelayProcess
) -> None:
    await post_all(relay.url, numbered(3))
    async with aiohttp.ClientSession() as http:
        await post_signed(http, relay.url, "swiftsell", b"{")
    found: dict[str, list[str]] = {}

    async with opened_page(shared_chromium, console.url) as page:
        await note(page, found, "login")
        await page.fill("#token", "operator-token")
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(console.url + "/")
        await eventually(lambda: is_asked(page))
        for path in ("/", "/feed", "/triage", "/search", "/system", "/catalogue"):
            await page.goto(path)
            await note(page, found, path)
        await page.goto("/feed")
        await page.get_by_role("link", name="Open", exact=False).first.click()
        await note(page, found, "event")
        await page.goto("/triage")
        await page.get_by_role("link", name="Open", exact=False).first.click()
        await page.get_by_role("button", name="Try").click()
        await note(page, found, "group")
        await page.locator(".ids a").first.click()
        await note(page, found, "message")
        await page.get_by_role("button", name="Show as it is").click()
        await note(page, found, "message as it is")
        await page.goto("/catalogue?type=message.created")
        await note(page, found, "schema")

    assert found == {}


async def is_asked(page: Page) -> bool:
    """Return whether the overview has heard of its receivers."""
    await page.reload()
    return "1 of 2 receivers ready" in await page.inner_text("#main")


async def note(page: Page, found: dict[str, list[str]], name: str) -> None:
    """Note what axe finds on a page; the page's own policy does not let axe in."""
    await page.evaluate(AXE.path.read_text())
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        if problems := await page.evaluate(FIND_VIOLATIONS):
            found[f"{name}, {scheme}"] = problems
