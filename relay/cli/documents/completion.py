"""`relay completion`: what a shell needs to complete our commands."""

import click
from click.shell_completion import ShellComplete, get_completion_class

from relay.cli.main import main

_SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_RELAY_COMPLETE"
"""Where click expects to be asked, as the program is called `relay`."""


@click.command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    """Print the script that lets SHELL complete our commands.

    SHELL is bash, zsh or fish. Sources, services and types are completed, too, out of the
    settings file where you are, or the one of --config or RELAY_CONFIG.
    """
    completer = get_completion_class(shell)
    if completer is None:  # pragma: no cover  click has all three
        raise click.UsageError(f"This release of click can't complete in {shell}.")
    # Not its own `source`: that of bash looks for a bash here, but the script may be for elsewhere.
    click.echo(ShellComplete.source(completer(main, {}, "relay", _VARIABLE)))
