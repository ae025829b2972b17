"""`relay quarantine`: deliveries that were not understood, to look at, release or drop."""

import time
from collections.abc import Collection
from pathlib import Path

import click
from aio_pika.abc import AbstractIncomingMessage

from relay import vendors
from relay.broker.connection import declare
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
from relay.cli.quarantined_delivery import QuarantinedDelivery, process_again, publish
from relay.configured import exchange_chooser, sources_of, topology_of
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
        show_json([_described(delivery, now) for delivery in found])
    else:
        show_table(
            ("ID", "Age (s)", "Source", "Vendor", "Reason", "Bytes", "Content type"),
            [_described(delivery, now).values() for delivery in found],
        )


@command.command("show")
@config_option
@click.argument("wanted_id", metavar="ID")
@click.option("--raw", "is_raw", is_flag=True, help="Write the body alone, byte for byte.")
def show_command(config: Path | None, wanted_id: str, *, is_raw: bool) -> None:
    """Show one delivery: where it came from, its headers, its body."""
    delivery, body = run(_show(load(config).broker, wanted_id))
    if is_raw:
        click.echo(body, nl=False)
    else:
        show_message("Delivery", _described(delivery, time.time()), delivery.headers, body)


@command.command("release")
@config_option
@ids_argument
@all_option
def release_command(config: Path | None, ids: tuple[str, ...], *, is_all: bool) -> None:
    """Try again to understand deliveries, and publish the events of those that now are.

    An event gets the id it would have had. What is still not understood stays; if that is but some
    of several events, each of these stays alone.
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
        _quarantine(settings).confirm_drop(ids)
    run(_drop(settings, ids))


async def _list(settings: BrokerSettings, limit: int) -> list[QuarantinedDelivery]:
    async with connected(settings) as connection:
        messages = _quarantine(settings).messages(connection, limit=limit)
        found = [delivery async for delivery, _ in messages]
    return sorted(found, key=lambda delivery: delivery.received_at or 0)


async def _show(settings: BrokerSettings, wanted_id: str) -> tuple[QuarantinedDelivery, bytes]:
    async with connected(settings) as connection:
        delivery, message = await anext(_quarantine(settings).select(connection, [wanted_id]))
        return delivery, message.body


async def _release(settings: Settings, ids: Collection[str]) -> None:
    exchange_of, known = exchange_chooser(settings), vendors.discover()
    sources = sources_of(settings)
    async with connected(settings.broker) as connection:
        await declare(connection, topology_of(settings), passive=True)
        channel = await connection.channel(on_return_raises=True)

        async def release(delivery: QuarantinedDelivery, message: AbstractIncomingMessage) -> None:
            messages = process_again(delivery, message.body, sources, known)
            await publish(channel, exchange_of, messages)
            await message.ack()
            events = [event.id for event in messages if not event.is_quarantined]
            show_row("released", delivery.id, *events, styles=("green",))

        await _quarantine(settings.broker).for_each(connection, ids, release)


async def _drop(settings: BrokerSettings, ids: Collection[str]) -> None:
    async with connected(settings) as connection:
        await _quarantine(settings).drop(connection, ids)


def _quarantine(settings: BrokerSettings) -> ParkedQueue[QuarantinedDelivery]:
    return ParkedQueue(
        name=quarantine_exchange(settings.exchange),
        read=QuarantinedDelivery.of,
        noun="deliveries",
        place="in quarantine",
    )


def _described(delivery: QuarantinedDelivery, now: float) -> dict[str, object]:
    return {
        "id": delivery.id,
        "age_s": age_s(delivery.received_at, now),
        "source": delivery.source,
        "vendor": delivery.vendor,
        "reason": delivery.reason,
        "size": delivery.size,
        "content_type": delivery.content_type,
    }
