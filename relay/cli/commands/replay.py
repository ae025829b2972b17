"""`relay replay`: past events, out of the history, once more for one service."""

import asyncio
import contextlib
import math
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import rich.progress
from aio_pika.abc import AbstractConnection
from pamqp import commands

from consumers.kit.queues import bindings, headers
from relay.cli import history_stream, replay_progress, service_queue
from relay.cli.connection import connected
from relay.cli.history_stream import HistoryStream, Past
from relay.cli.output import is_terminal, show_row
from relay.cli.replay_progress import Progress, ProgressFile, ReplayRequest
from relay.cli.service_queue import ServiceQueue
from relay.cli.timestamps import MOMENT
from relay.cli.topic_pattern import matcher
from relay.errors import BrokerError, RelayError
from relay.events.topology import history_exchange
from relay.observability import logs
from relay.process.command import config_option, run
from relay.process.rate_limiter import RateLimiter
from relay.settings import BrokerSettings, load

_DEFAULT_RATE = 2000
"""Below what a service keeps up with beside its own events: the archive takes 3,000 a second."""
_LOWEST_RATE = 10
"""RabbitMQ takes back what is unanswered for 30 minutes, and it may send some 5,000 at once."""
_MAX_BATCH_EVENTS = 1000
_BATCHES_PER_S = 10
_CLOCKS_DIFFER_S = 60
"""The stream is searched by the broker's clock, events are chosen by the relay's."""
_RANDOM_BYTES = 3
_NO_HISTORY = "There is no history {name}; a relay keeps one with [history] enabled = true."


class _TimeArgument(NamedTuple):
    """A moment, and the words for it."""

    words: str
    moment: datetime


def _said(ctx: click.Context, param: click.Parameter, words: str | None) -> _TimeArgument | None:
    return None if words is None else _TimeArgument(words, MOMENT.convert(words, param, ctx))


def _checked_rate(_ctx: click.Context, _param: click.Parameter, rate: int) -> int:
    if 0 < rate < _LOWEST_RATE:
        raise click.BadParameter(f"it is 0, or at least {_LOWEST_RATE}.")
    return rate


@click.command("replay")
@config_option
@click.option("--since", required=True, callback=_said, help="From when on: 2h ago, or a date.")
@click.option("--until", callback=_said, help="To when; else to now.")
@click.option(
    "--key",
    "keys",
    metavar="PATTERN",
    multiple=True,
    help="Only what matches; may be given again. Else what the service is bound to.",
)
@click.option("--to", "service", required=True, help="The service that gets them.")
@click.option(
    "--rate",
    type=click.IntRange(min=0),
    default=_DEFAULT_RATE,
    show_default=True,
    callback=_checked_rate,
    help="Events per second at most; 0 for no limit.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the progress is kept; else a file in var/replay.",
)
@click.option(
    "--restart/--resume",
    "is_anew",
    default=None,
    help="Begin anew whatever the progress is, or go on with it however old it is.",
)
def command(  # noqa: PLR0913  one per option
    config: Path | None,
    *,
    since: _TimeArgument,
    until: _TimeArgument | None,
    keys: tuple[str, ...],
    service: str,
    rate: int,
    state: Path | None,
    is_anew: bool | None,
) -> None:
    """Publish past events once more, into the queue of one service.

    Those the relays recorded from --since to before --until, to the second. When it is
    interrupted, the same command goes on from there; a few events may come twice then, none is
    left out. Services know a replay by the header `replay`.
    """
    settings = load(config)
    logs.configure(style=settings.log.format, level=settings.log.level)
    end = until or _TimeArgument("", datetime.now(UTC))
    if end.moment <= since.moment:
        raise click.UsageError("--until must be later than --since.")
    asked = ReplayRequest(
        history=history_exchange(settings.broker.exchange),
        to=service,
        key=" ".join(keys),
        since=since.words,
        until=end.words,
    )
    path = state or asked.default_path
    since_s, until_s = math.floor(since.moment.timestamp()), math.ceil(end.moment.timestamp())
    with replay_progress.opened(path, asked, is_anew=bool(is_anew)) as file:
        if file.latest and is_anew is None:
            _require_overlap(file.latest, since_s)
        work = _replay(settings.broker, file, rate, since_s, until_s)
        run(_until_interrupted(work, file))
    _report(file.latest, service)


def _require_overlap(earlier: Progress, since_s: int) -> None:
    """Raise RelayError if an earlier run ends before since_s: `2h` was another time then."""
    if since_s >= earlier.until_s:
        raise RelayError(
            f"Replay {earlier.id}, {earlier.span}, is not done, and --since is later now; "
            "give --resume to go on with it, or --restart to give it up."
        )


async def _until_interrupted(work: Coroutine[Any, Any, None], file: ProgressFile) -> None:
    """Do the work; when it breaks off, say that the same command goes on from there.

    Raises:
        RelayError: it broke off.
    """
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError as error:
        raise RelayError(f"Interrupted{_outlook(file)}.") from error
    except BrokerError as error:
        raise RelayError(f"{str(error).removesuffix('.')}{_outlook(file)}.") from error


