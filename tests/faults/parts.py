"""The parts that a proof is played in: each run adds its own, and all of them are summed up."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.faults import report
from tests.faults.report import Played
from tests.support import summary

RESULTS = Path(__file__).with_name("results")
_TABLE = "faults.md"
_PARTS = "faults.json"
# Results change while a run goes on, and change nothing of it.
_CODE = (".", ":(exclude)tests/*/results/*")


@dataclass(slots=True, kw_only=True)
class Part:
    """What one run played.

    Args:
        seed: of the run; each scenario has one that follows from it.
        date: of its beginning, UTC, as `2026-11-26`.
        commit: of the code, with a `+` if files were changed after it; "" if unknown.
        rate: deliveries per second.
        machine: see `summary.machine`.
        note: what else there is to say, a sentence.
        played: in order.
    """

    seed: int
    date: str
    commit: str
    rate: float
    machine: str
    note: str = ""
    played: list[Played] = field(default_factory=list)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        played = [Played(**each) for each in found.pop("scenarios")]
        return cls(**found, played=played)

    def line(self) -> str:
        """Return it in a line of Markdown."""
        summed = report.total("", self.played)
        names = {each.scenario for each in self.played}
        bad = sum(not each.is_good for each in report.totals(self.played))
        plural = "" if len(names) == 1 else "s"
        return (
            f"- {self.date}, seed {self.seed}, {self.rate:g} deliveries per second, code "
            f"{f'`{self.commit}`' if self.commit else 'not recorded'}; {self.machine}: "
            f"{len(names)} scenario{plural}, {summed.acknowledged:,} acknowledged, "
            f"{summed.lost:,} lost"
            f"{f', {bad} not good' if bad else ''}.{self.note and f' {self.note}'}"
        )

    def text(self) -> str:
        """Return it as JSON, with a line per scenario played."""
        head = {
            "seed": self.seed,
            "date": self.date,
            "commit": self.commit,
            "rate": self.rate,
            "machine": self.machine,
            "note": self.note,
        }
        lines = ",\n  ".join(json.dumps(each.as_json()) for each in self.played)
        return f'{json.dumps(head)[:-1]}, "scenarios": [\n  {lines}\n ]}}'


class Parts:
    """All parts, in a folder that holds them as JSON and their sums as a table.

    Args:
        directory: of both files.
        order: of scenarios in the table.
        forgotten: scenarios that begin anew; both files stay as they are until one is added.
    """

    def __init__(
        self,
        directory: Path = RESULTS,
        *,
        order: Sequence[str] = (),
        forgotten: Collection[str] = (),
    ) -> None:
        self._directory = directory
        self._order = order
        self._parts: list[Part] = []
        if (directory / _PARTS).exists():
            found = json.loads((directory / _PARTS).read_text())
            self._parts = [Part.from_json(part) for part in found["parts"]]
        for part in self._parts:
            part.played = [each for each in part.played if each.scenario not in forgotten]
        self._parts = [part for part in self._parts if part.played]

    def begin(self, part: Part) -> None:
        """Begin another part. It is written once something is added to it."""
        self._parts.append(part)

    def add(self, played: Played) -> None:
        """Add what was played to the last part, and write both files."""
        self._parts[-1].played.append(played)
        texts = ",\n ".join(each.text() for each in self._parts)
        self._directory.mkdir(parents=True, exist_ok=True)
        _replace(self._directory / _PARTS, f'{{"parts": [\n {texts}\n]}}\n')
        headings, *others = self.rows()
        lines = [*summary.markdown(headings, others), "", *[each.line() for each in self._parts]]
        _replace(self._directory / _TABLE, "\n".join(lines) + "\n")

    @property
    def played(self) -> list[Played]:
        return [each for part in self._parts for each in part.played]

    @property
    def acknowledged(self) -> Counter[str]:
        """How many events of each scenario were acknowledged."""
        counts: Counter[str] = Counter()
        for each in self.played:
            counts[each.scenario] += each.acknowledged
        return counts

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table of sums, headings first."""
        return report.rows(report.totals(self.played, self._order))


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all: a run may be cut off at any time."""
    draft = path.with_suffix(path.suffix + ".new")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def commit() -> str:
    """Return the commit of the code, with a `+` if it was changed since; "" without git."""
    try:
        found = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", *_CODE)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found + ("+" if changed else "")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return found.stdout.strip()
