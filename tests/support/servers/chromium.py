"""Chromium, with pages that remember what a page of the console must never do."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page

SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
"""The colours that a reader may prefer."""
_REPORTS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
"""


@contextlib.asynccontextmanager
async def opened_page(
    chromium: Browser, url: str, *, expected: Sequence[str] = (), **options: Any
) -> AsyncIterator[Page]:
    """Open a page of the console; at the end it must have kept quiet.

    What counts is a word on the browser's console, such as a violation of the content security
    policy, an exception of a script, a dialog, and a request to another host.

    Args:
        chromium: that runs.
        url: of the console.
        expected: what the browser says where the test makes the console fail.
        options: of the browser's context.
    """
    problems: list[str] = []
    host = urlsplit(url).netloc
    context = await chromium.new_context(base_url=url, **options)
    context.set_default_timeout(30_000)
    await context.add_init_script(_REPORTS)
    page = await context.new_page()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on(
        "request",
        lambda request: urlsplit(request.url).netloc == host or problems.append(request.url),
    )
    try:
        await page.goto("/")
        yield page
    finally:
        await context.close()
    problems = [each for each in problems if not any(word in each for word in expected)]
    assert not problems, problems
