"""`make screenshot`: the console's overview as deploy/console.png, for the README.

A private RabbitMQ, a relay, the archive and the console run for four minutes. Each vendor sends its
documented samples, at rates that change; one sends with a wrong secret, and one sends nothing.
"""

import asyncio
import contextlib
import itertools
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path

import click

from deploy.local.archive import ARCHIVE_PORT, archive
from deploy.local.broker import BrokerError
from deploy.local.chromium import PROGRAM, opened_chromium
from deploy.local.node import PrivateBroker
from deploy.local.private_server import free_port
from deploy.local.run import (
    ROOT,
    Environment,
    environment,
    relay,
    until_interrupted,
    wait_until_ready,
)
from relay import vendors
from relay.errors import RelayError

PICTURE = Path("deploy/console.png")
MAX_BYTES = 200_000
SILENT, WRONG = "acquire", "supporthunt"
"""The source that nothing is sent to, and that to which the secret is wrong."""

WIDTH, _HEIGHT = 1280, 800
_SECONDS = 225
_RATES = (0.2, 0.6, 0.4, 0.9, 0.3, 0.7)
"""Samples per second of one vendor, one after the other; each begins elsewhere."""
_INTERRUPTED = 130


def main() -> int:
    """Make the picture; return 0 if it is there."""
    os.chdir(ROOT)
    if PROGRAM is None:
        click.echo("Chromium is not installed: run `sudo apt-get install chromium`.", err=True)
        return 1
    try:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            with PrivateBroker(directory / "rabbitmq") as broker:
                work = take(broker.url, directory, PICTURE, seconds=_SECONDS)
                return asyncio.run(until_interrupted(work, interrupted=_INTERRUPTED))
    except KeyboardInterrupt:  # while the broker starts or stops
        return _INTERRUPTED
    except (BrokerError, RelayError) as error:
        click.echo(str(error), err=True)
        return 1


async def take(url: str, directory: Path, picture: Path, *, seconds: float) -> int:
    """Make the picture after so many seconds of traffic; return 0 if it is small enough."""
    async with running(url, directory) as given:
        await busy(given, seconds)
        async with opened_chromium() as browser:
            page = await browser.new_page(
                viewport={"width": WIDTH, "height": _HEIGHT}, color_scheme="light"
            )
            await page.goto(address_of(given))
            size = len(await page.screenshot(path=picture, full_page=True))
    click.echo(f"{picture}: {size:,} bytes")
    if size > MAX_BYTES:
        click.echo(f"That is more than {MAX_BYTES:,}: make it smaller.", err=True)
    return int(size > MAX_BYTES)


def address_of(given: Environment) -> str:
    """Return the console's address."""
    return f"http://127.0.0.1:{given['RELAY_CONSOLE__PORT']}"


@contextlib.asynccontextmanager
async def running(url: str, directory: Path) -> AsyncIterator[Environment]:
    """Run relay, archive and console while the context is open; yield their environment."""
    ports: list[int] = []
    for _ in range(4):
        ports.append(free_port(*ports))
    ingress, admin, console, archiving = map(str, ports)
    settings = {
        "RELAY_OUTBOX__DIRECTORY": str(directory / "outbox"),
        "RELAY_LOG__LEVEL": "warning",
        "RELAY_INGRESS__PORT": ingress,
        "RELAY_ADMIN__PORT": admin,
        "RELAY_CONSOLE__PORT": console,
        "RELAY_CONSOLE__SERVICES__ARCHIVE": f"http://127.0.0.1:{archiving}",
        "RELAY_CONSUMERS__ARCHIVE__DATABASE": f"sqlite:{directory / 'archive.db'}",
        f"RELAY_SOURCES__{SILENT.upper()}__EXPECT_EVERY_S": "60",
        ARCHIVE_PORT: archiving,
    }
    given = environment(url, **settings)
    async with relay("serve", environment=given) as serve:
        await wait_until_ready(serve, given)
        async with archive(given), relay("console", environment=given):
            yield given


async def busy(given: Environment, seconds: float) -> None:
    """Send samples for so long."""
    senders = [
        _send(name, given, first) for first, name in enumerate(vendors.discover()) if name != SILENT
    ]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*senders)


async def _send(name: str, given: Environment, first: int) -> None:
    """Send the samples of one vendor for ever."""
    secrets = f"RELAY_SOURCES__{name.upper()}__SECRETS"
    sender = {**given, secrets: "another-secret"} if name == WRONG else given
    for number in itertools.count(first):
        rate = str(_RATES[number % len(_RATES)])
        async with relay(
            "send", name, "--all", "--rate", rate, environment=sender, stdout=DEVNULL
        ) as child:
            await child.wait()


if __name__ == "__main__":
    sys.exit(main())
