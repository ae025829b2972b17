"""The pages in Chromium: light and dark, narrow and wide; screenshots lie in .run/console."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import async_playwright

from relay.events import topology
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess, numbered, post_all
from tests.support.servers.console import Browser, opened_console

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
SHOTS = Path(".run/console")
PAGES = ("/", "/feed", "/triage", "/search", "/system", "/catalogue")

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")


@pytest.fixture(scope="module", autouse=True)
def shots() -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=PROGRAM,
            args=["--no-sandbox"],
        )
        yield browser
        await browser.close()


@pytest.fixture
async def relay(tmp_path: Path, broker_url: str, exchange: str) -> AsyncIterator[RelayProcess]:
    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        yield relay


@pytest.fixture
async def console(
    tmp_path: Path,
    relay: RelayProcess,
    broker_url: str,
    exchange: str,
    declared: topology.Topology,  # noqa: ARG001  takes the queues down
) -> AsyncIterator[Browser]:
    settings = f'receivers = ["{relay.admin_url}"]'
    async with opened_console(
        tmp_path, broker_url=broker_url, exchange=exchange, console=settings
    ) as browser:
        yield browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 2560])
async def test_pages_are_whole_and_load_nothing_from_elsewhere(
    console: Browser, chromium: Chromium, relay: RelayProcess, scheme: str, width: int
) -> None:
    await post_all(relay.url, numbered(5))
    problems: list[str] = []
    page = await chromium.new_page(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda each: each.url.startswith(console.url) or problems.append(each.url))

    for path in PAGES:
        await page.goto(console.url + path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
        name = path.strip("/") or "overview"
        await page.screenshot(path=SHOTS / f"{name}-{width}-{scheme}.png", full_page=True)

    assert problems == []


async def test_the_feed_shows_what_is_sent_meanwhile_as_text(
    console: Browser, chromium: Chromium, relay: RelayProcess
) -> None:
    page = await chromium.new_page()
    await page.goto(f"{console.url}/feed?source=swiftsell")
    await eventually(lambda: _has_text(page, "#feed-state", "live"))

    await post_all(relay.url, numbered(1))

    await eventually(lambda: _has_text(page, "#feed", "published"))
    await eventually(lambda: _has_text(page, "#feed", "accepted"))


async def test_one_gets_about_by_keyboard(console: Browser, chromium: Chromium) -> None:
    page = await chromium.new_page()
    await page.goto(console.url)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    for _ in range(3):
        await page.keyboard.press("Tab")

    await page.keyboard.press("Enter")

    await page.wait_for_url("**/feed")


async def _has_text(page: object, selector: str, text: str) -> bool:
    return text in await page.inner_text(selector)  # type: ignore[attr-defined]
