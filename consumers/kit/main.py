"""Start a service as a program: settings in, logs set up, run until a signal."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import click
from prometheus_client import CollectorRegistry

from consumers.kit import service
from consumers.kit.consumer import Consumer
from consumers.kit.settings import ConsumerSettings, SectionT, load
from relay import logs
from relay.cli.main import Told, config_option
from relay.cli.main import run as run_to_end


def serve(name: str, kind: type[SectionT], opened: service.Opened[SectionT]) -> None:
    """Run a service as a program until SIGTERM or SIGINT, then exit.

    Args:
        name: of its section of the settings: `[consumers.<name>]`.
        kind: the section's model.
        opened: opens what the service needs, and yields its consumers.
    """

    @click.command(name, cls=Told, help=f"Run the service {name} until SIGTERM or Ctrl-C.")
    @config_option
    def command(config: Path | None) -> None:
        shared, settings = load(name, kind, config)
        logs.configure(style=shared.log.format, level=shared.log.level)
        run_to_end(service.run(name, shared, settings, opened))

    command()


def run(consumer: Consumer) -> None:
    """Run a consumer that needs no settings of its own as a program; see serve."""

    @contextlib.asynccontextmanager
    async def opened(
        _: ConsumerSettings, __: CollectorRegistry
    ) -> AsyncIterator[Sequence[Consumer]]:
        yield [consumer]

    serve(consumer.name, ConsumerSettings, opened)
