"""`relay dead`: what a service gave up on, to look at, retry or drop."""

import contextlib
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import click
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from consumers.kit.queues import headers
from consumers.kit.queues.headers import DeadLetter
from consumers.kit.queues.topology import dead_queue
from relay.cli import service_queue
from relay.cli.completing import complete_service
from relay.cli.connection import connected
from relay.cli.main import json_option
from relay.cli.output import show_json, show_row, show_table
from relay.cli.parked_queue import (
    ParkedQueue,
    age_s,
    all_option,
    ids_argument,
    limit_option,
    reason_option,
    require_choice,
    show_message,
    yes_option,
)
from relay.process.command import config_option, run
from relay.settings import BrokerSettings, load

_DIGEST_BYTES = 6

_service_argument = click.argument("service", metavar="SERVICE", shell_complete=complete_service)


@click.group("dead")
def command() -> None:
    """Look at, retry or drop what a service gave up on.

    An ID means every message with it: an event may be given up more than once. A message without
    an id is called body-DIGEST, after its body.
    """


@command.command("list")
@config_option
@_service_argument
@limit_option
@json_option
def list_command(config: Path | None, service: str, limit: int, *, as_json: bool) -> None:
    """List what SERVICE gave up on, oldest first."""
    found = run(_list(load(config).broker, service, limit))
    now = time.time()
    if as_json:
        show_json([_described(letter, now) for letter in found])
    else:
        show_table(
            ("ID", "Age (s)", "Type", "Routing key", "Attempts", "Reason"),
            [_described(letter, now).values() for letter in found],
        )


@command.command("show")
@config_option
@_service_argument
@click.argument("wanted_id", metavar="ID")
@click.option("--raw", "is_raw", is_flag=True, help="Write the body alone, byte for byte.")
def show_command(config: Path | None, service: str, wanted_id: str, *, is_raw: bool) -> None:
    """Show what has an ID: why it was given up, its headers, its body.

    With --raw, of several only the first.
    """
    found = run(_show(load(config).broker, service, wanted_id))
    if is_raw:
        click.echo(found[0][1].body, nl=False)
        return
    for letter, message in found:
        show_message("Message", _described(letter, time.time()), message.headers, message.body)


@command.command("retry")
@config_option
@_service_argument
@ids_argument
@all_option
@reason_option
def retry_command(
    config: Path | None, service: str, ids: tuple[str, ...], *, is_all: bool, reason: str
) -> None:
    """Put messages back into the queue of SERVICE, for a first attempt."""
    require_choice(ids, is_all=is_all, reason=reason)
    run(_retry(load(config).broker, service, _dead(service, reason), ids))


@command.command("drop")
@config_option
@_service_argument
@ids_argument
@all_option
@reason_option
@yes_option
def drop_command(
    config: Path | None, service: str, ids: tuple[str, ...], *, is_all: bool, reason: str, yes: bool
) -> None:
    """Remove messages for good."""
    require_choice(ids, is_all=is_all, reason=reason)
    settings, dead = load(config).broker, _dead(service, reason)
    if not yes:
        dead.confirm_drop(ids)
    run(_drop(settings, service, dead, ids))


@contextlib.asynccontextmanager
async def _opened(settings: BrokerSettings, service: str) -> AsyncIterator[AbstractConnection]:
    async with connected(settings) as connection:
        await service_queue.require(connection, dead_queue(service))
        yield connection


async def _list(settings: BrokerSettings, service: str, limit: int) -> list[DeadLetter]:
    async with _opened(settings, service) as connection:
        found = [letter async for letter, _ in _dead(service).messages(connection, limit=limit)]
    return sorted(found, key=lambda letter: letter.died_at or 0)


async def _show(
    settings: BrokerSettings, service: str, wanted_id: str
) -> list[tuple[DeadLetter, AbstractIncomingMessage]]:
    async with _opened(settings, service) as connection:
        return [found async for found in _dead(service).select(connection, [wanted_id])]


async def _retry(
    settings: BrokerSettings, service: str, dead: ParkedQueue[DeadLetter], ids: Collection[str]
) -> None:
    async with (
        service_queue.opened(settings, service) as queue,
        _opened(settings, service) as connection,
    ):

        async def retry(letter: DeadLetter, message: AbstractIncomingMessage) -> None:
            first = headers.retry_properties(
                message.properties, attempt=1, routing_key=letter.routing_key
            )
            await queue.publish([(first, message.body)])
            await message.ack()
            show_row("retried", letter.id, letter.routing_key, styles=("green",))

        await dead.for_each(connection, ids, retry)


async def _drop(
    settings: BrokerSettings, service: str, dead: ParkedQueue[DeadLetter], ids: Collection[str]
) -> None:
    async with _opened(settings, service) as connection:
        await dead.drop(connection, ids)


def _dead(service: str, reason: str = "") -> ParkedQueue[DeadLetter]:
    name = dead_queue(service)
    return ParkedQueue(
        name=name, read=read_dead_letter, noun="messages", place=f"in {name}", reason=reason
    )


def read_dead_letter(message: AbstractIncomingMessage) -> DeadLetter:
    """Read a message's headers. If it has no id, it gets one that depends on its body alone."""
    letter = headers.read_dead_letter(message.properties, message.routing_key or "")
    if letter.id:
        return letter
    digest = blake2b(message.body, digest_size=_DIGEST_BYTES).hexdigest()
    return replace(letter, id=f"body-{digest}")


def _described(letter: DeadLetter, now: float) -> dict[str, object]:
    return {
        "id": letter.id,
        "age_s": age_s(letter.died_at, now),
        "type": letter.type,
        "routing_key": letter.routing_key,
        "attempts": letter.attempts or None,
        "reason": letter.reason,
    }
