"""Settings that change while a console runs, as they do for a relay that gets SIGHUP."""

import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.eventually import eventually
from tests.support.relay_process import NOWHERE, SECRET, RelayProcess
from tests.support.servers.console import Browser, served_console

SETTINGS = "relay.toml"
NEW = {"vendor": "line", "secrets": [SECRET]}
BAD_FILES = [
    "[sources.other\n",
    '[sources.other]\nvendor = "nobody"\n',
    '[sources.other]\nvendor = "line"\nsecrets = ["env:NO_SUCH_VARIABLE"]\n',
    "",
]


@contextlib.asynccontextmanager
async def relay_and_console(directory: Path) -> AsyncIterator[tuple[RelayProcess, Browser]]:
    """Run both with the same file."""
    async with RelayProcess(directory, broker_url=NOWHERE) as relay:
        change(relay, console={"receivers": [relay.admin_url]})
        async with served_console(directory / SETTINGS) as browser:
            yield relay, browser


def change(relay: RelayProcess, **sections: dict[str, Any]) -> None:
    """Write these sections, beside those that there were."""
    named = {name.replace("__", "."): section for name, section in sections.items()}
    relay.write_config(relay.sections | named)


async def row_of(browser: Browser, source: str) -> str:
    _, page = await browser.get("/")
    row = re.search(rf'<th scope="row">{source}</th>.*?</tr>', page, re.DOTALL)
    return row[0] if row else ""


async def shows(browser: Browser, path: str, text: str) -> bool:
    return text in (await browser.get(path))[1]


async def test_a_new_source_is_known_after_a_reload_of_the_relay_alone(tmp_path: Path) -> None:
    async with relay_and_console(tmp_path) as (relay, browser):
        assert not await row_of(browser, "other")
        change(relay, sources__other=NEW | {"expect_every_s": 0.001})
        relay.process.send_signal(signal.SIGHUP)

        async def is_watched() -> bool:
            row = await row_of(browser, "other")
            return "<td>line</td>" in row and "silent: never heard of" in row

        await eventually(is_watched)
        assert "not in these settings" not in await row_of(browser, "other")
        assert await shows(browser, "/catalogue", "line.message.created")
        assert await shows(browser, "/feed", "<option>other</option>")
        assert await shows(browser, "/system", "[sources.other]")


async def test_a_source_that_is_gone_is_shown_no_more(tmp_path: Path) -> None:
    async with relay_and_console(tmp_path) as (relay, browser):
        assert await row_of(browser, "swiftsell")
        del relay.sections["sources.swiftsell"]
        change(relay, sources__other=NEW)

        await eventually(lambda: row_of(browser, "other"))
        assert not await row_of(browser, "swiftsell")


async def test_a_bad_file_changes_nothing_and_is_told_until_it_is_mended(tmp_path: Path) -> None:
    async with relay_and_console(tmp_path) as (relay, browser):
        for number, bad in enumerate(BAD_FILES):
            mended = f"other-{number}"
            before = await row_of(browser, "swiftsell")
            (tmp_path / SETTINGS).write_text(bad)

            await eventually(lambda: shows(browser, "/system", "The file has changed and"))
            assert await row_of(browser, "swiftsell") == before
            change(relay, **{f"sources.{mended}": NEW})

            await eventually(partial(row_of, browser, mended))
            assert not await shows(browser, "/system", "The file has changed and")


async def test_a_file_that_was_replaced_counts_though_its_time_and_size_are_the_same(
    tmp_path: Path,
) -> None:
    async with relay_and_console(tmp_path) as (_, browser):
        settings = tmp_path / SETTINGS
        status = settings.stat()
        new = tmp_path / "new.toml"
        new.write_text(settings.read_text().replace("[sources.swiftsell]", "[sources.swiftsel2]"))
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
        settings.unlink()
        assert await row_of(browser, "swiftsell"), "a file that is away for a moment is no change"
        new.rename(settings)

        await eventually(lambda: row_of(browser, "swiftsel2"))
