"""`relay test`: payloads in a folder, each held against what is expected of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from relay.cli import expectation
from relay.cli.completing import complete_source
from relay.cli.dry_run import payloads_in
from relay.cli.expectation import Difference
from relay.cli.input_file import read_body
from relay.cli.main import json_option
from relay.cli.named_source import named_source
from relay.cli.output import shortened, show_json, show_row
from relay.configured import sources_of
from relay.errors import RelayError
from relay.ingress.processing import Source
from relay.process.command import config_option
from relay.settings import load

_MAX_DIFFERENCES = 20
"""Shown of one payload; a program gets all."""
_MAX_SHOWN_CHARACTERS = 200
_STYLES = {"passed": "green", "written": "yellow", "failed": "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What became of the test of a payload.

    Args:
        file: name of the payload, in the folder.
        verdict: passed, failed or written.
        problem: why it failed, or what to do; "" if the differences say so.
        differences: from what is expected.
    """

    file: str
    verdict: str
    problem: str = ""
    differences: Sequence[Difference] = ()


@click.command("test")
@config_option
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--source",
    "source_name",
    metavar="NAME",
    shell_complete=complete_source,
    help="Where they come in; else the source with the folder's name, or the only one there is.",
)
@click.option("--write", is_flag=True, help="Write the expectations that are missing, to review.")
@json_option
def command(
    config: Path | None, folder: Path, source_name: str | None, *, write: bool, as_json: bool
) -> None:
    """Test what becomes of payloads.

    Each NAME.json in FOLDER and below, or NAME.txt if it is no JSON, is held against
    NAME.expected.json: routing key, type, time and data of its events, or why it is quarantined.
    It is taken as authenticated. Nothing is stored or sent.
    """
    settings = load(config)
    source = _source(sources_of(settings), source_name, folder)
    payloads = payloads_in(folder)
    results = [
        _test(path, folder, source, settings.ingress.body_limit_bytes, must_write=write)
        for path in payloads
    ]
    results += _left_over(folder, payloads)
    if as_json:
        show_json([_described(result) for result in results])
    else:
        for result in results:
            _show(result)
    failed = sum(result.verdict == "failed" for result in results)
    if failed:
        raise RelayError(f"{failed} of {len(results)} failed.")


def _source(sources: Mapping[str, Source], name: str | None, folder: Path) -> Source:
    chosen = name or folder.resolve().name
    if name is None and chosen not in sources:
        if len(sources) == 1:
            return next(iter(sources.values()))
        known = ", ".join(sources)
        raise RelayError(f"No source is called {chosen!r}; name one with --source, of {known}.")
    return named_source(sources, chosen)


def _test(
    path: Path, folder: Path, source: Source, limit_bytes: int, *, must_write: bool
) -> _Result:
    file, expected_path = str(path.relative_to(folder)), expectation.path_of(path)
    try:
        body = read_body(path, limit_bytes)
        if expected_path.is_file():
            expected = expectation.read(expected_path)
            found = expectation.differences(body, expected, source)
            return _Result(file=file, verdict="failed" if found else "passed", differences=found)
        if must_write:
            _write(expected_path, expectation.written(body, source))
            return _Result(file=file, verdict="written", problem=f"{expected_path.name}: review it")
    except RelayError as error:
        return _Result(file=file, verdict="failed", problem=str(error))
    missing = f"There is no {expected_path.name}; --write makes one, for you to review."
    return _Result(file=file, verdict="failed", problem=missing)


def _write(path: Path, expected: Mapping[str, object]) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(expected, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise RelayError(f"{path.name} can't be written: {error.strerror}.") from error


def _left_over(folder: Path, payloads: Sequence[Path]) -> list[_Result]:
    """Return a failure for each expectation that belongs to no payload."""
    expected = set(map(expectation.path_of, payloads))
    return [
        _Result(file=str(path.relative_to(folder)), verdict="failed", problem="It has no payload.")
        for path in sorted(folder.rglob("*.expected.json"))
        if path not in expected
    ]


def _described(result: _Result) -> dict[str, object]:
    differences = [difference._asdict() for difference in result.differences]
    return {
        "file": result.file,
        "verdict": result.verdict,
        "problem": result.problem,
        "differences": differences,
    }


def _show(result: _Result) -> None:
    cells = [result.verdict, result.file, *([result.problem] if result.problem else [])]
    show_row(*cells, styles=(_STYLES[result.verdict],))
    for difference in result.differences[:_MAX_DIFFERENCES]:
        expected = f"expected {shortened(difference.expected, _MAX_SHOWN_CHARACTERS)}"
        found = f"found {shortened(difference.found, _MAX_SHOWN_CHARACTERS)}"
        row = ("", difference.pointer or "/", expected, found)
        show_row(*row, styles=("", "cyan", "green", "red"))
    if len(result.differences) > _MAX_DIFFERENCES:
        show_row("", f"and {len(result.differences) - _MAX_DIFFERENCES} more")
