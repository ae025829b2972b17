"""`relay serve`: the relay itself."""

from pathlib import Path

import click

from relay import app, logs
from relay.cli.main import config_option, run
from relay.settings import load


@click.command("serve")
@config_option
def command(config: Path | None) -> None:
    """Run the relay until SIGTERM.

    SIGHUP reads sources and secrets again.
    """
    settings = load(config)
    logs.configure(style=settings.log.format, level=settings.log.level)
    run(app.serve(settings, config))
