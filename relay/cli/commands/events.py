"""`relay events`: past events, out of the archive that the service `archive` fills."""

import sys
from datetime import datetime
from pathlib import Path

import click

from consumers.archive.record import Erasure, Query
from consumers.archive.service import NAME, ArchiveSettings, archive_at
from consumers.kit.event import parse
from consumers.kit.settings import load
from relay.cli.completing import complete_type
from relay.cli.event_format import on_one_line, show_event
from relay.cli.timestamps import MOMENT
from relay.errors import RelayError
from relay.process.command import config_option

_DEFAULT_LIMIT = 1000


@click.group("events", invoke_without_command=True)
@click.pass_context
@config_option
@click.option("--conversation", metavar="ID", help="Those of a conversation.")
@click.option(
    "--type",
    "event_type",
    metavar="TYPE",
    shell_complete=complete_type,
    help="Those of a type: message.created, ...",
)
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
    context: click.Context,
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
    if context.invoked_subcommand:
        return
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


@command.command("forget")
@config_option
@click.option("--contact", metavar="ID", help="Those of a contact.")
@click.option("--conversation", metavar="ID", help="Those of a conversation.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_context
def forget_command(
    context: click.Context,
    config: Path | None,
    *,
    contact: str | None,
    conversation: str | None,
    yes: bool,
) -> None:
    """Erase the events of a contact or of a conversation from the archive, for good.

    Queues, dead letters, the quarantine and the history are not touched.
    """
    if not contact and not conversation:
        raise click.UsageError("Give --contact ID or --conversation ID.")
    given = context.parent.params["config"] if context.parent else None
    _, settings = load(NAME, ArchiveSettings, config or given)
    archive = archive_at(settings.database)
    erasure = Erasure(contact=contact or None, conversation=conversation or None)
    if not yes:
        _confirm(archive.count(erasure))
    click.echo(f"{archive.erase(erasure):,} events were erased.")


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        raise RelayError(f"Nobody is there to ask; give --yes to erase {count:,} events.")
    click.confirm(f"Erase {count:,} events for good?", abort=True, err=True)
