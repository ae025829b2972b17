"""The archive's rows and queries. Pure: the databases are in sqlite.py and postgres.py.

`body` is the event, byte for byte; the other columns serve to find it and to name its routing key.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from consumers.kit import Event
from consumers.kit.database.index_key import index_key
from relay.errors import RelayError
from relay.events.timestamps import from_utc_text

SCHEMA_VERSION = 1

DELETED_AT_ONCE = 1000
"""Events per transaction, so that nobody waits long for one that deletes."""

_EARLIEST = datetime.min.replace(tzinfo=UTC)


class ArchiveError(RelayError):
    """The archive can't be opened or read."""


class Record(NamedTuple):
    """A row of the table `archive`. It has another column, `seq`: the order of arrival."""

    id: str
    type: str
    vendor: str | None
    source: str
    conversation_id: str | None
    contact_id: str | None
    occurred_at: datetime
    recorded_at: datetime | None
    routing_key: str
    body: bytes


class Archived(NamedTuple):
    """An event as it was published: its routing key and its bytes."""

    routing_key: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The newest events that meet all conditions.

    Args:
        conversation: the conversation's id.
        vendor: such as `swiftsell`.
        type: such as `message.created`.
        since: events that occurred then or later.
        until: events that occurred before.
        limit: how many events, at most.
    """

    conversation: str | None = None
    vendor: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The events to erase: those of a contact, and those of a conversation.

    Args:
        contact: the contact's id.
        conversation: the conversation's id.
    """

    contact: str | None = None
    conversation: str | None = None

    def condition(self, mark: str) -> tuple[str, list[str]]:
        """Return which rows are meant, in SQL with the database's placeholder, and its values."""
        columns = {"contact_id": _key(self.contact), "conversation_id": _key(self.conversation)}
        given = {column: value for column, value in columns.items() if value is not None}
        return " OR ".join([f"{column} = {mark}" for column in given]), [*given.values()]


class Archive(Protocol):
    """A database of events, each of them once."""

    async def open(self) -> None:
        """Create the archive where it is missing, and get ready to append.

        Raises:
            ArchiveError: it can't be used, not even later.
        """

    async def append(self, events: Sequence[Event]) -> int:
        """Store events, all of them or none. One whose id is stored already is left as it was.

        Returns:
            How many were new. They are on disk.

        Raises:
            Unavailable: the database can't be written now; nothing was stored.
        """

    def find(self, query: Query) -> Iterator[Archived]:
        """Yield events, the oldest first, whether the archive is open or not.

        Raises:
            ArchiveError: there is none, or it can't be read.
        """

    async def delete_old(self, before: datetime) -> bool:
        """Delete up to 1,000 events that occurred and were recorded before; oldest first.

        Returns:
            Whether there may be more.

        Raises:
            Unavailable: the database can't be written now.
        """

    def count(self, erasure: Erasure) -> int:
        """Return how many events an erasure means, whether the archive is open or not.

        Raises:
            ArchiveError: there is none, or it can't be read.
        """

    def erase(self, erasure: Erasure) -> int:
        """Erase events, whether the archive is open or not; return how many there were.

        Raises:
            ArchiveError: there is none, or it can't be written. Some may be erased already.
        """

    async def close(self) -> None:
        """Close the database."""


def check_version(version: int, where: str) -> None:
    """Check the schema version of an archive.

    Raises:
        ArchiveError: it is not this program's.
    """
    if version != SCHEMA_VERSION:
        raise ArchiveError(
            f"The archive {where} has schema version {version}, and this program knows "
            f"{SCHEMA_VERSION}; use the program that wrote it, or a newer one."
        )


def records(events: Iterable[Event], *, now: datetime) -> list[Record]:
    """Return the rows of events. One without a time of its own occurred now."""
    return [_record(event, now) for event in events]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A query in SQL, as two statements, so that the database sorts nothing and holds nothing.

    Args:
        first: finds `(occurred_at, seq)` of the first event, if there are as many as wanted. Its
            parameters: conditions, start, the number wanted less one.
        events: reads them in order. Its parameters: conditions, start, the number wanted.
        conditions: the values to compare with.
        start: `(occurred_at, seq)` where the events begin if there are fewer.
    """

    first: str
    events: str
    conditions: tuple[str | datetime, ...]
    start: tuple[datetime, int]


def search(query: Query, *, mark: str, table: str = "archive") -> Search:
    """Return a query in SQL.

    Args:
        query: what to find.
        mark: the database's placeholder.
        table: `archive`, and how to read it.
    """
    conditions = {
        "conversation_id =": _key(query.conversation),
        "vendor =": _key(query.vendor),
        "type =": _key(query.type),
        "occurred_at <": query.until,
    }
    given = {what: value for what, value in conditions.items() if value is not None}
    where = "".join([f"{what} {mark} AND " for what in given])
    rows = f"FROM {table} WHERE {where}(occurred_at, seq) >= ({mark}, {mark}) ORDER BY"
    return Search(
        first=f"SELECT occurred_at, seq {rows} occurred_at DESC, seq DESC LIMIT 1 OFFSET {mark}",
        events=f"SELECT routing_key, body {rows} occurred_at, seq LIMIT {mark}",
        conditions=tuple(given.values()),
        start=(query.since or _EARLIEST, 0),
    )


def _record(event: Event, now: datetime) -> Record:
    recorded = from_utc_text(event.recordedtime)
    return Record(
        id=index_key(event.id),
        type=index_key(event.type),
        vendor=_key(event.vendor or None),
        source=index_key(event.source),
        conversation_id=_key(event.conversation_id or None),
        contact_id=_key(event.contact_id or None),
        occurred_at=event.occurred_at or now,
        recorded_at=datetime.fromisoformat(recorded) if recorded else None,
        routing_key=index_key(event.routing_key),
        body=event.body,
    )


def _key(text: str | None) -> str | None:
    return None if text is None else index_key(text)
