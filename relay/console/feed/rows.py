"""The rows of the feed: what is asked for, and how a row is made and written. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from consumers.kit.errors import NotAnEvent
from consumers.kit.event import parse
from relay.console.visible import visible
from relay.observability.recent_requests import FILTERS

PUBLISHED = "published"
"""The verdict of an event that came out of RabbitMQ; the others are those of `/recent`."""
_CELLS = ("time", "source", "verdict", "reason", "type", "conversation", "status", "duration_ms")
_MAX_CELL_CHARACTERS = 300

Row = dict[str, Any]
"""A request as in `/recent`, or an event; `cursor` is of this row alone."""


def filters_of(query: Mapping[str, str]) -> dict[str, str]:
    """Return the filters of a page's query."""
    return {name: query[name] for name in FILTERS if query.get(name)}


def has_requests(wanted: Mapping[str, str]) -> bool:
    """Return whether requests can meet the filters."""
    return wanted.get("verdict") != PUBLISHED


def has_events(wanted: Mapping[str, str]) -> bool:
    """Return whether events can meet the filters: they have no reason."""
    return wanted.get("verdict", PUBLISHED) == PUBLISHED and "reason" not in wanted


def event_row(routing_key: str, body: bytes, cursor: str) -> Row | None:
    """Return the row of an event; None if the body is none."""
    try:
        event = parse(body)
    except NotAnEvent:
        return None
    return {
        "cursor": cursor,
        "time": event.get("recordedtime") or event.get("time") or "",
        "source": str(event.get("source", "")).rpartition("/")[2],
        "verdict": PUBLISHED,
        "type": event.get("type"),
        "routing_key": routing_key,
        "conversation": event.get("partitionkey"),
        "event_ids": [str(event.get("id", ""))],
    }


def newest(rows: Iterable[Row], count: int) -> list[Row]:
    """Return the newest rows, by their times, the newest last."""
    return sorted(rows, key=lambda row: str(row.get("time", "")))[-count:]


def encoded(rows: Iterable[Row], *, more: int, unseen: int, error: str) -> bytes:
    """Return a server-sent event for the script.

    Args:
        rows: to show, the newest last.
        more: how many more there were.
        unseen: how many requests went by before anybody could look whether they are wanted.
        error: why there may be no more; "" if nothing is wrong.
    """
    data = {"rows": [*map(_cells, rows)], "more": more, "unseen": unseen, "error": error}
    return f"event: rows\ndata: {json.dumps(data)}\n\n".encode()


def _cells(row: Row) -> Row:
    """Return a row as the script shows it: short, and with what is invisible made visible."""
    cells = {name: _text(row.get(name)) for name in _CELLS}
    ids = row.get("event_ids") or [""]
    return cells | {"id": str(ids[0]), "key": str(row.get("cursor", ""))}


def _text(value: object) -> str:
    return "" if value is None else visible(str(value)[:_MAX_CELL_CHARACTERS])
