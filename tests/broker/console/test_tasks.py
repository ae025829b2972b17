"""What a person does at the console, by clicks and keys, in Chromium with and without a script."""

import contextlib
from collections.abc import AsyncIterator

import aio_pika
import aiohttp
import orjson
import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, expect

from consumers.kit import Consumer, Event
from consumers.kit.errors import Reject
from relay.events.message import Origin
from tests.support.cli.quarantine import Quarantine, quarantined
from tests.support.consuming import running
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess, numbered, post_all, post_signed
from tests.support.servers.chromium import opened_page
from tests.support.servers.console import Browser, console_beside

pytestmark = pytest.mark.asyncio(loop_scope="module")
OLDER = """
import relay.vendors.swiftsell as vendor
from relay.cli import main
from relay.errors import Malformed

def normalize(request):
    raise Malformed("unknown_shape")

vendor.normalize = normalize
main()
"""
"""A relay from before this vendor's deliveries were understood."""
LOOK_MS = 300
"""How long a page is looked at for a text before it is loaded again, which costs much more."""
HOSTILE = '<img src="/x" onerror="alert(1)"><script>alert(2)</script>\u202egpj.exe\u200b</pre>"&'


class CrmSync:
    """A service beside the console, that rejects events until it is mended."""

    def __init__(self, name: str) -> None:
        self.handled: list[str] = []
        self.is_mended = False
        self.consumer = Consumer(name, bindings=["#"])
        self.consumer.handler(self._handle)

    async def _handle(self, event: Event) -> None:
        if not self.is_mended:
            raise Reject("the customer is not known")
        self.handled.append(event.text)


@pytest_asyncio.fixture(loop_scope="module")
async def service(
    relay: RelayProcess,  # noqa: ARG001  declares the exchange
    broker_url: str,
    exchange: str,
    name: str,
) -> AsyncIterator[CrmSync]:
    found = CrmSync(name)
    async with running(found.consumer, url=broker_url, exchange=exchange):
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def console(relay: RelayProcess, name: str) -> AsyncIterator[Browser]:
    async with console_beside(relay, f'services = {{"{name}" = ""}}') as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module", params=[True, False], ids=["script", "no-script"])
async def page(
    request: pytest.FixtureRequest, console: Browser, shared_chromium: Chromium
) -> AsyncIterator[Page]:
    async with opened_page(shared_chromium, console.url, java_script_enabled=request.param) as page:
        yield page


