"""`relay console`: a web page for the people who run the relay."""

from pathlib import Path

import click

from relay.console.deployment import Deployment
from relay.console.server import serve
from relay.observability import logs
from relay.process.command import config_option, run
from relay.settings import load


@click.command("console")
@config_option
def command(config: Path | None) -> None:
    """Serve a web page of receivers, events and what waits for a person, until SIGTERM."""
    settings = load(config)
    logs.configure(style=settings.log.format, level=settings.log.level)
    run(serve(Deployment(settings)))
