"""`relay events`: past events, out of the archive that the service `archive` fills."""

from datetime import datetime
from pathlib import Path

import click

from consumers.archive.record import Query
from consumers.archive.service import NAME, ArchiveSettings, archive_at
from consumers.kit.event import parse
from consumers.kit.settings import load
from relay.cli.event_format import on_one_line, show_event
from relay.cli.timestamps import MOMENT
from relay.process.command import config_option

_DEFAULT_LIMIT = 1000


@click.command("events")
@config_option
@click.option("--conversation", metavar="ID", help="Those of a conversation.")
@click.option("--type", "event_type", metavar="TYPE", help="Those of a type: message.created, ...")
@click.option("--vendor", metavar="VENDOR", help="Those of a vendor.")
@click.option("--since", type=MOMENT, help="Not before 30m, 2h or 7d ago, or a date in ISO 8601.")
@click.option("--until", type=MOMENT, help="Before then, likewise.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=_DEFAULT_LIMIT,
    show_default=True,
    help="The newest so many.",
)
@click.option("--json", "as_json", is_flag=True, help="Print whole CloudEvents, one per line.")
def command(
    config: Path | None,
    *,
    conversation: str | None,
    event_type: str | None,
    vendor: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print archived events, the oldest first.

    Their time is the vendor's, or the relay's where the vendor gave none.
    """
    if since and until and since >= until:
        raise click.UsageError("--since must be before --until.")
    _, settings = load(NAME, ArchiveSettings, config)
    query = Query(
        conversation=conversation,
        type=event_type,
        vendor=vendor,
        since=since,
        until=until,
        limit=limit,
    )
    count = 0
    for routing_key, body in archive_at(settings.database).find(query):
        count += 1
        if as_json:
            click.echo(on_one_line(body))
        else:
            show_event(routing_key, parse(body))
    if not count:
        click.echo("No event matches.", err=True)
    elif count == limit:
        click.echo(f"The newest {limit:,} are shown; --limit shows more.", err=True)
