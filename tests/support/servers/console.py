"""The console in this process, asked over HTTP as a browser would."""

import contextlib
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import aiohttp
from aiohttp import web

from relay.console.deployment import Deployment
from relay.console.server import running
from relay.settings import load
from tests.support.relay_process import RelayProcess

SOURCE = '[sources.swiftsell]\nvendor = "swiftsell"\nsecrets = ["s3cret"]\n'


class Browser:
    """A client with a base URL, that sends what a page of the console would."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.url = url
        self._http = http

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self._http.get(self.url + path, headers=headers) as response:
            return response.status, await response.text()

    @contextlib.asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[AsyncIterator[str]]:
        """Yield the lines of an answer as they come."""
        async with self._http.get(self.url + path) as response:

            async def lines() -> AsyncIterator[str]:
                async for line in response.content:
                    yield line.decode()

            yield lines()

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> tuple[int, str]:
        """Send a form of ours, with the token that the pages have."""
        _, page = await self.get("/triage", **headers)
        found = re.search(r'name="form_token" value="(\w+)"', page) or re.search(
            r'name="form_token" value="(\w+)"', (await self.get(self._group(page), **headers))[1]
        )
        token = {"form_token": found[1]} if found else {}
        sent = {"Sec-Fetch-Site": "same-origin"} | headers
        async with self._http.post(
            self.url + path, data=token | fields, headers=sent, allow_redirects=False
        ) as response:
            return response.status, await response.text()

    def _group(self, page: str) -> str:
        return groups_in(page)[0] if groups_in(page) else "/"


def groups_in(page: str) -> list[str]:
    """Return the links to groups."""
    return [unescape(link) for link in re.findall(r'href="(/triage/group\?[^"]+)"', page)]


def fields_of(link: str) -> dict[str, str]:
    """Return the queue and the key of a group from a link to it."""
    return dict(part.split("=", 1) for part in link.partition("?")[2].split("&"))


def console_beside(
    relay: RelayProcess, console: str = ""
) -> contextlib.AbstractAsyncContextManager[Browser]:
    """Run a console that watches a relay, with the relay's RabbitMQ."""
    broker = relay.sections["broker"]
    return opened_console(
        relay.directory,
        broker_url=broker["urls"][0],
        exchange=broker["exchange"],
        console=f'receivers = ["{relay.admin_url}"]\n{console}',
    )


@contextlib.asynccontextmanager
async def opened_console(
    directory: Path, *, broker_url: str, exchange: str, console: str = ""
) -> AsyncIterator[Browser]:
    """Run a console while the context is open."""
    config = directory / "console.toml"
    config.write_text(
        f"[console]\n{console}\n[broker]\n"
        f'urls = ["{broker_url}"]\nexchange = "{exchange}"\n{SOURCE}'
    )
    async with served_console(config) as browser:
        yield browser


@contextlib.asynccontextmanager
async def served_console(config: Path) -> AsyncIterator[Browser]:
    """Run a console with the settings of a file while the context is open."""
    async with running(Deployment(load(config))) as (application, _):
        runner = web.AppRunner(application, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as http:
            yield Browser(http, f"http://127.0.0.1:{runner.addresses[0][1]}")
        await runner.cleanup()
