"""Archives to fill, and events with just what a test is about."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson

from consumers.archive.record import Archive, Archived, Query
from consumers.archive.service import archive_at
from consumers.kit import Event
from consumers.kit.event import decode
from relay.events.topology import routing_key


def event(
    event_id: str = "e1",
    *,
    conversation: str | None = "c1",
    event_type: str = "message.created",
    vendor: str = "example",
    time: str | None = "2026-01-31T12:00:00Z",
    raw: bytes = b"{}",
    **data: Any,
) -> Event:
    """An event as a consumer gets it, `raw` byte for byte in its body."""
    document = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/{vendor}/acme",
        "type": event_type,
        "time": time,
        "vendor": vendor,
        "recordedtime": "2026-01-31T12:00:01.5Z",
        "data": {"conversation": {"id": conversation}, **data, "raw": orjson.Fragment(raw)},
    }
    return decode(orjson.dumps(document), routing_key=routing_key(vendor, event_type))


@contextlib.asynccontextmanager
async def opened_archive(database: str) -> AsyncIterator[Archive]:
    """An archive as the service has it."""
    archive = archive_at(database)
    await archive.open()
    try:
        yield archive
    finally:
        await archive.close()


def found(archive: Archive, *, limit: int = 100_000, **wanted: Any) -> list[Archived]:
    """What is in an archive."""
    return list(archive.find(Query(limit=limit, **wanted)))


def archived(*events: Event) -> list[Archived]:
    """Events as they should come out of an archive."""
    return [Archived(each.routing_key, each.body) for each in events]
