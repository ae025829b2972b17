"""`relay recent`: the latest requests of running receivers, the refused ones, too."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from relay.cli.admin_port import admin_url, urls_option
from relay.cli.client import admin_document
from relay.cli.completing import complete_source, complete_type
from relay.cli.main import json_option
from relay.cli.output import is_terminal, show_json, show_row, show_table
from relay.errors import RelayError
from relay.observability.recent_requests import MAX_REQUESTS, VERDICTS
from relay.process import tasks
from relay.process.command import config_option, run
from relay.vendors.kit.fields import mapping, sequence

_EVERY_S = 1.0
_STYLES = {"refused": "red", "quarantined": "yellow"}
_TITLES = ("Time", "Source", "Status", "Verdict", "Reason", "Routing key", "Event", "Bytes", "ms")
_WIDTHS = (23, 16, 6, 11, 20, 36, 32, 7, 8)
"""Of a line that is followed: what comes later is not known."""


class _Reader:
    """Reads the requests of one receiver, each of them once."""

    def __init__(self, url: str, query: Mapping[str, str]) -> None:
        self._url = url
        self._query = query
        self._cursor = ""
        self._is_lost = False

    async def read(self) -> Sequence[Mapping[str, Any]]:
        """Return what came since the last call, the oldest first.

        Raises:
            RelayError: the receiver does not answer as one.
        """
        query = dict(self._query)
        if self._cursor:
            query |= {"after": self._cursor, "limit": str(MAX_REQUESTS)}
        page = mapping(await admin_document(self._url, f"/recent?{urlencode(query)}"))
        rows = [mapping(row) for row in sequence(page.get("requests"))]
        if not isinstance(page.get("cursor"), str) or not all("status" in row for row in rows):
            raise RelayError(f"What {self._url} lists as requests is none.")
        self._report(page.get("missed"))
        self._cursor = page["cursor"]
        return rows

    async def keep_reading(self) -> Sequence[Mapping[str, Any]]:
        """Do the same; report once that the receiver is lost, and when it is back."""
        try:
            return await self.read()
        except RelayError as error:
            if not self._cursor:
                raise
            if not self._is_lost:
                click.echo(f"relay: {error} Trying on.", err=True)
            self._is_lost = True
            return []

    def _report(self, missed: object) -> None:
        if self._is_lost or missed != 0:
            gone = "it has restarted" if missed is None else f"{missed} missed"
            click.echo(f"relay: {self._url} is read again, {gone}.", err=True)
        self._is_lost = False


@click.command("recent")
@config_option
@click.option(
    "--source",
    metavar="NAME",
    shell_complete=complete_source,
    help="Only of this source; `unknown` is none of them.",
)
@click.option("--verdict", type=click.Choice(VERDICTS), help="Only those with this end.")
@click.option("--reason", metavar="SLUG", help="Only refused or quarantined for this reason.")
@click.option(
    "--type",
    "event_type",
    metavar="TYPE",
    shell_complete=complete_type,
    help="Only with an event of this type.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_REQUESTS),
    default=100,
    show_default=True,
    help="How many, the latest.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@urls_option
@json_option
def command(
    *,
    config: Path | None,
    source: str | None,
    verdict: str | None,
    reason: str | None,
    event_type: str | None,
    limit: int,
    urls: tuple[str, ...],
    follow: bool,
    as_json: bool,
) -> None:
    """Show the latest requests, accepted, quarantined and refused, and why; never their values.

    A relay keeps the last 1,000 since it started. With --json there is more of each, such as the
    names of headers and fields that a refused one had.
    """
    filters = {"source": source, "verdict": verdict, "reason": reason, "type": event_type}
    query = {name: value for name, value in filters.items() if value}
    readers = [_Reader(url, query | {"limit": str(limit)}) for url in urls or [admin_url(config)]]
    run(
        _follow(readers, limit, as_json=as_json)
        if follow
        else _show(readers, limit, as_json=as_json)
    )


async def _show(readers: Sequence[_Reader], limit: int, *, as_json: bool) -> None:
    rows = _ordered(await asyncio.gather(*[reader.read() for reader in readers]))[-limit:]
    if as_json:
        for row in rows:
            show_json(row)
        return
    show_table(_TITLES, [_cells(row) for row in rows])
    if not rows:
        click.echo("No such request was seen.", err=True)


async def _follow(readers: Sequence[_Reader], limit: int, *, as_json: bool) -> None:
    """Print each request once, in a second at the latest."""
    stop = tasks.stop_signal()
    rows = _ordered(await asyncio.gather(*[reader.read() for reader in readers]))[-limit:]
    if not as_json and is_terminal():
        _show_line(_TITLES, "bold")
    while True:
        for row in rows:
            if as_json:
                show_json(row)
            else:
                _show_line(_cells(row), _STYLES.get(row["verdict"], ""))
        if await tasks.is_set_within(stop, _EVERY_S):
            return
        rows = _ordered(await asyncio.gather(*[reader.keep_reading() for reader in readers]))


def _ordered(parts: Sequence[Sequence[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    return sorted([row for part in parts for row in part], key=lambda row: str(row.get("time")))


def _cells(row: Mapping[str, Any]) -> list[str]:
    ids = sequence(row.get("event_ids"))
    event_id = f"{ids[0]} +{row['events'] - 1}" if row.get("events", 1) > 1 and ids else ids[:1]
    cells = (
        str(row.get("time"))[:23].replace("T", " "),
        row.get("source"),
        row.get("status"),
        row.get("verdict"),
        row.get("reason"),
        row.get("routing_key"),
        event_id if isinstance(event_id, str) else "".join(event_id),
        row.get("bytes"),
        row.get("duration_ms"),
    )
    return ["" if cell is None else str(cell) for cell in cells]


def _show_line(cells: Sequence[str], style: str) -> None:
    """Print a line of a table whose other lines are not known yet."""
    if is_terminal():
        padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)]
        show_row(*padded, styles=[style] * len(padded))
    else:
        show_row(*cells)
