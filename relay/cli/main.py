"""`relay`: the group of all commands."""

import importlib
from importlib import metadata
from typing import cast

import click

from relay.process import collector, libraries
from relay.process.command import CommandWithErrors, exiting_on_errors

_COMMANDS = (
    "asyncapi",
    "capture",
    "check",
    "completion",
    "console",
    "dead",
    "drift",
    "events",
    "init",
    "inspect",
    "openapi",
    "outbox",
    "quarantine",
    "recent",
    "replay",
    "schema",
    "send",
    "serve",
    "tail",
    "test",
    "top",
    "topology",
    "vendors",
)


_DOCUMENTS = ("asyncapi", "completion", "openapi", "schema")
"""Those of the commands that lie in `documents`."""


class _Commands(CommandWithErrors, click.Group):
    """A group in which each command is the `command` of the module with its name.

    Only the module of the command that runs is imported, so that `serve` starts sooner.
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
        with exiting_on_errors("relay"), libraries.required():
            folder = "documents" if cmd_name in _DOCUMENTS else "commands"
            module = importlib.import_module(f"relay.cli.{folder}.{cmd_name}")
        collector.resume()
        return cast("click.Command", module.command)


def _print_version(
    ctx: click.Context,
    _: click.Parameter,
    value: bool,  # noqa: FBT001  click's signature
) -> None:
    """Say which release this is, and whether it is compiled."""
    if not value or ctx.resilient_parsing:
        return
    compiled = ", compiled" if libraries.is_compiled() else ""
    click.echo(f"relay, version {metadata.version(libraries.DISTRIBUTION)}{compiled}")
    ctx.exit()


@click.group("relay", cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Relay chat-platform webhooks to RabbitMQ, durable before they are acknowledged."""


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
