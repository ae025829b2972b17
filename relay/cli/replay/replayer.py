"""The replay itself: from the history, past every binding, into the queue of one service."""

import asyncio
import math
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import click
from aio_pika.abc import AbstractConnection
from pamqp import commands

from consumers.kit.queues import bindings, headers
from relay.cli import service_queue
from relay.cli.connection import connected
from relay.cli.replay import history_stream, progress_bar
from relay.cli.replay.history_stream import HistoryMessage, HistoryStream
from relay.cli.replay.progress import Progress, ProgressFile
from relay.cli.replay.topic_pattern import matcher
from relay.cli.service_queue import ServiceQueue
from relay.errors import RelayError
from relay.process.rate_limiter import RateLimiter
from relay.settings import BrokerSettings

_MAX_BATCH_EVENTS = 1000
_BATCHES_PER_S = 10
_CLOCKS_DIFFER_S = 60
"""The stream is searched by the broker's clock, events are chosen by the relay's."""
_RANDOM_BYTES = 3
_NO_HISTORY = "There is no history {name}; a relay keeps one with [history] enabled = true."


async def replay(
    settings: BrokerSettings, file: ProgressFile, *, since_s: int, until_s: int, rate: int
) -> None:
    """Begin a replay, or resume the one in the file; return once all is published.

    Args:
        settings: of the broker.
        file: what was asked for, and how far it has come.
        since_s: the start of the range if the replay begins, in seconds since 1970.
        until_s: its end.
        rate: events per second at most; 0 for no limit.

    Raises:
        RelayError: the queue or the history does not exist.
        BrokerError: the connection was lost, or RabbitMQ refused an event.
    """
    request = file.request
    async with (
        service_queue.opened(settings, request.to) as queue,
        connected(settings) as connection,
    ):
        await service_queue.require(connection, request.history, otherwise=_NO_HISTORY)
        start = file.latest.next_offset if file.latest else _search_from(since_s)
        async with history_stream.opened(connection, request.history, start) as stream:
            if file.latest:
                _report_resumption(file.latest, stream)
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
                file.save()
            if file.latest and not file.latest.is_done:
                patterns = request.key.split() or await _bound_patterns(connection, request.to)
                with progress_bar.shown(file.latest) as move_bar:
                    async for progress in _copy(stream, queue, file.latest, patterns, rate):
                        file.update(progress, asyncio.get_running_loop().time())
                        move_bar(progress)


def _search_from(since_s: int) -> datetime:
    return datetime.fromtimestamp(max(0, since_s - _CLOCKS_DIFFER_S), UTC)


def _report_resumption(earlier: Progress, stream: HistoryStream) -> None:
    """Report that an earlier run is resumed, and what it can no longer find.

    Raises:
        RelayError: it can't be resumed, since the history is another one.
    """
    if stream.last_offset < earlier.end_offset:
        raise RelayError("The history was made anew since this replay began; give --restart.")
    click.echo(
        f"Going on with replay {earlier.id}, {earlier.time_range}, after {earlier.published} "
        "events; the last of them may come twice.",
        err=True,
    )
    lost = min(stream.next_offset or 0, earlier.end_offset + 1) - earlier.next_offset
    if lost > 0:
        click.echo(f"relay: Up to {lost} events have left the history since it stopped.", err=True)


async def _bound_patterns(connection: AbstractConnection, service: str) -> list[str]:
    """Return the patterns a service is bound with, or one for everything if they are not known."""
    recorded = await bindings.recorded(connection, service)
    patterns = sorted({binding.pattern for binding in recorded})
    if not patterns:
        click.echo(f"What {service} is bound to is not known; it gets every event.", err=True)
    return patterns or ["#"]


async def _copy(
    stream: HistoryStream,
    queue: ServiceQueue,
    progress: Progress,
    patterns: Sequence[str],
    rate: int,
) -> AsyncIterator[Progress]:
    """Publish the wanted events in batches; yield the progress after each confirmed batch."""
    now = asyncio.get_running_loop().time
    limiter = RateLimiter(rate or math.inf)
    is_wanted = _selection(progress, patterns)
    async for batch in stream.batches(end=progress.end_offset, max_count=_batch_events(rate)):
        wanted = [_replayed(message, progress.id) for message in batch if is_wanted(message)]
        await asyncio.sleep(limiter.reserve(now(), len(wanted)))
        await queue.publish(wanted)
        progress = replace(
            progress,
            next_offset=batch[-1].offset + 1,
            published=progress.published + len(wanted),
        )
        yield progress
    yield replace(progress, next_offset=progress.end_offset + 1)


def _batch_events(rate: int) -> int:
    if not rate:
        return _MAX_BATCH_EVENTS
    return min(_MAX_BATCH_EVENTS, max(1, rate // _BATCHES_PER_S))


def _selection(progress: Progress, patterns: Sequence[str]) -> Callable[[HistoryMessage], bool]:
    matchers = [matcher(pattern) for pattern in patterns]

    def is_wanted(message: HistoryMessage) -> bool:
        recorded_at = message.properties.timestamp
        return (
            recorded_at is not None
            and progress.since_s <= recorded_at.timestamp() < progress.until_s
            and any(matches(_routing_key(message)) for matches in matchers)
        )

    return is_wanted


def _replayed(message: HistoryMessage, replay_id: str) -> tuple[commands.Basic.Properties, bytes]:
    properties = headers.retry_properties(
        message.properties, attempt=1, routing_key=_routing_key(message)
    )
    properties.headers = {**(properties.headers or {}), headers.REPLAY: replay_id}
    return properties, message.body


def _routing_key(message: HistoryMessage) -> str:
    return headers.routing_key_of(message.properties.headers or {}, message.routing_key)
