"""Start a service as a program: settings in, logs set up, run until a signal."""

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import click
from prometheus_client import CollectorRegistry

from consumers.kit.consumer import Consumer
from consumers.kit.service import Opened, run_service
from consumers.kit.settings import ConsumerSettings, SectionT, load
from relay.observability import logs
from relay.process.command import CommandWithErrors, config_option
from relay.process.command import run as run_program
from relay.process.forced_exit import exit_soon


def serve(name: str, kind: type[SectionT], opened: Opened[SectionT]) -> None:
    """Run a service as a program until SIGTERM or SIGINT, then exit.

    Args:
        name: of its section of the settings: `[consumers.<name>]`.
        kind: the section's model.
        opened: opens what the service needs, and yields its consumers.
    """

    @click.command(
        name,
        cls=CommandWithErrors,
        context_settings={"help_option_names": ["-h", "--help"]},
        help=f"Run the service {name} until SIGTERM or Ctrl-C.",
    )
    @config_option
    def command(config: Path | None) -> None:
        shared, settings = load(name, kind, config)
        logs.configure(style=shared.log.format, level=shared.log.level)
        os.umask(0o077)  # a database of events holds what customers wrote
        try:
            run_program(run_service(name, shared, settings, opened))
        finally:
            exit_soon()

    command()


def run(consumer: Consumer) -> None:
    """Run a consumer that needs no settings of its own as a program; see serve."""

    @contextlib.asynccontextmanager
    async def opened(
        _: ConsumerSettings, __: CollectorRegistry
    ) -> AsyncIterator[Sequence[Consumer]]:
        yield [consumer]

    serve(consumer.name, ConsumerSettings, opened)
