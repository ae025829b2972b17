"""The latest requests, as `/recent` on the admin port shows them: never a value of what was sent.

A request costs one append of some bytes to a ring in memory, of which a row is made when somebody
asks. A thousand of them as objects would push out of the CPU's caches what the next request needs,
which costs 2 µs of each. The answer:

    {"cursor": "9f3c2a11-204",  pass it as `after` to get only what came since
     "missed": 0,               how many since `after` have left the ring; null after a restart
     "skipped": 0,              with `latest`: how many since `after` are wanted and not given
     "requests": [...]}         in the order of their answers, the latest last

    GET /recent?source=acme&verdict=refused&reason=token_wrong&type=message.created
    GET /recent?after=9f3c2a11-204&limit=100
    GET /recent?after=9f3c2a11-204&limit=20&latest=true

`limit` is 1 to 1,000, which is the default. With `after` the oldest are given first, so nothing is
passed over; without, or with `latest=true`, the newest. That is for who shows them to a person: a
row that nobody reads costs the receiver 4 µs. Each request has these members; what is unknown is
left out:

    cursor        of this request alone: no other has it
    time          when its head had arrived, RFC 3339 UTC
    request_id    as in the log and in error answers
    worker        its number, where there are several
    source        as configured, or "unknown"
    client        the caller's address, behind `ingress.trusted_proxies` the one they report
    method        such as POST; "other" for what is no method of HTTP
    status        of the answer
    verdict       "accepted", "quarantined", "handshake", "ignored" (all of it) or "refused"
    ignored       how many events the settings of the source leave out
    reason        refused: for 401 one of AUTHENTICATION_REASONS, else the `type` of the answer,
                  such as "unknown-source"; quarantined: the reason of the quarantine
    detail        refused: one sentence
    type          of the first event; `types` has all where they differ, at most 20
    routing_key   of the first event, or of what is quarantined
    events        how many there are
    event_ids     of the events, or of what is quarantined whole, at most 20
    quarantined_alone, reasons   how many elements are quarantined alone, and why
    bytes         of the body, decompressed
    duration_ms   from the end of the head to the answer
    header_names, query_names, body_names   refused: names, at most 50 each
    content_type  refused
"""

import asyncio
import heapq
import json
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict, cast

import orjson

from relay.errors import Refused
from relay.events.timestamps import from_clock
from relay.observability.logs import to_json
from relay.observability.row_filters import RowFilters

MAX_REQUESTS = 1000
MAX_BYTES = 4 * 1024 * 1024
MAX_EVENTS_SHOWN = 20
"""Of one request. A delivery may have 10,000."""

_OVERHEAD_BYTES = 512
"""About what an entry takes beside its JSON: the tuple, two times 33 bytes, a float and types."""
VERDICTS = ("accepted", "quarantined", "handshake", "ignored", "refused")
_NAMED = {"quarantined", "handshake", "ignored"}
"""Verdicts whose lines have a member of that name."""
FILTERS = ("source", "verdict", "reason", "type")
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
)
_BAD_REQUEST = 400
_MAX_DIGITS = 18  # of a number in a query
_NO_DETAILS = b"{}"
ENTRIES_IN_A_ROW = 100
"""Looked at, which takes up to 0.4 ms; then requests have their turn."""

Row = dict[str, Any]


class RecentPage(TypedDict):
    """The answer of `/recent`; see above."""

    cursor: str
    missed: int | None
    skipped: NotRequired[int]
    requests: list[Row]


class RecentQuery(NamedTuple):
    """What somebody wants to see of the latest requests.

    Args:
        wanted: member and value, of each filter.
        after: a cursor, or "".
        limit: how many at most.
        is_latest: whether to give the newest since `after`, and not the oldest.
    """

    wanted: Sequence[tuple[str, str]] = ()
    after: str = ""
    limit: int = MAX_REQUESTS
    is_latest: bool = False


class _Entry(NamedTuple):
    received_at: float
    method: str
    line: bytes
    types: Sequence[str]
    details: bytes


