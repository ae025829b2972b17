"""Drift: fields in what a vendor sends that neither its samples nor its code know.

Events are looked at after they are answered, once a second, and no more of them than takes about
0.3 % of a processor: up to some 170 a second that is all of them, beyond it the first of each
second. Names are kept, in memory, never values.
"""

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import orjson
import structlog

from relay import vendors
from relay.events.message import Message
from relay.events.timestamps import from_clock
from relay.ingress.processing import Source
from relay.observability.drift_report import DriftReport, DriftRow, report
from relay.observability.metrics import DriftMetrics
from relay.process.safe_traceback import safe_traceback
from relay.vendors.kit.forms import form_fields
from relay.vendors.kit.known_fields import MAX_NAME_CHARACTERS, KnownFields, UnknownField

MAX_BYTES_PER_S = 256 * 1024
"""Of events: each KiB takes 6 to 13 µs, the more the busier the machine's other cores are."""
MAX_EVENT_BYTES = 128 * 1024
"""A larger one would hold up requests for more than a millisecond."""
MAX_PLACES = 100
MAX_NAMES_PER_PLACE = 50
"""Beyond that the names are data; then all further ones are listed as one."""
_PERIOD_S = 1.0
_MAX_BYTES_IN_A_ROW = 32 * 1024
_MAX_EVENTS_IN_A_ROW = 20
_FURTHER_NAMES = "*"

log = structlog.get_logger("relay.ingress")

_Place = tuple[str, str, str]  # vendor, type, pointer to the object


class _Taken(NamedTuple):
    vendor: str
    query_string: str
    body: bytes  # of a message


class Drift:
    """Looks for fields that nobody knows, counts the events that have some, and lists them.

    `take` events; let `run` run.
    """

    def __init__(self, metrics: DriftMetrics) -> None:
        self._metrics = metrics
        self._vendors: dict[str, vendors.Vendor] = {}
        self._known: dict[str, KnownFields | None] = {}
        self._taken: list[_Taken] = []
        self._room_bytes = MAX_BYTES_PER_S
        self._has_some = asyncio.Event()
        self._seen: OrderedDict[_Place, dict[str, DriftRow]] = OrderedDict()

    def set_sources(self, sources: Mapping[str, Source]) -> None:
        """Look at what the vendors of these sources send, unless no sample shows what that is."""
        for source in sources.values():
            name = source.origin.vendor
            if name not in self._vendors and vendors.samples(name):
                self._vendors[name] = source.vendor
                for event_type in vendors.types(source.vendor):
                    self._metrics.count(name, event_type, 0)

    def take(self, vendor: str, query_string: str, messages: Sequence[Message]) -> None:
        """Keep the events of a delivery to look at, as far as there is room.

        Args:
            vendor: who sent them.
            query_string: of the URL. Some vendors add what it has to what they send, and those
                names are of whoever entered the URL.
            messages: the events, and what is quarantined.
        """
        if vendor not in self._vendors:
            return
        for message in messages:
            size = len(message.body)
            if size > self._room_bytes:
                return
            if size <= MAX_EVENT_BYTES and not message.is_quarantined:
                self._room_bytes -= size
                self._taken.append(_Taken(vendor, query_string, message.body))
                if len(self._taken) == 1:
                    self._has_some.set()

    async def run(self) -> None:
        """Look at what was taken, forever."""
        while True:
            await self._has_some.wait()
            await asyncio.sleep(_PERIOD_S)
            await self._look_at_taken()
            self._has_some.clear()
            self._room_bytes = MAX_BYTES_PER_S

    async def report(self) -> DriftReport:
        """Look at the rest of what was taken, and return the fields seen so far."""
        await self._look_at_taken()
        return report(row for rows in self._seen.values() for row in rows.values())

    async def _look_at_taken(self) -> None:
        """Look at all of it, some at a time; between these, requests have their turn."""
        while self._taken:
            for name in {taken.vendor for taken in self._taken} - self._known.keys():
                await asyncio.to_thread(self._known_fields, name)  # it reads files
            count = _in_a_row(self._taken)
            some, self._taken = self._taken[:count], self._taken[count:]
            self._look_at(some)
            await asyncio.sleep(0)

    def _known_fields(self, name: str) -> KnownFields | None:
        if name not in self._known:
            self._known[name] = vendors.known_fields(name, self._vendors[name])
        return self._known[name]

    def _look_at(self, taken: Iterable[_Taken]) -> None:
        for vendor, query_string, body in taken:
            try:
                known, document = self._known_fields(vendor), orjson.loads(body)
                unknown = known.unknown_in(document["data"]["raw"]) if known else []
                if unknown and query_string:
                    unknown = _without_own_names(unknown, query_string)
                if unknown:
                    self._note(vendor, document["type"], unknown)
            except Exception as error:  # noqa: BLE001  an aid must not end the relay
                _log_failure(vendor, error)

    def _note(self, vendor: str, event_type: str, unknown: Iterable[UnknownField]) -> None:
        self._metrics.count(vendor, event_type)
        now = from_clock(time.time())
        for field in unknown:
            rows = self._rows((vendor, event_type, field.place))
            path = field.path
            if path not in rows and len(rows) >= MAX_NAMES_PER_PLACE:
                path = f"{field.place}/{_FURTHER_NAMES}"
            row = rows.setdefault(
                path,
                DriftRow(
                    vendor=vendor,
                    type=event_type,
                    path=path,
                    first_seen=now,
                    last_seen=now,
                    count=0,
                ),
            )
            row["last_seen"] = now
            row["count"] += 1

    def _rows(self, place: _Place) -> dict[str, DriftRow]:
        rows = self._seen.setdefault(place, {})
        self._seen.move_to_end(place)
        if len(self._seen) > MAX_PLACES:
            self._seen.popitem(last=False)
        return rows


def _in_a_row(taken: Sequence[_Taken]) -> int:
    """Return how many of the first may be looked at in a row; at least one."""
    sizes = itertools.accumulate(len(each.body) for each in taken[:_MAX_EVENTS_IN_A_ROW])
    return max(1, sum(size <= _MAX_BYTES_IN_A_ROW for size in sizes))


def _without_own_names(unknown: list[UnknownField], query_string: str) -> list[UnknownField]:
    """Return the fields without those at the top that are called as a parameter of the URL."""
    own = {name[:MAX_NAME_CHARACTERS] for name, _ in form_fields(query_string)}
    return [field for field in unknown if field.place or field.name not in own]


def _log_failure(vendor: str, error: Exception) -> None:
    log.error("drift failed", vendor=vendor, **safe_traceback(error))
