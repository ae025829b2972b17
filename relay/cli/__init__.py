"""The command line: one file per group of commands, all taking `--config`."""

from relay.cli.main import main

__all__ = ["main"]
