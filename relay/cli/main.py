"""`relay`: the group of all commands, and how their errors reach a person."""

import asyncio
import importlib
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

import click

from relay.errors import RelayError, SettingsError

WRONG_SETTINGS = 2
FAILED = 1

_COMMANDS = (
    "asyncapi",
    "check",
    "dead",
    "events",
    "inspect",
    "outbox",
    "quarantine",
    "replay",
    "schema",
    "send",
    "serve",
    "tail",
    "topology",
    "vendors",
)


class Told(click.Command):
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


class _Commands(Told, click.Group):
    """A group whose commands each are the `command` of the module named like them.

    The module is imported when its command is asked for, so that `serve` need not wait for what
    the others use.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(_COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  click's signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        return cast(
            "click.Command", importlib.import_module(f"relay.cli.commands.{cmd_name}").command
        )


@click.group("relay", cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="relay")
def main() -> None:
    """Relay chat-platform webhooks to RabbitMQ, durable before they are acknowledged."""


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file; else RELAY_CONFIG, else relay.toml.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run work to its end, on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415  optional
    except ImportError:  # pragma: no cover  installed wherever the tests run
        return asyncio.run(work)
    return uvloop.run(work)