class RecentRequests:
    """A ring of requests that were answered.

    Args:
        max_requests: how many are kept.
        max_bytes: about how much memory they may take.
    """

    def __init__(self, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_requests = max_requests
        self._bytes_left = max_bytes
        self._entries: deque[_Entry] = deque()
        self._process = secrets.token_hex(4)
        self._last = 0  # the number of the newest; those before it have the numbers before that

    def add(
        self,
        received_at: float,
        method: str,
        line: bytes,
        types: Sequence[str] = (),
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Keep a request that was answered.

        Args:
            received_at: seconds since 1970.
            method: as the caller wrote it.
            line: what its log line says, a JSON object.
            types: of its first MAX_EVENTS_SHOWN events.
            details: what is not in its line; these members replace those of the line.
        """
        more = to_json(details) if details else _NO_DETAILS
        self._last += 1
        self._entries.append(_Entry(received_at, method, line, types, more))
        self._bytes_left -= len(line) + len(more) + _OVERHEAD_BYTES
        while len(self._entries) > self._max_requests or self._bytes_left < 0:
            oldest = self._entries.popleft()
            self._bytes_left += len(oldest.line) + len(oldest.details) + _OVERHEAD_BYTES

    async def page(self, query: RecentQuery) -> RecentPage:
        """Return what is kept, as far as it is wanted; without what comes while rows are made."""
        after, missed = self._position(query.after)
        last, cursor = self._last, self._cursor(self._last)
        entries = [*self._entries][max(0, after - last + len(self._entries)) :]
        numbers = range(last - len(entries) + 1, last + 1)
        if query.after and not query.is_latest:
            found, _ = await self._wanted(numbers, entries, query)
            if len(found) == query.limit:
                cursor = found[-1]["cursor"]
            return {"cursor": cursor, "missed": missed, "requests": found}
        found, skipped = await self._wanted(numbers[::-1], entries[::-1], query)
        page: RecentPage = {"cursor": cursor, "missed": missed, "requests": found[::-1]}
        return page | {"skipped": skipped} if query.is_latest else page

    async def _wanted(
        self, numbers: Sequence[int], entries: Sequence[_Entry], query: RecentQuery
    ) -> tuple[list[Row], int]:
        """Return the first that are wanted, and how many more are.

        The latter are counted only if the query is for the latest.
        """
        filters = RowFilters(query.wanted)
        found: list[Row] = []
        skipped = 0
        for passed, (number, entry) in enumerate(zip(numbers, entries, strict=True)):
            if passed and not passed % ENTRIES_IN_A_ROW:
                await asyncio.sleep(0)
            if len(found) == query.limit and not (query.is_latest and query.wanted):
                skipped = len(entries) - passed
                break
            if row := self._wanted_row(number, entry, filters):
                if len(found) < query.limit:
                    found.append(row)
                else:
                    skipped += 1
        return found, skipped

    def _wanted_row(self, number: int, entry: _Entry, filters: RowFilters) -> Row | None:
        if not filters.may_want(entry.types, entry.line, entry.details):
            return None
        if not _may_be(filters.verdict, entry.line):
            return None
        row = self._row(number, entry)
        return row if filters.wants(row) else None

    def _position(self, after: str) -> tuple[int, int | None]:
        """Return the number of the last request that was seen, and how many were missed since."""
        if not after:
            return 0, 0
        process, _, number = after.partition("-")
        if process != self._process or not _is_number(number) or int(number) > self._last:
            return 0, None
        return int(number), max(0, self._last - len(self._entries) - int(number))

    def _cursor(self, number: int) -> str:
        return f"{self._process}-{number}"

    def _row(self, number: int, entry: _Entry) -> Row:
        """Return an entry as `/recent` shows it."""
        received_at, method, line, types, details = entry
        row: Row = {"cursor": self._cursor(number), "time": from_clock(received_at)}
        row["method"] = method if method in _METHODS else "other"
        row |= _members(line)
        row["verdict"] = _verdict(row)
        if quarantined := row.pop("quarantined", None):
            row["reason"] = quarantined
        row.pop("handshake", None)
        if (event_id := row.pop("event_id", None)) is not None:
            row["event_ids"] = [event_id]
        if types:
            row.setdefault("events", len(types))
            row["type"] = types[0]
            if len(distinct := list(dict.fromkeys(types))) > 1:
                row["types"] = distinct
        row |= _members(details)
        return row


def _members(encoded: bytes) -> Row:
    """Return the members of a JSON object, with a question mark for each lone surrogate."""
    try:
        members = orjson.loads(encoded)
    except orjson.JSONDecodeError:
        readable = json.dumps(json.loads(encoded), ensure_ascii=False).encode(errors="replace")
        members = orjson.loads(readable)
    return cast("Row", members)


def _verdict(row: Row) -> str:
    if row["status"] >= _BAD_REQUEST:
        return "refused"
    if "ignored" in row and "event_id" not in row:
        return "ignored"
    return next((word for word in ("quarantined", "handshake") if word in row), "accepted")


def _may_be(verdict: str, line: bytes) -> bool:
    """Return False only for what surely has another verdict: see _verdict."""
    if verdict == "refused":
        return b'"status":2' not in line
    return verdict not in _NAMED or f'"{verdict}":'.encode() in line


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MAX_DIGITS


def read_query(query: Mapping[str, str]) -> RecentQuery:
    """Return what the query of `/recent` asks for.

    Raises:
        Refused: it has an unknown name, or a limit that is none.
    """
    unknown = [name for name in query if name not in {*FILTERS, "after", "latest", "limit"}]
    limit, latest = query.get("limit", str(MAX_REQUESTS)), query.get("latest", "false")
    is_known = not unknown and latest in {"true", "false"}
    if not (is_known and _is_number(limit) and 1 <= int(limit) <= MAX_REQUESTS):
        names = ", ".join([*FILTERS, "after"])
        raise Refused(
            f"the query may have {names}, latest=true, and limit from 1 to {MAX_REQUESTS}"
        )
    wanted = [(name, query[name]) for name in FILTERS if name in query]
    return RecentQuery(wanted, query.get("after", ""), int(limit), latest == "true")


# Several workers: each has a ring of its own. A cursor of all is theirs in order, joined.

_JOINT = "_"


def cursors_of(after: str, count: int) -> list[str]:
    """Return the cursor of each of count workers."""
    parts = after.split(_JOINT) if after else []
    return [*parts, *[""] * count][:count]


def joined(cursors: Iterable[str]) -> str:
    """Return the cursor of all workers, from which `cursors_of` returns that of each."""
    return _JOINT.join(cursors)


def merged(pages: Sequence[RecentPage | None], query: RecentQuery) -> RecentPage:
    """Return the pages of all workers as one, in the order of their times.

    Args:
        pages: of each worker in order; None where it gave none in time.
        query: that of the caller. Each worker was asked it with its own cursor.
    """
    cursors = cursors_of(query.after, len(pages))
    rows = list(_merged_rows(pages))
    is_oldest = bool(query.after) and not query.is_latest
    shown = rows[: query.limit] if is_oldest else rows[-query.limit :]
    left_over = {row["worker"] for row in rows[query.limit :]} if is_oldest else set()
    for number, page in enumerate(pages):
        if page and number not in left_over:
            cursors[number] = page["cursor"]
    for row in shown:
        if row["worker"] in left_over:
            cursors[row["worker"]] = row["cursor"]
    missed = [page["missed"] for page in pages if page]
    whole: RecentPage = {
        "cursor": joined(cursors),
        "missed": None if None in missed else sum(filter(None, missed)),
        "requests": shown,
    }
    if query.is_latest:
        skipped = sum(page.get("skipped", 0) for page in pages if page)
        whole["skipped"] = skipped + len(rows) - len(shown)
    return whole


def _merged_rows(pages: Sequence[RecentPage | None]) -> Iterator[Row]:
    """Yield the rows of all pages, each with its worker; those of one worker stay in order."""
    numbered = [
        [{"worker": number, **row} for row in page["requests"]]
        for number, page in enumerate(pages)
        if page
    ]
    return heapq.merge(*numbered, key=lambda row: row["time"])
