"""`relay check`: would `relay serve` work with these settings, here and now?"""

import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import click
from aio_pika.abc import AbstractConnection

from relay.broker.connection import declare, public_address, read_url
from relay.cli.connection import connected
from relay.cli.output import show_row
from relay.configured import sources_of, topology_of
from relay.errors import OutboxError, RelayError, TopologyError
from relay.events.topology import Topology
from relay.outbox import layout
from relay.outbox import stats as outbox_stats
from relay.process.command import FAILED, config_option, run
from relay.settings import Settings, load

_Check = Callable[[Settings], Awaitable[str]]


@click.command("check")
@config_option
@click.option("--offline", is_flag=True, help="Leave the broker out.")
def command(config: Path | None, *, offline: bool) -> None:
    """Check settings, outbox and brokers. Nothing is created."""
    settings = load(config)
    checks: dict[str, _Check] = {"settings": _check_settings, "outbox": _check_outbox}
    if not offline:
        for url in map(read_url, settings.broker.urls):
            checks[f"broker {public_address(url)}"] = partial(_check_broker, url)
    if not run(_all_pass(checks, settings)):
        sys.exit(FAILED)


async def _all_pass(checks: dict[str, _Check], settings: Settings) -> bool:
    """Run every check, print its result, and return whether all passed."""
    failures = 0
    for name, check in checks.items():
        try:
            result = await check(settings)
        except RelayError as error:
            failures += 1
            show_row("failed", name, styles=("red",))
            click.echo(f"relay: {error}", err=True)
        else:
            show_row("ok", name, result, styles=("green",))
    return not failures


async def _check_settings(settings: Settings) -> str:
    names = ", ".join(sources_of(settings))
    return f"{settings.file or 'from the environment'}, sources: {names}"


async def _check_outbox(settings: Settings) -> str:
    if settings.ingress.ack_after == "confirm":
        return 'not used, since ingress.ack_after is "confirm"'
    directory = settings.outbox.directory
    try:
        _require_writable(directory)
        is_new = not layout.present(directory)
    except OSError as error:
        raise OutboxError(
            f"The outbox directory {directory} can't be used: {error.strerror}."
        ) from error
    if is_new:
        return f"{directory}, not made yet"
    found = outbox_stats.inspect_all(directory, settings.outbox.max_bytes, settings.ingress.workers)
    depth = sum(stats.depth for stats, _ in found.values())
    where = f" in {len(found)} outboxes" if len(found) > 1 else ""
    return f"{directory}, {depth} messages waiting{where}"


def _require_writable(directory: Path) -> None:
    """Raise OSError unless files can be made in the directory, or its nearest existing parent."""
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    with tempfile.TemporaryFile(dir=existing):
        pass


async def _check_broker(url: str, settings: Settings) -> str:
    this_one = settings.broker.model_copy(update={"urls": [url]})
    async with connected(this_one) as connection:
        missing = await _missing(connection, settings)
    if missing:
        return f"login accepted; `relay serve` will declare {', '.join(missing)}"
    return "login accepted, topology complete"


async def _missing(connection: AbstractConnection, settings: Settings) -> list[str]:
    """Return the names of what `relay serve` will declare, once all the rest is checked.

    Raises:
        TopologyError: something has other properties, or is missing and may not be declared.
    """
    missing = []
    for name, part in _parts(topology_of(settings)):
        try:
            await declare(connection, part, passive=True)
        except TopologyError:
            if not settings.broker.declare_topology:
                raise
            missing.append(name)
        else:
            # It exists, so this changes nothing, but only this compares the properties.
            if settings.broker.declare_topology:
                await declare(connection, part, passive=False)
    return missing


def _parts(wanted: Topology) -> Iterator[tuple[str, Topology]]:
    """Split a topology into one per object, so that a missing one does not hide the others."""
    for exchange in wanted.exchanges:
        yield f"exchange {exchange.name}", Topology(exchanges=(exchange,))
    for queue in wanted.queues:
        yield f"queue {queue.name}", Topology(queues=(queue,))
