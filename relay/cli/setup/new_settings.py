"""A first `relay.toml` and its secret files: what is in them, and how they come to be."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relay.cli.private_file import write_new
from relay.errors import RelayError

_READABLE = 0o666  # what the umask leaves of it
_HEAD = """\
# Written by `relay init`. Every other setting has its default; `relay schema --settings` has them
# all. Secrets are in files of their own, so this one may be shown to others.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSettings:
    """What is written.

    Args:
        broker_url: of RabbitMQ, or where it is kept; "" if only the environment says it.
        outbox: the outbox's directory.
        source: name of the source.
        section: the settings of the source.
        secret_files: their content, by path. Only their owner may read them.
    """

    broker_url: str = field(repr=False)
    outbox: Path
    source: str
    section: Mapping[str, object]
    secret_files: Mapping[Path, str] = field(repr=False)

    def text(self) -> str:
        """Return the settings file.

        Raises:
            RelayError: a path in it is not UTF-8, which TOML must be.
        """
        broker = {"broker": {"urls": [self.broker_url]}} if self.broker_url else {}
        sections: dict[str, Mapping[str, object]] = {
            **broker,
            "outbox": {"directory": str(self.outbox)},
            f"sources.{self.source}": self.section,
        }
        text = _HEAD
        for name, values in sections.items():
            text += f"\n[{name}]\n"
            text += "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())
        try:
            text.encode()
        except UnicodeEncodeError:
            raise RelayError("A path here is not UTF-8; take another directory.") from None
        return text

    def write(self, path: Path) -> list[Path]:
        """Write all files, or none: what is there already stays as it is.

        Args:
            path: of the settings file.

        Returns:
            What was written.

        Raises:
            RelayError: one is there already, or can't be written.
        """
        files: list[tuple[Path, bytes]] = [
            (path, self.text().encode()),
            *[(file, f"{secret}\n".encode()) for file, secret in self.secret_files.items()],
        ]
        for file, _ in files:
            require_absent(file)
        with contextlib.ExitStack() as undo:
            for folder in sorted({file.parent for file in self.secret_files}):
                if not folder.exists():
                    with _saying_why(folder):
                        folder.mkdir(mode=0o700)
                    undo.callback(_remove, folder.rmdir)
            # The settings come last: where they are, all that they refer to is there.
            for file, content in reversed(files):
                with _saying_why(file):
                    if file == path:
                        write_new(file, content, mode=_READABLE)
                    else:
                        write_new(file, content)
                undo.callback(_remove, file.unlink)
            undo.pop_all()
        return [file for file, _ in files]


def _remove(remove: Callable[[], None]) -> None:
    """Remove what was written; that others put something there meanwhile is no error."""
    with contextlib.suppress(OSError):
        remove()


def require_absent(file: Path) -> None:
    """Raise RelayError if there is anything at a path, were it a link to nowhere."""
    with _saying_why(file):
        if file.is_symlink() or file.exists():
            raise _already_there(file)


@contextlib.contextmanager
def _saying_why(file: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise _already_there(file) from error
    except OSError as error:
        raise RelayError(f"{file} can't be written: {error.strerror}. Nothing was kept.") from error


def _already_there(file: Path) -> RelayError:
    return RelayError(
        f"{file} is there already, and stays as it is. Move it away; or write elsewhere, with "
        "--config or another --source, and copy what you need."
    )


def _toml(value: object) -> str:
    """Return a value as TOML has it, a table on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # A JSON string is a TOML string but for one control character.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
        case Mapping():
            return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
        case Sequence():
            return "[" + ", ".join(map(_toml, value)) + "]"
    raise TypeError(type(value).__name__)
