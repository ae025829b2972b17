"""The pages in Chromium: light and dark, narrow and wide; screenshots lie in .run/console."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page

from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess, numbered, post_all
from tests.support.servers.chromium import SCHEMES, opened_page
from tests.support.servers.console import Browser, console_beside

SHOTS = Path(".run/console")
pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGES = ("/", "/feed", "/triage", "/search", "/system", "/catalogue")


@pytest.fixture(scope="module", autouse=True)
def shots() -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)


@pytest_asyncio.fixture(loop_scope="module")
async def console(relay: RelayProcess) -> AsyncIterator[Browser]:
    async with console_beside(relay) as browser:
        yield browser


@pytest.mark.parametrize("width", [360, 1280, 2560])
async def test_pages_are_whole_and_load_nothing_from_elsewhere(
    console: Browser, shared_chromium: Chromium, relay: RelayProcess, width: int
) -> None:
    await post_all(relay.url, numbered(5))
    viewport = {"width": width, "height": 900}
    async with opened_page(shared_chromium, console.url, viewport=viewport) as page:
        for path in PAGES:
            await page.goto(path)
            for scheme in SCHEMES:
                await page.emulate_media(color_scheme=scheme)
                assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
                name = path.strip("/") or "overview"
                await page.screenshot(path=SHOTS / f"{name}-{width}-{scheme}.png", full_page=True)


async def test_the_feed_shows_what_is_sent_meanwhile_as_text(
    console: Browser, shared_chromium: Chromium, relay: RelayProcess
) -> None:
    async with opened_page(shared_chromium, console.url) as page:
        await page.goto("/feed?source=swiftsell")
        await eventually(lambda: _has_text(page, "#feed-state", "live"))

        await post_all(relay.url, numbered(1))

        await eventually(lambda: _has_text(page, "#feed", "published"))
        await eventually(lambda: _has_text(page, "#feed", "accepted"))


async def test_one_gets_about_by_keyboard(console: Browser, shared_chromium: Chromium) -> None:
    async with opened_page(shared_chromium, console.url) as page:
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        for _ in range(3):
            await page.keyboard.press("Tab")

        await page.keyboard.press("Enter")

        await page.wait_for_url("**/feed")


async def _has_text(page: Page, selector: str, text: str) -> bool:
    return text in await page.inner_text(selector)
