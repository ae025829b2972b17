"""`relay tail`: events as they are published, for a person or a pipe."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import click
import orjson
from aio_pika.abc import AbstractConnection, AbstractQueue

from consumers.kit.errors import NotAnEvent
from consumers.kit.event import parse
from relay.broker.connection import declare
from relay.cli.completing import complete_pattern
from relay.cli.connection import connected
from relay.cli.event_format import on_one_line, show_event
from relay.configured import source_exchanges
from relay.errors import BrokerError, RelayError
from relay.events.topology import MAX_ROUTING_KEY_BYTES, Exchange, Topology
from relay.process.command import config_option, run
from relay.settings import Settings, load

_PREFETCH = 100
_MAX_QUEUE_MESSAGES = 10_000
"""A tail that can't keep up loses the oldest events instead of filling the broker."""


@click.command("tail")
@config_option
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1, shell_complete=complete_pattern)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print whole CloudEvents, one per line, with their `routingkey`.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
def command(
    config: Path | None, patterns: tuple[str, ...], *, as_json: bool, count: int | None
) -> None:
    """Print events as they pass, until Ctrl-C.

    Those whose routing key matches a PATTERN such as '*.message.#', or all without one. An event
    that nobody else has a binding for comes here while this runs, not into the queue of
    unrouted ones.
    """
    settings = load(config)
    run(_until_interrupted(_tail(settings, patterns or ("#",), count, as_json=as_json)))


async def _until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it is done, or until SIGINT or SIGTERM."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _tail(
    settings: Settings, patterns: Sequence[str], count: int | None, *, as_json: bool
) -> None:
    exchanges = [settings.broker.exchange, *sorted(set(source_exchanges(settings).values()))]
    async with connected(settings.broker) as connection:
        queue = await _bound_queue(connection, exchanges, patterns)
        click.echo(f"Waiting for {' '.join(patterns)} on {', '.join(exchanges)}.", err=True)
        shown = 0
        async with queue.iterator() as messages:
            async for message in messages:
                _show(message.routing_key or "", message.body, as_json=as_json)
                await message.ack()
                shown += 1
                if shown == count:
                    return
    raise BrokerError("The connection to RabbitMQ was lost.")


async def _bound_queue(
    connection: AbstractConnection, exchanges: Sequence[str], patterns: Sequence[str]
) -> AbstractQueue:
    """Declare a queue that lives as long as the connection, bound to exchanges with patterns."""
    needed = Topology(exchanges=tuple([Exchange(name=name, kind="topic") for name in exchanges]))
    await declare(connection, needed, passive=True)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=_PREFETCH)
    arguments: dict[str, Any] = {"x-max-length": _MAX_QUEUE_MESSAGES}
    queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments=arguments)
    for pattern in patterns:
        if len(pattern.encode()) > MAX_ROUTING_KEY_BYTES:
            raise RelayError(f"A pattern has at most {MAX_ROUTING_KEY_BYTES} bytes.")
        for exchange in exchanges:
            await queue.bind(exchange, pattern)
    return queue


def _show(routing_key: str, body: bytes, *, as_json: bool) -> None:
    try:
        document = parse(body)
    except NotAnEvent:
        click.echo(f"relay: a message under {routing_key!r} is no CloudEvent.", err=True)
        return
    if as_json:
        # The event as it came, plus its routing key, as CloudEvents lets an intermediary add one.
        head = b'{"routingkey":' + orjson.dumps(routing_key) + b","
        click.echo(head + on_one_line(body.strip().removeprefix(b"{")))
    else:
        show_event(routing_key, document)
