"""`relay outbox`: what waits on this machine's disk, whether a relay runs or not."""

from pathlib import Path

import click

from relay import outbox_stats
from relay.cli.main import config_option, json_option
from relay.cli.output import show_json, show_table
from relay.settings import load


@click.command("outbox")
@config_option
@json_option
def command(config: Path | None, *, as_json: bool) -> None:
    """Show what waits in the outbox."""
    settings = load(config).outbox
    stats, keys = outbox_stats.inspect(settings.directory, settings.max_bytes)
    summary: dict[str, object] = {
        "messages": stats.depth,
        "bytes": stats.used_bytes,
        "max_bytes": stats.max_bytes,
        "oldest_age_s": round(outbox_stats.age_s(stats), 3),
    }
    if as_json:
        show_json(summary | {"routing_keys": dict(keys)})
    else:
        show_table(("Outbox", str(settings.directory)), summary.items())
        show_table(("Routing key", "Messages"), keys)
