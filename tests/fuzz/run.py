"""`make fuzz`: every target under atheris, one after the other, with a summary.

    python -m tests.fuzz.run [--only TARGET ...] [--executions N] [--seconds S] [--seed S] [--write]

Each target gets at most N executions and S seconds, whichever it comes to first, and stops at its
first finding, which is left in tests/fuzz/found/TARGET/ and so is a test from then on. Ends with 1
if there was any. The seed decides what is tried, as far as the targets end by executions.
"""

import argparse
import re
import secrets
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tests.fuzz import mutation
from tests.fuzz.targets import ALL, FOUND, Target
from tests.support import summary

RESULTS = Path("tests/fuzz/results.md")

_MAX_INPUT_BYTES = 8_192  # of one input; the longest seed has 3,272
_MAX_RUN_S = 10  # an input that takes longer is a finding
_EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
_COVERED = re.compile(r"cov: (\d+)")
_HEADINGS = ("target", "executions", "seconds", "edges", "findings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a target is done: `executions` or `seconds`, whichever comes first; and its seed."""

    executions: int
    seconds: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzed:
    """What fuzzing a target came to; `edges` are those of relay and pamqp that were reached."""

    name: str
    executions: int
    seconds: float
    edges: int
    findings: int

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        counts = (self.executions, round(self.seconds), self.edges, self.findings)
        return (self.name, *[f"{count:,}" for count in counts])


def _fuzz(target: Target, limits: Limits, directory: Path) -> tuple[Fuzzed, str]:
    """Fuzz one target; return the result and what atheris printed."""
    corpus, words, found = directory / target.name, directory / "words", FOUND / target.name
    for path in (corpus, found):
        path.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"{number:03}").write_bytes(seed)
    words.write_text("".join(f'"{name}"\n' for name in mutation.names() if name.isascii()))
    before = target.found()
    options = {
        "runs": limits.executions,
        "max_total_time": limits.seconds,
        "seed": limits.seed,
        "dict": words,
        "max_len": _MAX_INPUT_BYTES,
        "mutate_depth": 2,  # a change of a document is a large one
        "timeout": _MAX_RUN_S,
        "artifact_prefix": f"{found}/",
        "print_final_stats": 1,
    }
    command = [sys.executable, "-m", "tests.fuzz.child", target.name, str(corpus)]
    started = time.monotonic()
    ended = subprocess.run(
        [*command, *[f"-{name}={value}" for name, value in options.items()]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = time.monotonic() - started
    found_now = len(target.found()) - len(before)
    if not target.found():
        found.rmdir()
    if ended.returncode and not found_now:
        raise RuntimeError(f"{target.name} ended with {ended.returncode}:\n{ended.stdout[-2_000:]}")
    executions = int(_EXECUTED.findall(ended.stdout)[-1])
    edges = max(map(int, _COVERED.findall(ended.stdout)), default=0)
    fuzzed = Fuzzed(
        name=target.name, executions=executions, seconds=seconds, edges=edges, findings=found_now
    )
    return fuzzed, ended.stdout


def _rows(fuzzed: list[Fuzzed]) -> list[tuple[str, ...]]:
    total = Fuzzed(
        name="all",
        executions=sum(result.executions for result in fuzzed),
        seconds=sum(result.seconds for result in fuzzed),
        edges=0,
        findings=sum(result.findings for result in fuzzed),
    ).row()
    return [*[result.row() for result in fuzzed], (*total[:3], "", total[4])]


def _write(fuzzed: list[Fuzzed]) -> None:
    lines = summary.markdown(_HEADINGS, _rows(fuzzed))
    command = shlex.join(["python", "-m", "tests.fuzz.run", *sys.argv[1:]])
    about = f"`{command}` on {datetime.now(UTC):%Y-%m-%d}; one of {summary.machine()}."
    RESULTS.write_text("\n".join([*lines, "", about]) + "\n")


def main() -> int:
    """Fuzz, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="TARGET")
    parser.add_argument("--executions", type=int, default=2_000_000, help="of each target")
    parser.add_argument("--seconds", type=int, default=120, help="for each target")
    parser.add_argument("--seed", type=int, default=1 + secrets.randbelow(1_000_000))
    parser.add_argument("--write", action="store_true", help=f"the table into {RESULTS}")
    options = parser.parse_args()
    limits = Limits(executions=options.executions, seconds=options.seconds, seed=options.seed)
    console = Console()
    console.print(f"seed {limits.seed}")
    fuzzed = []
    with tempfile.TemporaryDirectory() as directory:
        for target in summary.chosen(ALL, options.only, "target"):
            result, printed = _fuzz(target, limits, Path(directory))
            fuzzed.append(result)
            console.print(" ".join(result.row()), highlight=False)
            if result.findings:
                console.print(printed[-4_000:], markup=False, highlight=False)
    summary.show(_HEADINGS, _rows(fuzzed))
    if options.write:
        _write(fuzzed)
    return 1 if any(result.findings for result in fuzzed) else 0


if __name__ == "__main__":
    sys.exit(main())
