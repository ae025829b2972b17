"""The body of a delivery, from a file or from standard input."""

from pathlib import Path

import click

from relay.errors import RelayError


def read_body(path: Path) -> bytes:
    """Return the content of the file, or of standard input for `-`.

    Raises:
        RelayError: it can't be read.
    """
    try:
        with click.open_file(str(path), "rb") as file:
            content: bytes = file.read()
            return content
    except OSError as error:
        raise RelayError(f"The file {path} can't be read: {error.strerror}.") from error