async def quarantine(relay: RelayProcess, *bodies: bytes, program: str = OLDER) -> None:
    """Let a relay of an older version put deliveries into quarantine."""
    directory = relay.directory / "older"
    directory.mkdir(exist_ok=True)
    broker = relay.sections["broker"]
    older = RelayProcess(
        directory,
        broker_url=broker["urls"][0],
        exchange=broker["exchange"],
        program=("-c", program),
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(older)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        for body in bodies:
            await post_signed(http, older.url, "swiftsell", body)
        await eventually(older.is_drained)


async def reads(page: Page, text: str, path: str = "") -> None:
    """Wait until the page has a text; a page that no script keeps up to date is loaded again."""

    async def has_text() -> bool:
        if path:
            await page.goto(path)
        with contextlib.suppress(AssertionError):
            main = page.locator("main")
            await expect(main).to_contain_text(text, use_inner_text=True, timeout=LOOK_MS)
            return True
        return False

    await eventually(has_text)


async def open_group(page: Page, reason: str) -> None:
    await reads(page, reason, "/triage")
    await page.get_by_role("row", name=reason).get_by_role("link", name="Open").click()
    await page.wait_for_url("**/triage/group?**")


async def test_a_bad_delivery_is_seen_tried_released_and_delivered(
    page: Page, relay: RelayProcess, service: CrmSync
) -> None:
    service.is_mended = True
    await quarantine(relay, *numbered(2))
    async with aiohttp.ClientSession() as http:
        await post_signed(http, relay.url, "swiftsell", b"{")

    await reads(page, "in 1 queue need a person", "/")
    await page.get_by_role("link", name="in 1 queue need a person").click()
    await page.wait_for_url("**/triage")
    await open_group(page, "not_json")
    await page.get_by_role("button", name="Try").click()
    await reads(page, "stays: it still is not understood (not_json)")

    await open_group(page, "unknown_shape")
    await page.get_by_role("button", name="Try").click()
    await reads(page, "goes out as swiftsell.message.created.text")
    assert service.handled == []
    await page.get_by_role("button", name="Release").click()

    await reads(page, "2 of 2 released", "/triage")
    await eventually(lambda: sorted(service.handled) == ["0", "1"])
    await reads(page, "1 waiting", "/triage")


async def test_a_dead_letter_is_retried_once_the_service_is_mended(
    page: Page, relay: RelayProcess, service: CrmSync
) -> None:
    await post_all(relay.url, numbered(3))
    await open_group(page, "the customer is not known")
    service.is_mended = True

    await page.get_by_label("How many").fill("2")
    await page.get_by_role("button", name="Retry").click()

    await reads(page, "2 of 2 put back", "/triage")
    await eventually(lambda: len(service.handled) == 2)
    await reads(page, "1 waiting", "/triage")


async def test_dropping_takes_the_number_typed(
    console: Browser, shared_chromium: Chromium, relay: RelayProcess, service: CrmSync
) -> None:
    assert not service.handled
    await quarantine(relay, *numbered(2))
    for has_script in (True, False):
        refused = "400 (Bad Request)"
        async with opened_page(
            shared_chromium, console.url, expected=[refused], java_script_enabled=has_script
        ) as page:
            await open_group(page, "unknown_shape")
            await page.get_by_label("Type 2").fill("1")
            await page.get_by_role("button", name="Drop 2").click()
            await reads(page, "Nothing was dropped")
    async with opened_page(shared_chromium, console.url) as page:
        await open_group(page, "unknown_shape")
        await page.get_by_label("Type 2").fill("2")
        await page.get_by_role("button", name="Drop 2").click()
        await reads(page, "2 of 2 dropped", "/triage")


async def test_filters_of_the_feed_are_in_its_address(page: Page, relay: RelayProcess) -> None:
    await post_all(relay.url, numbered(1))
    async with aiohttp.ClientSession() as http:
        await post_signed(http, relay.url, "swiftsell", b"{")
    await reads(page, "accepted", "/feed")

    await page.get_by_label("Verdict").select_option("quarantined")
    await page.get_by_role("button", name="Filter").click()

    await page.wait_for_url("**verdict=quarantined**")
    await reads(page, "not_json")
    assert "accepted" not in await page.locator("#feed").inner_text()
    await page.get_by_role("link", name="Clear").click()
    await reads(page, "accepted")


async def test_the_keyboard_alone_is_enough_to_release(
    page: Page, relay: RelayProcess, service: CrmSync
) -> None:
    service.is_mended = True
    await quarantine(relay, *numbered(1))
    await reads(page, "unknown_shape", "/triage")

    await tab_to(page, "Open swiftsell")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/triage/group?**")
    await tab_to(page, "Try 1")
    await page.keyboard.press("Enter")
    await reads(page, "goes out as")
    await tab_to(page, "Release")
    await page.keyboard.press("Enter")

    await eventually(lambda: service.handled == ["0"])


async def tab_to(page: Page, name: str) -> None:
    """Press the tab key until something of that name has the focus."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if await focused.count():
            label = await focused.get_attribute("aria-label") or await focused.inner_text()
            if label.startswith(name):
                return
    raise AssertionError(f"the tab key does not lead to {name!r}")


def hostile_bodies() -> list[bytes]:
    """Return deliveries with markup, a file whose name is a script, and a megabyte of text."""
    (body,) = numbered(1)
    found = []
    for message in (
        {"type": "text", "text": HOSTILE},
        {"type": "document", "payload": {"title": f"{HOSTILE}.pdf", "url": "javascript:alert(3)"}},
        {"type": "text", "text": HOSTILE + "x" * 1_000_000},
    ):
        document = orjson.loads(body)
        document["events"][0]["event"]["payload"]["message"] = message
        found.append(orjson.dumps(document))
    return found


async def test_hostile_payloads_are_shown_as_text(
    page: Page,
    relay: RelayProcess,  # noqa: ARG001  declares the quarantine
    broker_url: str,
    exchange: str,
) -> None:
    bodies = hostile_bodies()
    origin = Origin(vendor="swiftsell", source="swiftsell")
    async with await aio_pika.connect(broker_url) as connection:
        waiting = Quarantine(connection, exchange)
        for number, body in enumerate(bodies):
            await waiting.put(quarantined(body, origin, delivery_id=f"d{number}"))
    await open_group(page, "not_json")
    address = page.url

    for number in range(len(bodies)):
        await page.goto(address)
        await page.locator(".ids a").nth(number).click()
        await page.get_by_role("button", name="Show as it is").click()
        await page.get_by_text("as it is; that was logged").wait_for()

        shown = await page.locator("#body").inner_text()
        assert "<script>alert(2)</script>" in shown
        assert "\u202e" not in shown
        assert await page.locator("main img, main script, main iframe").count() == 0
        assert await page.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth")
