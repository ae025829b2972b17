"""`relay console`: a web page for the people who run the relay."""

import os
from pathlib import Path

import click

from relay.console.deployment import Deployment
from relay.console.server import serve
from relay.observability import logs
from relay.process.command import config_option, run
from relay.settings import load

_NICENESS = 10
"""Less urgent than what does not say so. While somebody opens one page after the other, a receiver
on the same cores waits a fifth less for one."""


@click.command("console")
@config_option
def command(config: Path | None) -> None:
    """Serve a web page of receivers, events and what waits for a person, until SIGTERM."""
    os.nice(_NICENESS)
    settings = load(config)
    logs.configure(style=settings.log.format, level=settings.log.level)
    run(serve(Deployment(settings)))
