"""The archive: every event in a database, once per event id. `relay events` reads it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter
from pydantic import Field, field_validator

from consumers.archive.record import Archive
from consumers.archive.sqlite import SqliteArchive
from consumers.kit import Consumer, ConsumerSettings, Event, Unavailable
from consumers.kit.database.url import NEEDS_PSYCOPG, parse_database_url
from consumers.kit.settings import Bindings, ConsumerAdminSettings
from relay.process import tasks
from relay.settings_file import resolve_secrets
from relay.settings_values import Port

NAME = "archive"
_DELETE_EVERY_S = 60.0

log = structlog.get_logger("consumers.archive")


class ArchiveAdminSettings(ConsumerAdminSettings):
    """The listener for probes and metrics."""

    port: Port = 9091


class ArchiveSettings(ConsumerSettings):
    """The section `[consumers.archive]`."""

    database: str = Field(default="sqlite:var/archive.db", repr=False)
    queue: str = NAME  # several archives on one broker need one each
    bindings: Bindings = Field(default=["#"])
    keep_s: int = Field(default=0, ge=0, le=3_153_600_000)  # 0: forever
    batch_limit: int = Field(default=500, ge=100, le=2000)
    prefetch: int | None = Field(default=2000, ge=1, le=2000)
    concurrency: int = Field(default=1, ge=1, le=1)  # a database takes one batch at a time
    handler_timeout_s: float = Field(default=60, gt=0, le=90)
    admin: ArchiveAdminSettings = ArchiveAdminSettings()

    @field_validator("database")
    @classmethod
    def _check_database(cls, database: str) -> str:
        (resolved,) = resolve_secrets([database])
        archive_at(resolved)
        return resolved

    @field_validator("queue")
    @classmethod
    def _check_queue(cls, queue: str) -> str:
        Consumer(queue, bindings=["#"])
        return queue

    @property
    def handled_at_once(self) -> int:
        """How many events a batch may have."""
        return self.batch_limit


class ArchiveMetrics:
    """What became of the events."""

    def __init__(self, registry: CollectorRegistry) -> None:
        events = Counter(
            "relay_archive_events",
            "Events that were new to the archive, or were there already.",
            ["outcome"],
            registry=registry,
        )
        self.new, self.known = events.labels("new"), events.labels("known")


def archive_at(database: str) -> Archive:
    """Return the archive in a database.

    Args:
        database: `sqlite:PATH` or `postgresql://user:password@host/database`.

    Raises:
        ValueError: it is neither, or psycopg is needed and not installed.
    """
    match parse_database_url(database):
        case Path() as path:
            return SqliteArchive(path)
        case server:
            try:
                from consumers.archive.postgres import PostgresArchive  # noqa: PLC0415  an extra
            except ImportError as error:
                raise ValueError(NEEDS_PSYCOPG) from error
            return PostgresArchive(server)


@contextlib.asynccontextmanager
async def opened(
    settings: ArchiveSettings, registry: CollectorRegistry
) -> AsyncIterator[Sequence[Consumer]]:
    """Open the archive and yield the consumer that fills it.

    Args:
        settings: the service's section.
        registry: what `/metrics` shows.

    Raises:
        ArchiveError: the archive can't be used.
    """
    archive = archive_at(settings.database)
    metrics = ArchiveMetrics(registry)
    # Shorter than the kit's own limit: otherwise it would blame the events for a hanging database.
    limit_s = settings.handler_timeout_s / 2
    consumer = Consumer(settings.queue, bindings=settings.bindings)

    @consumer.batch_handler(limit=settings.batch_limit)
    async def append(events: Sequence[Event]) -> None:
        try:
            async with asyncio.timeout(limit_s):
                new = await archive.append(events)
        except TimeoutError as error:
            raise Unavailable(f"The archive did not answer within {limit_s:g} s.") from error
        metrics.new.inc(new)
        metrics.known.inc(len(events) - new)

    await archive.open()
    try:
        async with contextlib.AsyncExitStack() as stack:
            if settings.keep_s:
                work = delete_old(archive, keep_s=settings.keep_s)
                await stack.enter_async_context(tasks.task("retention", work))
            yield [consumer]
    finally:
        await archive.close()


async def delete_old(archive: Archive, *, keep_s: float, every_s: float = _DELETE_EVERY_S) -> None:
    """Delete events that are too old, forever; batch by batch, so that others get their turn."""
    while True:
        has_more = False
        try:
            before = datetime.now(UTC) - timedelta(seconds=keep_s)
            has_more = await archive.delete_old(before)
        except Unavailable as error:
            log.warning("old events not deleted", reason=str(error))
        await asyncio.sleep(0 if has_more else every_s)
