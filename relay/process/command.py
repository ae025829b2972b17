"""What every program of ours does: the option --config, exit codes, errors as sentences."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from relay.errors import RelayError, SettingsError

WRONG_SETTINGS = 2
FAILED = 1

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file; else RELAY_CONFIG, else relay.toml.",
)


class CommandWithErrors(click.Command):
    """A command that ends with a sentence on stderr instead of a traceback when it fails."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and exit with its status if it fails."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            for problem in error.problems:
                click.echo(f"{self.name}: {problem}", err=True)
            sys.exit(WRONG_SETTINGS)
        except RelayError as error:
            click.echo(f"{self.name}: {error}", err=True)
            sys.exit(FAILED)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run work to its end, on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415  optional
    except ImportError:  # pragma: no cover  installed wherever the tests run
        return asyncio.run(work)
    return uvloop.run(work)