def _outlook(file: ProgressFile) -> str:
    if file.latest is None:
        return ""
    return f"; the same command goes on after the {file.latest.published} events published so far"


async def _replay(
    settings: BrokerSettings, file: ProgressFile, rate: int, since_s: int, until_s: int
) -> None:
    """Begin, or go on with what the file says; return once all is published."""
    name = file.asked.history
    async with (
        service_queue.opened(settings, file.asked.to) as queue,
        connected(settings) as connection,
    ):
        await service_queue.require(connection, name, otherwise=_NO_HISTORY)
        start = file.latest.next_offset if file.latest else _roughly(since_s)
        async with history_stream.opened(connection, name, start) as stream:
            if file.latest:
                _go_on(file.latest, stream)
            elif (first := stream.next_offset) is not None and first <= stream.last_offset:
                file.latest = Progress(
                    id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(_RANDOM_BYTES)}",
                    since_s=since_s,
                    until_s=until_s,
                    first_offset=first,
                    next_offset=first,
                    end_offset=stream.last_offset,
                    published=0,
                )
                file.write()
            if file.latest and not file.latest.is_done:
                patterns = file.asked.key.split() or await _bound(connection, file.asked.to)
                await _pass_on(stream, queue, file, file.latest, rate, patterns=patterns)


def _roughly(since_s: int) -> datetime:
    return datetime.fromtimestamp(max(0, since_s - _CLOCKS_DIFFER_S), UTC)


def _go_on(earlier: Progress, stream: HistoryStream) -> None:
    """Say that an earlier run is gone on with.

    Raises:
        RelayError: it can't be, since the history is another one.
    """
    if stream.last_offset < earlier.end_offset:
        raise RelayError("The history was made anew since this replay began; give --restart.")
    click.echo(
        f"Going on with replay {earlier.id}, {earlier.span}, after {earlier.published} events; "
        "the last of them may come twice.",
        err=True,
    )
    lost = min(stream.next_offset or 0, earlier.end_offset + 1) - earlier.next_offset
    if lost > 0:
        click.echo(f"relay: Up to {lost} events have left the history since it stopped.", err=True)


async def _bound(connection: AbstractConnection, service: str) -> list[str]:
    """Return the patterns a service is bound with; everything, if that was not written down."""
    patterns = sorted({it.pattern for it in await bindings.recorded(connection, service)})
    if not patterns:
        click.echo(f"What {service} is bound to is not known; it gets every event.", err=True)
    return patterns or ["#"]


async def _pass_on(  # noqa: PLR0913  it stands between them
    stream: HistoryStream,
    queue: ServiceQueue,
    file: ProgressFile,
    progress: Progress,
    rate: int,
    *,
    patterns: Sequence[str],
) -> None:
    """Publish what is wanted, batch by batch; what is noted is confirmed."""
    now = asyncio.get_running_loop().time
    limiter = RateLimiter(rate or math.inf)
    batch_events = min(_MAX_BATCH_EVENTS, max(1, (rate or sys.maxsize) // _BATCHES_PER_S))
    matchers = [matcher(it) for it in patterns]

    def is_wanted(it: Past) -> bool:
        recorded_at = it.properties.timestamp
        return (
            recorded_at is not None
            and progress.since_s <= recorded_at.timestamp() < progress.until_s
            and any(matches(_routing_key(it)) for matches in matchers)
        )

    with _bar(progress) as show:
        async for batch in stream.batches(end=progress.end_offset, most=batch_events):
            wanted = [_addressed(it, progress.id) for it in batch if is_wanted(it)]
            await asyncio.sleep(limiter.reserve(now(), len(wanted)))
            await queue.publish(wanted)
            progress = replace(
                progress,
                next_offset=batch[-1].offset + 1,
                published=progress.published + len(wanted),
            )
            file.note(progress, now())
            show(progress)
    file.latest = replace(progress, next_offset=progress.end_offset + 1)


def _addressed(it: Past, replay_id: str) -> tuple[commands.Basic.Properties, bytes]:
    properties = headers.retry_properties(it.properties, attempt=1, routing_key=_routing_key(it))
    properties.headers = {**(properties.headers or {}), headers.REPLAY: replay_id}
    return properties, it.body


def _routing_key(it: Past) -> str:
    return headers.routing_key_of(it.properties.headers or {}, it.routing_key)


@contextlib.contextmanager
def _bar(progress: Progress) -> Iterator[Callable[[Progress], None]]:
    """Show a person how far it is; in a pipe, nothing."""
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TextColumn("{task.fields[published]} events"),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, disable=not is_terminal()) as bar:
        total = progress.end_offset + 1 - progress.first_offset
        task = bar.add_task(progress.id, total=total, published=progress.published)

        def show(it: Progress) -> None:
            done = it.next_offset - it.first_offset
            bar.update(task, completed=done, published=it.published)

        show(progress)
        yield show


def _report(progress: Progress | None, service: str) -> None:
    """Say what was done."""
    if progress and progress.published:
        cells = (str(progress.published), "events to", service, progress.id)
        show_row("replayed", *cells, styles=("green",))
    else:
        click.echo("Nothing to replay: the history has no such event.", err=True)
