"""The fields that nobody knows, as `/drift` shows them. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

MAX_SHOWN = 500


class DriftRow(TypedDict):
    """A field of one type of event.

    Args:
        vendor: who sends it.
        type: of the event.
        path: JSON pointer into the vendor's element. `*` as a step is any element of an array, and
            as the last one any further name in the object.
        first_seen: RFC 3339 UTC.
        last_seen: RFC 3339 UTC.
        count: elements it was seen in.
    """

    vendor: str
    type: str
    path: str
    first_seen: str
    last_seen: str
    count: int


class DriftReport(TypedDict):
    """The answer of `/drift`: the newest fields first, at most MAX_SHOWN."""

    fields: list[DriftRow]


def report(rows: Iterable[DriftRow]) -> DriftReport:
    """Return what is shown of rows."""
    ordered = sorted(rows, key=lambda row: (row["first_seen"], row["path"]), reverse=True)
    return {"fields": ordered[:MAX_SHOWN]}


def merged(reports: Iterable[Any]) -> DriftReport:
    """Return the reports of several processes as that of one."""
    total: dict[tuple[str, str, str], DriftRow] = {}
    for each in reports:
        rows: Sequence[DriftRow] = each["fields"]
        for row in rows:
            key = (row["vendor"], row["type"], row["path"])
            other = total.get(key, row)
            total[key] = {
                **row,
                "first_seen": min(row["first_seen"], other["first_seen"]),
                "last_seen": max(row["last_seen"], other["last_seen"]),
                "count": row["count"] + (other["count"] if key in total else 0),
            }
    return report(total.values())
