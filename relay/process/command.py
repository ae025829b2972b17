"""What every program of ours does: the option --config, exit codes, errors as sentences."""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from relay.errors import RelayError, SettingsError, UnfitLibrary
from relay.process import log_writer

WRONG_SETTINGS = 2  # or unfit libraries: nothing was begun
FAILED = 1
_WRITE_TIMEOUT_S = 1.0

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file; else RELAY_CONFIG, else relay.toml.",
)


class CommandWithErrors(click.Command):
    """A command that ends with a sentence on stderr instead of a traceback when it fails."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and exit with its status if it fails."""
        with exiting_on_errors(self.name or ""):
            return super().invoke(ctx)


@contextlib.contextmanager
def exiting_on_errors(program: str) -> Iterator[None]:
    """Turn an error of ours into a sentence on stderr, after the program's name, and exit."""
    try:
        yield
    except SettingsError as error:
        _exit_with([f"{program}: {problem}" for problem in error.problems], WRONG_SETTINGS)
    except RelayError as error:
        status = WRONG_SETTINGS if isinstance(error, UnfitLibrary) else FAILED
        _exit_with([f"{program}: {error}"], status)


def _exit_with(lines: Sequence[str], status: int) -> NoReturn:
    """Exit with lines on stderr; without them if nobody reads it for a second."""

    def write() -> None:
        for line in lines:
            click.echo(line, err=True)

    log_writer.flush()
    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(_WRITE_TIMEOUT_S)
    if writing.is_alive():
        os._exit(status)  # an ordinary exit would wait for the lock of stderr, too
    sys.exit(status)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run work to its end, on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415  optional
    except ImportError:  # pragma: no cover  installed wherever the tests run
        return asyncio.run(work)
    return uvloop.run(work)
