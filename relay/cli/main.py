"""`relay`: the group of all commands, and how their errors reach a person."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from relay.errors import RelayError, SettingsError
from relay.settings import Settings, load

WRONG_SETTINGS = 2
FAILED = 1


class _Commands(click.Group):
    """A group whose commands fail with a sentence on stderr instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            for problem in error.problems:
                click.echo(f"relay: {problem}", err=True)
            sys.exit(WRONG_SETTINGS)
        except RelayError as error:
            click.echo(f"relay: {error}", err=True)
            sys.exit(FAILED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="relay")
def main() -> None:
    """Relay chat-platform webhooks to RabbitMQ, durable before they are acknowledged."""


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file; else RELAY_CONFIG, else relay.toml.",
)


@main.command()
@config_option
def serve(config: Path | None) -> None:
    """Run the relay until SIGTERM; SIGHUP reads sources and secrets again."""
    from relay import app, logs  # noqa: PLC0415  the other commands start faster without

    settings = load(config)
    logs.configure(style=settings.log.format, level=settings.log.level)
    run(app.serve(settings, config))


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run work to its end, on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415  optional
    except ImportError:  # pragma: no cover  installed wherever the tests run
        return asyncio.run(work)
    return uvloop.run(work)


__all__ = ["Settings", "config_option", "main", "run"]
