"""`relay quarantine`: deliveries that were not understood, to look at, try again or drop."""

import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path

import click
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from relay import broker, vendors
from relay.app import entry_of, topology_of
from relay.cli.connection import connected
from relay.cli.main import config_option, json_option, run
from relay.cli.output import printable, show_json, show_row, show_table
from relay.cli.quarantine_queue import Quarantined, fetch, publish, understand_again
from relay.errors import BrokerError, RelayError
from relay.settings import BrokerSettings, Settings, load
from relay.topology import quarantine_exchange

_DEFAULT_LIMIT = 1000

_Found = AsyncIterator[tuple[Quarantined, AbstractIncomingMessage]]
_ids_argument = click.argument("ids", metavar="[ID]...", nargs=-1)
_all_option = click.option("--all", "is_all", is_flag=True, help="All there are.")


@click.group("quarantine")
def command() -> None:
    """Look at, release or drop what was not understood."""


@command.command("list")
@config_option
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=_DEFAULT_LIMIT,
    show_default=True,
    help="List no more than so many.",
)
@json_option
def list_command(config: Path | None, limit: int, *, as_json: bool) -> None:
    """List what is in quarantine, oldest first."""
    found = run(_list(load(config).broker, limit))
    now = time.time()
    if as_json:
        show_json([_described(it, now) for it in found])
    else:
        show_table(
            ("ID", "Age (s)", "Source", "Vendor", "Reason", "Bytes", "Content type"),
            [_described(it, now).values() for it in found],
        )


@command.command("show")
@config_option
@click.argument("wanted_id", metavar="ID")
@click.option("--raw", "is_raw", is_flag=True, help="Write the body alone, byte for byte.")
def show_command(config: Path | None, wanted_id: str, *, is_raw: bool) -> None:
    """Show one delivery: where it came from, its headers, its body."""
    it, body = run(_show(load(config).broker, wanted_id))
    if is_raw:
        click.echo(body, nl=False)
    else:
        _show_delivery(it, body)


@command.command("release")
@config_option
@_ids_argument
@_all_option
def release_command(config: Path | None, ids: tuple[str, ...], *, is_all: bool) -> None:
    """Try again to understand deliveries, and publish the events of those that now are.

    An event gets the id it would have had. What is still not understood stays.
    """
    _require_choice(ids, is_all=is_all)
    run(_release(load(config), ids))


@command.command("drop")
@config_option
@_ids_argument
@_all_option
@click.option("--yes", is_flag=True, help="Don't ask.")
def drop_command(config: Path | None, ids: tuple[str, ...], *, is_all: bool, yes: bool) -> None:
    """Remove deliveries for good."""
    _require_choice(ids, is_all=is_all)
    settings = load(config).broker
    if not yes:
        _ask(ids)
    run(_drop(settings, ids))


async def _list(settings: BrokerSettings, limit: int) -> list[Quarantined]:
    async with connected(settings) as connection:
        found = [it async for it, _ in _quarantined(connection, settings, limit=limit)]
    return sorted(found, key=lambda it: it.received_at or 0)


async def _show(settings: BrokerSettings, wanted_id: str) -> tuple[Quarantined, bytes]:
    async with connected(settings) as connection:
        async for it, message in _quarantined(connection, settings):
            if it.id == wanted_id:
                return it, message.body
    raise _unknown([wanted_id])


async def _release(settings: Settings, ids: Collection[str]) -> None:
    exchange, known = entry_of(settings), vendors.discover()
    async with connected(settings.broker) as connection:
        await broker.declare(connection, topology_of(settings), passive=True)
        channel = await connection.channel(on_return_raises=True)

        async def release(it: Quarantined, message: AbstractIncomingMessage) -> None:
            events = understand_again(it, message.body, settings.sources, known)
            await publish(channel, exchange, events)
            await message.ack()
            show_row("released", it.id, *[event.id for event in events], styles=("green",))

        await _each(connection, settings.broker, ids, release)


async def _drop(settings: BrokerSettings, ids: Collection[str]) -> None:
    async def drop(it: Quarantined, message: AbstractIncomingMessage) -> None:
        await message.ack()
        show_row("dropped", it.id, styles=("yellow",))

    async with connected(settings) as connection:
        await _each(connection, settings, ids, drop)


async def _each(
    connection: AbstractConnection,
    settings: BrokerSettings,
    ids: Collection[str],
    deal_with: Callable[[Quarantined, AbstractIncomingMessage], Awaitable[None]],
) -> None:
    """Deal with the deliveries that have one of ids, or with all if there are no ids.

    Raises:
        RelayError: some could not be dealt with and stay, or there is none with such an id.
    """
    missing, chosen, kept = set(ids), 0, 0
    async for it, message in _quarantined(connection, settings):
        if ids and it.id not in ids:
            continue
        missing.discard(it.id)
        chosen += 1
        try:
            await deal_with(it, message)
        except BrokerError:
            raise  # the others would fare no better
        except RelayError as error:
            kept += 1
            show_row("kept", it.id, str(error), styles=("red",))
    if missing:
        raise _unknown(sorted(missing))
    if kept:
        raise RelayError(f"{kept} of {chosen} deliveries stay in quarantine.")


async def _quarantined(
    connection: AbstractConnection, settings: BrokerSettings, *, limit: int | None = None
) -> _Found:
    name = quarantine_exchange(settings.exchange)
    async for message in fetch(connection, name, limit=limit):
        yield Quarantined.of(message), message


def _require_choice(ids: Collection[str], *, is_all: bool) -> None:
    if bool(ids) == is_all:
        raise click.UsageError("Give either ids or --all.")


def _ask(ids: Collection[str]) -> None:
    if not sys.stdin.isatty():
        raise RelayError("Nobody is there to ask; give --yes to drop them.")
    what = " and ".join(ids) or "all deliveries"
    click.confirm(f"Drop {what} for good?", abort=True, err=True)


def _unknown(ids: Collection[str]) -> RelayError:
    return RelayError(f"There is no {' and no '.join(ids)} in quarantine.")


def _described(it: Quarantined, now: float) -> dict[str, object]:
    return {
        "id": it.id,
        "age_s": None if it.received_at is None else round(now - it.received_at, 1),
        "source": it.source,
        "vendor": it.vendor,
        "reason": it.reason,
        "size": it.size,
        "content_type": it.content_type,
    }


def _show_delivery(it: Quarantined, body: bytes) -> None:
    headers = {f"header {name}": value for name, value in it.headers.items()}
    show_table(("Delivery", ""), (_described(it, time.time()) | headers).items())
    click.echo()
    click.echo(printable(body.decode(errors="backslashreplace"), keep="\n\t"))
