"""`relay tail`: events as they are published, for a person or a pipe."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import orjson

from consumers.archive.record import Query
from consumers.archive.service import NAME, ArchiveSettings, archive_at
from consumers.kit.errors import NotAnEvent
from consumers.kit.event import parse
from consumers.kit.settings import load as load_service
from relay.cli.completing import complete_pattern
from relay.cli.event_format import on_one_line, show_event
from relay.cli.event_targets import Target, executing, posting, saving
from relay.cli.output import printable
from relay.cli.replay.topic_pattern import matcher
from relay.cli.tailing.connecting import EventFeed, TailedEvent, tailed
from relay.cli.tailing.history_feed import HistoryFeed
from relay.cli.tailing.live_queue import LiveQueue, PastEvents, check_patterns
from relay.cli.timestamps import MOMENT
from relay.configured import source_exchanges
from relay.errors import RelayError
from relay.events.topology import history_exchange
from relay.process.command import config_option, run
from relay.settings import Settings, load

_MAX_ARCHIVED = 10_000


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
@click.option("--since", type=MOMENT, help="First those since 30m, 2h or 7d ago, or a date.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
def command(
    config: Path | None,
    patterns: tuple[str, ...],
    *,
    as_json: bool,
    url: str | None,
    folder: Path | None,
    program: str | None,
    since: datetime | None,
    count: int | None,
) -> None:
    """Print events as they pass, until Ctrl-C.

    Those whose routing key matches a PATTERN such as '*.message.#', or all without one. A lost
    connection is made again; stderr says so, and what it cost. With a history, events come out
    of that, none is missed, and --since begins in the past. Without one, events of an outage
    are missed, --since asks the archive, and an event that nobody else has a binding for comes
    here while this runs, not into the queue of unrouted ones.

    With --to, --save or --exec, the next event waits until that is done, so they keep their
    order; what they answer goes to stderr.
    """
    settings = load(config)
    if url and not url.startswith(("http://", "https://")):
        raise click.UsageError("--to must be like http://127.0.0.1:3000/hook.")
    feed = _feed(settings, config, patterns or ("#",), since)

    async def work() -> None:
        async with contextlib.AsyncExitStack() as stack:
            targets: list[Target] = []
            if folder:
                targets.append(saving(folder))
            if url:
                targets.append(await stack.enter_async_context(posting(url)))
            if program:
                targets.append(executing(program))
            await _show_all(settings, feed, count, targets, as_json=as_json)

    run(_until_interrupted(work()))


async def _until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it is done, or until SIGINT or SIGTERM."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _show_all(
    settings: Settings,
    feed: EventFeed,
    count: int | None,
    targets: Sequence[Target],
    *,
    as_json: bool,
) -> None:
    shown = 0
    async with contextlib.aclosing(tailed(settings.broker, feed, _report)) as events:
        async for routing_key, body in events:
            if _show(routing_key, body, as_json=as_json):
                for target in targets:
                    result = await target(shown, routing_key, body)
                    click.echo(f"{printable(routing_key)}: {result}", err=True)
            shown += 1
            if shown == count:
                return


def _report(state: str) -> None:
    click.echo(state, err=True)


def _feed(
    settings: Settings, config: Path | None, patterns: Sequence[str], since: datetime | None
) -> EventFeed:
    """Return where the events come from: the history if there is one, else a queue of our own."""
    check_patterns(patterns)
    if settings.history.enabled:
        name = history_exchange(settings.broker.exchange)
        return HistoryFeed(name, patterns, _report, since)
    exchanges = [settings.broker.exchange, *sorted(set(source_exchanges(settings).values()))]
    past = _archived(settings, config, patterns) if since else None
    return LiveQueue(exchanges, patterns, _report, past=past, since=since)


def _archived(settings: Settings, config: Path | None, patterns: Sequence[str]) -> PastEvents:
    """Return what looks into the archive.

    Raises:
        RelayError: the settings name none.
    """
    if NAME not in settings.consumers:
        raise RelayError(
            "--since needs past events: set [history] enabled = true, or name the database of the "
            "archive in [consumers.archive]."
        )
    _, section = load_service(NAME, ArchiveSettings, config)
    matchers = [matcher(pattern) for pattern in patterns]

    def past(since: datetime) -> list[tuple[str, TailedEvent]]:
        found = [*archive_at(section.database).find(Query(since=since, limit=_MAX_ARCHIVED))]
        if len(found) == _MAX_ARCHIVED:
            _report(f"The archive has more than {_MAX_ARCHIVED:,} since then; the newest follow.")
        return [
            (str(parse(body)["id"]), TailedEvent(routing_key, body))
            for routing_key, body in found
            if any(matches(routing_key) for matches in matchers)
        ]

    return past


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
