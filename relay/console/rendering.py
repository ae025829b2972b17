"""The templates: autoescaped, strict about what is undefined. How values are written in them."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from relay.console.access import Visitor
from relay.console.visible import visible

NAVIGATION = (
    ("/", "Overview"),
    ("/feed", "Feed"),
    ("/triage", "Triage"),
    ("/search", "Search"),
    ("/system", "System"),
    ("/catalogue", "Catalogue"),
)

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_KIB = 1024
_UNKNOWN = "\N{EN DASH}"


class Pages:
    """Renders pages.

    Args:
        common: what every page may show.
    """

    def __init__(self, common: Mapping[str, Any]) -> None:
        self._environment = Environment(
            loader=PackageLoader("relay.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_shown,
        )
        self._environment.filters.update(
            number=number, ago=ago, interval=interval, size=size, moment=moment,
            per_second=per_second, milliseconds=milliseconds,
        )  # fmt: skip
        self._environment.globals.update(common, navigation=NAVIGATION)

    def response(
        self, template: str, visitor: Visitor | None, *, status: int = 200, path: str, **values: Any
    ) -> web.Response:
        """Render a page.

        Args:
            template: its file.
            visitor: who sees it; None for somebody who has not logged in.
            status: of the answer.
            path: of the page, for the navigation.
            values: what it shows.
        """
        text = self._environment.get_template(template).render(
            visitor=visitor, path=path, status=status, now=time.time(), **values
        )
        return web.Response(text=text, status=status, content_type="text/html")


def _shown(value: Any) -> Any:
    """Return a value as a page may show it; markup of ours is no plain text."""
    return visible(value) if type(value) is str else value


def number(value: float | None) -> str:
    """Write a count; a dash where it is not known."""
    return _UNKNOWN if value is None else f"{value:,.0f}"


def per_second(value: float | None) -> str:
    """Write a rate with as many digits as it deserves."""
    if value is None:
        return _UNKNOWN
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"  # noqa: PLR2004  three digits


def milliseconds(value: float | None) -> str:
    """Write seconds as milliseconds."""
    return _UNKNOWN if value is None else f"{value * 1000:,.1f}"


def duration(seconds: float) -> str:
    """Write a duration in its largest unit: 12 s, 4 min, 3 h, 2 d."""
    for unit, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{max(0, seconds):.0f} s"


def interval(seconds: float) -> str:
    """Write a duration exactly, in its largest unit that has no rest: 90 s, 15 min, 2 d."""
    for unit, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds and seconds % unit == 0:
            return f"{seconds / unit:,.0f} {name}"
    return f"{seconds:g} s"


def ago(at: float | None, now: float) -> str:
    """Write how long ago a moment was."""
    return "never" if at is None else f"{duration(now - at)} ago"


def moment(at: float | None) -> str:
    """Write a moment in UTC, to the second."""
    if at is None:
        return _UNKNOWN
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def size(count: float | None) -> str:
    """Write a number of bytes."""
    if count is None:
        return _UNKNOWN
    value, units = float(count), ["B", "KiB", "MiB", "GiB"]
    while value >= _KIB and len(units) > 1:
        value /= _KIB
        units.pop(0)
    return f"{value:,.0f} B" if units[0] == "B" else f"{value:,.1f} {units[0]}"
