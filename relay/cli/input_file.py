"""The body of a delivery, from a file or from standard input."""

from pathlib import Path

import click

from relay.errors import RelayError


def read_body(path: Path, limit_bytes: int | None = None) -> bytes:
    """Return the content of the file, or of standard input for `-`.

    Raises:
        RelayError: it can't be read, or is longer than limit_bytes, which are those of the ingress.
    """
    try:
        with click.open_file(str(path), "rb") as file:
            content: bytes = file.read(-1 if limit_bytes is None else limit_bytes + 1)
    except OSError as error:
        raise RelayError(f"The file {path} can't be read: {error.strerror}.") from error
    if limit_bytes is not None and len(content) > limit_bytes:
        raise RelayError(
            "It would be refused with 413: it has more bytes than "
            f"ingress.body_limit_bytes = {limit_bytes}."
        )
    return content
