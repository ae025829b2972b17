"""Sources that were not heard of in time, from real receivers to the overview."""

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.relay_process import NOWHERE, SECRET, RelayProcess, numbered, post_all
from tests.support.servers.console import Browser, opened_console

SOON_S, LATE_S = 0.001, 900


@contextlib.asynccontextmanager
async def watching(directory: Path, *expected: float) -> AsyncIterator[tuple[Browser, str]]:
    """Run a receiver for each number, with a source that should be heard of so often."""
    async with contextlib.AsyncExitStack() as stack:
        receivers = []
        for number, expect_every_s in enumerate(expected):
            own = directory / str(number)
            own.mkdir()
            section = {"expect_every_s": expect_every_s}
            also = {"vendor": "swiftsell", "secrets": [SECRET], "expect_every_s": LATE_S}
            relay = RelayProcess(
                own, broker_url=NOWHERE, sources__swiftsell=section, sources__other=also
            )
            receivers.append(await stack.enter_async_context(relay))
        settings = f"receivers = {[receiver.admin_url for receiver in receivers]}"
        console = opened_console(
            directory, broker_url=NOWHERE, exchange="webhooks", console=settings
        )
        yield await stack.enter_async_context(console), receivers[0].url


async def has(browser: Browser, pattern: str) -> bool:
    return bool(re.search(pattern, (await browser.get("/"))[1], re.DOTALL))


def row(text: str) -> str:
    return rf'<th scope="row">swiftsell</th>(?:(?!</tr>).)*{text}'


async def test_a_silent_source_is_part_of_the_verdict_and_stands_in_its_row(tmp_path: Path) -> None:
    async with watching(tmp_path, SOON_S) as (browser, url):
        await eventually(lambda: has(browser, r'<a class="warn" href="/#sources">1 source is sil'))
        assert await has(
            browser, row(r"never</td>.*silent: never heard of, expected every 0.001 s")
        )

        await post_all(url, numbered(1))

        await eventually(lambda: has(browser, row(r"\d+ s ago</td>.*silent: \d+ s, expected")))


async def test_a_source_that_one_receiver_hears_of_is_not_silent(tmp_path: Path) -> None:
    async with watching(tmp_path, SOON_S, LATE_S) as (browser, _):
        await eventually(lambda: has(browser, "2 of 2 receivers ready"))

        assert not await has(browser, "silent")


async def test_what_was_heard_of_before_the_console_started_is_known(tmp_path: Path) -> None:
    async with RelayProcess(tmp_path, broker_url=NOWHERE) as relay:
        await post_all(relay.url, numbered(1))
        settings = f'receivers = ["{relay.admin_url}"]'

        async with opened_console(
            tmp_path, broker_url=NOWHERE, exchange="webhooks", console=settings
        ) as browser:
            await eventually(lambda: has(browser, row(r"\d+ s ago</td>")))
