"""`relay quarantine`: deliveries that were not understood, to look at, try again or drop."""

import time
from collections.abc import Collection
from pathlib import Path

import click
from aio_pika.abc import AbstractIncomingMessage

from relay import vendors
from relay.broker import connection as broker
from relay.cli.connection import connected
from relay.cli.main import json_option
from relay.cli.output import show_json, show_row, show_table
from relay.cli.parked_queue import (
    ParkedQueue,
    age_s,
    all_option,
    ids_argument,
    limit_option,
    require_choice,
    show_message,
    yes_option,
)
from relay.cli.quarantine_queue import Quarantined, publish, understand_again
from relay.configured import publish_exchange, topology_of
from relay.events.topology import quarantine_exchange
from relay.process.command import config_option, run
from relay.settings import BrokerSettings, Settings, load


@click.group("quarantine")
def command() -> None:
    """Look at, release or drop what was not understood."""


@command.command("list")
@config_option
@limit_option
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
        show_message("Delivery", _described(it, time.time()), it.headers, body)


@command.command("release")
@config_option
@ids_argument
@all_option
def release_command(config: Path | None, ids: tuple[str, ...], *, is_all: bool) -> None:
    """Try again to understand deliveries, and publish the events of those that now are.

    An event gets the id it would have had. What is still not understood stays.
    """
    require_choice(ids, is_all=is_all)
    run(_release(load(config), ids))


@command.command("drop")
@config_option
@ids_argument
@all_option
@yes_option
def drop_command(config: Path | None, ids: tuple[str, ...], *, is_all: bool, yes: bool) -> None:
    """Remove deliveries for good."""
    require_choice(ids, is_all=is_all)
    settings = load(config).broker
    if not yes:
        _quarantine(settings).ask(ids)
    run(_drop(settings, ids))


async def _list(settings: BrokerSettings, limit: int) -> list[Quarantined]:
    async with connected(settings) as connection:
        kept = _quarantine(settings).messages(connection, limit=limit)
        found = [it async for it, _ in kept]
    return sorted(found, key=lambda it: it.received_at or 0)


async def _show(settings: BrokerSettings, wanted_id: str) -> tuple[Quarantined, bytes]:
    async with connected(settings) as connection:
        it, message = await anext(_quarantine(settings).chosen(connection, [wanted_id]))
        return it, message.body


async def _release(settings: Settings, ids: Collection[str]) -> None:
    exchange, known = publish_exchange(settings), vendors.discover()
    async with connected(settings.broker) as connection:
        await broker.declare(connection, topology_of(settings), passive=True)
        channel = await connection.channel(on_return_raises=True)

        async def release(it: Quarantined, message: AbstractIncomingMessage) -> None:
            events = understand_again(it, message.body, settings.sources, known)
            await publish(channel, exchange, events)
            await message.ack()
            show_row("released", it.id, *[event.id for event in events], styles=("green",))

        await _quarantine(settings.broker).each(connection, ids, release)


async def _drop(settings: BrokerSettings, ids: Collection[str]) -> None:
    async with connected(settings) as connection:
        await _quarantine(settings).drop(connection, ids)


def _quarantine(settings: BrokerSettings) -> ParkedQueue[Quarantined]:
    return ParkedQueue(
        name=quarantine_exchange(settings.exchange),
        read=Quarantined.of,
        noun="deliveries",
        place="in quarantine",
    )


def _described(it: Quarantined, now: float) -> dict[str, object]:
    return {
        "id": it.id,
        "age_s": age_s(it.received_at, now),
        "source": it.source,
        "vendor": it.vendor,
        "reason": it.reason,
        "size": it.size,
        "content_type": it.content_type,
    }
