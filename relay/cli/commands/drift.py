"""`relay drift`: fields in what vendors send that neither their samples nor their code know."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from relay.cli.admin_port import admin_url, urls_option
from relay.cli.client import admin_document
from relay.cli.main import json_option
from relay.cli.output import show_json, show_table
from relay.errors import RelayError
from relay.observability import drift_report
from relay.observability.drift_report import DriftReport, DriftRow
from relay.process.command import config_option, run
from relay.vendors.kit.fields import mapping, sequence

_PATH = "/drift"


@click.command("drift")
@config_option
@urls_option
@json_option
def command(config: Path | None, urls: tuple[str, ...], *, as_json: bool) -> None:
    """List fields that nobody knows in what vendors send, the newest first.

    Receivers keep their names since they started, never their values.
    """
    report = run(_ask_all(urls or [admin_url(config)]))
    if as_json:
        show_json(report["fields"])
        return
    titles = ("First seen", "Last seen", "Events", "Vendor", "Type", "Field")
    show_table(titles, [_cells(row) for row in report["fields"]])
    if not report["fields"]:
        click.echo("No unknown field was seen.", err=True)


def _cells(row: DriftRow) -> Sequence[object]:
    counted = (row["first_seen"], row["last_seen"], row["count"])
    return (*counted, row["vendor"], row["type"], row["path"])


async def _ask_all(urls: Sequence[str]) -> DriftReport:
    answers = await asyncio.gather(*[admin_document(url, _PATH) for url in urls])
    return drift_report.merged(map(_checked, urls, answers))


def _checked(url: str, answer: Any) -> DriftReport:
    rows = sequence(mapping(answer).get("fields"))
    for row in rows:
        fields = {name: type(value) for name, value in mapping(row).items()}
        if not fields.items() >= DriftRow.__annotations__.items():
            raise RelayError(f"What {url} lists as unknown fields is none.")
    return {"fields": rows}
