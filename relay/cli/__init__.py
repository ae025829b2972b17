"""The command line: each command is a module in `commands`; beside it is what they share."""

from relay.cli.main import main

__all__ = ["main"]
