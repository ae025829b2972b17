"""`relay console`: a web page for the people who run the relay."""

import contextlib
import os
from pathlib import Path

import click

from relay.console.deployment import Deployment
from relay.console.server import serve
from relay.observability import logs
from relay.process.command import config_option, run
from relay.settings import load

_NICENESS = 10


@click.command("console")
@config_option
def command(config: Path | None) -> None:
    """Serve a web page of receivers, events and what waits for a person, until SIGTERM."""
    _give_way()
    settings = load(config)
    logs.configure(style=settings.log.format, level=settings.log.level)
    run(serve(Deployment(settings)))


def _give_way() -> None:
    """Let receivers on the same cores go first.

    A nicer process gets less of a core that others want, too. One that is scheduled as a batch,
    moreover, does not interrupt them when it wakes up (https://man7.org/linux/man-pages/man7/sched.7.html);
    an idle one would hardly run at all on a machine that is full.
    """
    os.nice(_NICENESS)
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):  # such as in a sandbox
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
