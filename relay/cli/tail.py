"""`relay tail`: events as they pass, for a person or a pipe."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import orjson
from aio_pika.abc import AbstractConnection, AbstractQueue

from relay import broker
from relay.cli.connection import connected
from relay.cli.main import config_option, run
from relay.cli.output import show_row
from relay.errors import BrokerError, RelayError
from relay.event import mapping, sequence
from relay.settings import BrokerSettings, load
from relay.topology import MAX_ROUTING_KEY_BYTES, Exchange, Topology

_PREFETCH = 100
_LONGEST_QUEUE = 10_000
"""A tail that can't keep up loses the oldest, rather than fill the broker."""
_LONGEST_EXCERPT = 100

Show = Callable[[str, bytes], None]


@click.command("tail")
@config_option
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
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
    settings = load(config).broker
    show = _show_json if as_json else _show_line
    run(_until_interrupted(_tail(settings, patterns or ("#",), show, count)))


async def _until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Do work until it is done, or SIGINT or SIGTERM say that it is enough."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _tail(
    settings: BrokerSettings, patterns: Sequence[str], show: Show, count: int | None
) -> None:
    async with connected(settings) as connection:
        queue = await _bound_queue(connection, settings.exchange, patterns)
        click.echo(f"Waiting for {' '.join(patterns)} on {settings.exchange}.", err=True)
        shown = 0
        async with queue.iterator() as messages:
            async for message in messages:
                show(message.routing_key or "", message.body)
                await message.ack()
                shown += 1
                if shown == count:
                    return
    raise BrokerError("The connection to RabbitMQ was lost.")


async def _bound_queue(
    connection: AbstractConnection, exchange: str, patterns: Sequence[str]
) -> AbstractQueue:
    """Declare a queue that lives as long as the connection, bound to exchange with patterns."""
    needed = Topology(exchanges=(Exchange(name=exchange, kind="topic"),))
    await broker.declare(connection, needed, passive=True)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=_PREFETCH)
    arguments: dict[str, Any] = {"x-max-length": _LONGEST_QUEUE}
    queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments=arguments)
    for pattern in patterns:
        if len(pattern.encode()) > MAX_ROUTING_KEY_BYTES:
            raise RelayError(f"A pattern has at most {MAX_ROUTING_KEY_BYTES} bytes.")
        await queue.bind(exchange, pattern)
    return queue


def decode(body: bytes) -> dict[str, Any] | None:
    """Return the CloudEvent in a message, or None when there is none."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return event if type(event) is dict and "specversion" in event else None


def excerpt(data: Mapping[str, Any]) -> str:
    """Return the words of an event that tell a person most, or "" when there are none."""
    message, note = mapping(data.get("message")), mapping(data.get("note"))
    to = mapping(mapping(data.get("assignment")).get("to"))
    urls = [mapping(it).get("url") for it in sequence(message.get("attachments"))]
    candidates = [message.get("text"), note.get("text"), *urls, data.get("status"), _name(to)]
    text = str(next(filter(None, candidates), ""))
    return text if len(text) <= _LONGEST_EXCERPT else text[: _LONGEST_EXCERPT - 1] + "…"


def _show_json(routing_key: str, body: bytes) -> None:
    """Print an event as it came, its routing key added as CloudEvents allows whoever passes it on.

    A line break in JSON is only ever white space, so that a blank may stand for it.
    """
    if decode(body) is None:
        _warn_of_stranger(routing_key)
        return
    head = b'{"routingkey":' + orjson.dumps(routing_key) + b","
    line = body.strip().removeprefix(b"{").replace(b"\r", b" ").replace(b"\n", b" ")
    click.echo(head + line)


def _show_line(routing_key: str, body: bytes) -> None:
    event = decode(body)
    if event is None:
        _warn_of_stranger(routing_key)
        return
    data = mapping(event.get("data"))
    show_row(
        str(event.get("time") or event.get("recordedtime") or ""),
        routing_key,
        str(event.get("subject", "")),
        _name(mapping(data.get("actor"))),
        excerpt(data),
        styles=("dim", "cyan", "", "magenta", "bold"),
    )


def _name(actor: Mapping[str, Any]) -> str:
    names = (actor.get("type"), actor.get("name") or actor.get("email") or actor.get("id"))
    return " ".join(str(name) for name in names if name)


def _warn_of_stranger(routing_key: str) -> None:
    click.echo(f"relay: a message under {routing_key!r} is no CloudEvent.", err=True)
