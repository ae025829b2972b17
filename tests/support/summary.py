"""How a long run begins and ends: what was chosen of it, and what it came to, as a table."""

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from rich.console import Console
from rich.table import Table


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_It = TypeVar("_It", bound=_Named)
Row = Sequence[str]
_FILE_WIDTH = 1000


def chosen(known: Iterable[_It], names: Sequence[str], kind: str) -> list[_It]:
    """Return those of names, or all without any; end with a sentence if one is unknown."""
    by_name = {item.name: item for item in known}
    if unknown := set(names) - set(by_name):
        sys.exit(f"There is no {kind} {', '.join(unknown)}; there are {', '.join(by_name)}.")
    return [item for name, item in by_name.items() if not names or name in names]


def machine() -> str:
    """Say what it ran on."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def markdown(headings: Row, rows: Iterable[Row]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in (headings, *rows)]
    return [lines[0], "|" + " --- |" * len(headings), *lines[1:]]


def show(headings: Row, rows: Iterable[Row], *about: str) -> None:
    """Print a table for a person, and below it what there is to say about it.

    To a file its lines are as long as they need to be.
    """
    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else _FILE_WIDTH).print(table, *about)
