"""How commands print: for a person on a terminal, plain and stable in a pipe, JSON for a program.

All output is escaped: what a stranger wrote in a chat must not control the terminal.
"""

import json
import sys
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

_CONSOLE = Console()


def is_terminal() -> bool:
    """Return whether a person reads the output."""
    return sys.stdout.isatty()


def printable(text: str, *, keep: str = "") -> str:
    """Return text with its invisible characters escaped as in JSON, except for those in keep."""
    return "".join([c if c.isprintable() or c in keep else json.dumps(c)[1:-1] for c in text])


def shortened(text: str, max_characters: int) -> str:
    """Return text with at most so many characters; "…" says that it was cut."""
    return text if len(text) <= max_characters else text[: max_characters - 1] + "…"


def show_json(value: object) -> None:
    """Print value as JSON on one line. Integers of any size stay exact."""
    click.echo(json.dumps(value))


def show_document(value: object) -> None:
    """Print value as JSON on many lines, in colour on a terminal."""
    text = printable(json.dumps(value, indent=2, ensure_ascii=False), keep="\n")
    if is_terminal():
        _CONSOLE.print(JSONHighlighter()(text), soft_wrap=True)
    else:
        click.echo(text)


def show_row(*cells: str, styles: Sequence[str] = ()) -> None:
    """Print one line: its cells have styles on a terminal, and tabs between them in a pipe."""
    escaped = [printable(cell) for cell in cells]
    if is_terminal():
        styled = zip(escaped, [*styles, *[""] * len(cells)], strict=False)
        _CONSOLE.print(Text("  ").join(Text(*cell) for cell in styled), soft_wrap=True)
    else:
        click.echo("\t".join(escaped))


def show_table(headings: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table on a terminal; in a pipe only its rows, as `show_row` does. None is blank."""
    written = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not is_terminal():
        for cells in written:
            show_row(*cells)
        return
    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
        column.no_wrap = column.header == "ID"  # ids are copied
    for cells in written:
        table.add_row(*[Text(printable(cell)) for cell in cells])
    _CONSOLE.print(table)
