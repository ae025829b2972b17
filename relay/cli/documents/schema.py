"""`relay schema`: the JSON Schema of a type of event, or of the settings."""

import click

from relay.cli.main import json_option
from relay.cli.output import show_document, show_json, show_table
from relay.events import schemas
from relay.events.event import TYPES


@click.command("schema")
@click.argument("event_type", metavar="[TYPE]", required=False, type=click.Choice(sorted(TYPES)))
@click.option("--settings", "is_of_settings", is_flag=True, help="Of the settings, relay.toml.")
@click.option(
    "--draft",
    type=click.Choice(["2020-12", "4"]),
    help="Of JSON Schema, for --settings; 4 is what the TOML plugins of editors read.",
)
@json_option
def command(
    event_type: str | None, draft: str | None, *, is_of_settings: bool, as_json: bool
) -> None:
    """Print the JSON Schema of events of TYPE; without it, list the types."""
    if is_of_settings and event_type:
        raise click.UsageError("--settings goes without TYPE.")
    if draft and not is_of_settings:
        raise click.UsageError("--draft is for --settings.")
    if is_of_settings:
        # Only here, since it imports the services.
        from relay.cli.documents.settings_schema import (  # noqa: PLC0415  see above
            as_draft_4,
            settings_schema,
        )

        schema = settings_schema()
        show = show_json if as_json else show_document
        show(as_draft_4(schema) if draft == "4" else schema)
    elif event_type:
        show_json(schemas.schema(event_type))
    elif as_json:
        show_json(schemas.titles())
    else:
        show_table(("Type", "What"), list(schemas.titles().items()))
