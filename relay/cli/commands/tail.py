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
from relay.cli.event_targets import Target, executing, posting, saving
from relay.cli.output import printable
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
@click.option("--to", "url", metavar="URL", help="Post each event there; print status and time.")
@click.option(
    "--save",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write each event into a file in this folder.",
)
@click.option("--exec", "program", metavar="COMMAND", help="Run it for each event, on its stdin.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
def command(
    config: Path | None,
    patterns: tuple[str, ...],
    *,
    as_json: bool,
    url: str | None,
    folder: Path | None,
    program: str | None,
    count: int | None,
) -> None:
    """Print events as they pass, until Ctrl-C.

    Those whose routing key matches a PATTERN such as '*.message.#', or all without one. An event
    that nobody else has a binding for comes here while this runs, not into the queue of
    unrouted ones. With --to, --save or --exec, the next event waits until that is done, so they
    keep their order; what they answer goes to stderr.
    """
    settings = load(config)
    if url and not url.startswith(("http://", "https://")):
        raise click.UsageError("--to must be like http://127.0.0.1:3000/hook.")

    async def work() -> None:
        async with contextlib.AsyncExitStack() as stack:
            targets: list[Target] = []
            if folder:
                targets.append(saving(folder))
            if url:
                targets.append(await stack.enter_async_context(posting(url)))
            if program:
                targets.append(executing(program))
            await _tail(settings, patterns or ("#",), count, targets, as_json=as_json)

    run(_until_interrupted(work()))


async def _until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it is done, or until SIGINT or SIGTERM."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _tail(
    settings: Settings,
    patterns: Sequence[str],
    count: int | None,
    targets: Sequence[Target],
    *,
    as_json: bool,
) -> None:
    exchanges = [settings.broker.exchange, *sorted(set(source_exchanges(settings).values()))]
    async with connected(settings.broker) as connection:
        queue = await _bound_queue(connection, exchanges, patterns)
        click.echo(f"Waiting for {' '.join(patterns)} on {', '.join(exchanges)}.", err=True)
        shown = 0
        async with queue.iterator() as messages:
            async for message in messages:
                routing_key = message.routing_key or ""
                if _show(routing_key, message.body, as_json=as_json):
                    for target in targets:
                        result = await target(shown, routing_key, message.body)
                        click.echo(f"{printable(routing_key)}: {result}", err=True)
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


def _show(routing_key: str, body: bytes, *, as_json: bool) -> bool:
    """Print an event; return False, and say so, for a message that is none."""
    try:
        document = parse(body)
    except NotAnEvent:
        click.echo(f"relay: a message under {routing_key!r} is no CloudEvent.", err=True)
        return False
    if as_json:
        # The event as it came, plus its routing key, as CloudEvents lets an intermediary add one.
        head = b'{"routingkey":' + orjson.dumps(routing_key) + b","
        click.echo(head + on_one_line(body.strip().removeprefix(b"{")))
    else:
        show_event(routing_key, document)
    return True
