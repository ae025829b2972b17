"""`relay schema`: the JSON Schema of a type of event."""

import click

from relay.cli.main import json_option
from relay.cli.output import show_json, show_table
from relay.events import schemas
from relay.events.event import TYPES


@click.command("schema")
@click.argument("event_type", metavar="[TYPE]", required=False, type=click.Choice(sorted(TYPES)))
@json_option
def command(event_type: str | None, *, as_json: bool) -> None:
    """Print the JSON Schema of events of TYPE; without it, list the types."""
    if event_type:
        show_json(schemas.schema(event_type))
    elif as_json:
        show_json(schemas.titles())
    else:
        show_table(("Type", "What"), list(schemas.titles().items()))
