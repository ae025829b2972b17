"""Chromium, as Debian has it, driven by playwright: for the console's tests and its picture."""

import contextlib
import shutil
from collections.abc import AsyncIterator

from playwright.async_api import Browser, async_playwright

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
"""Where it is, or None."""


@contextlib.asynccontextmanager
async def opened_chromium() -> AsyncIterator[Browser]:
    """Run Chromium while the context is open."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=PROGRAM,
            args=["--no-sandbox"],
        )
        yield browser
        await browser.close()
