"""What a run of all scenarios came to, as a table and as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.harness.invariant import Verdict
from tests.support import summary

RESULTS = Path("tests/faults/results")

_HEADINGS = (
    "scenario",
    "rounds",
    "sent",
    "acknowledged",
    "delivered",
    "duplicates",
    "lost",
    "longest outage",
    "others waited",
    "verdict",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One scenario of a run.

    Args:
        name: of the scenario.
        rounds: how often the fault struck.
        verdict: None if there is none.
        problem: why there is none.
        is_skipped: whether this machine lacks what it needs.
    """

    name: str
    rounds: int = 0
    verdict: Verdict | None = None
    problem: str = ""
    is_skipped: bool = False

    @property
    def is_good(self) -> bool:
        return self.is_skipped or (self.verdict is not None and self.verdict.holds)

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        verdict = self.verdict
        if verdict is None:
            word = "skipped" if self.is_skipped else "FAILED"
            return (self.name, *[""] * 8, f"{word}: {self.problem}")
        broken = ", ".join([kind for kind, found in verdict.violations().items() if found])
        counts = (
            self.rounds,
            verdict.sent,
            verdict.acknowledged,
            verdict.delivered + verdict.quarantined,
        )
        return (
            self.name,
            *[f"{count:,}" for count in (*counts, verdict.duplicates, len(verdict.lost))],
            f"{verdict.longest_outage_s:.1f} s",
            _seconds(verdict.longest_wait_s),
            f"BROKEN: {broken}" if broken else "holds",
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "scenario": self.name,
            "rounds": self.rounds,
            "verdict": self.verdict.as_json() if self.verdict else None,
            "problem": self.problem,
            "skipped": self.is_skipped,
        }


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def rows(played: list[Played]) -> list[tuple[str, ...]]:
    """Return the table, headings first and sums last."""
    verdicts = [scenario.verdict for scenario in played if scenario.verdict]
    sums = (
        sum(scenario.rounds for scenario in played),
        sum(verdict.sent for verdict in verdicts),
        sum(verdict.acknowledged for verdict in verdicts),
        sum(verdict.delivered + verdict.quarantined for verdict in verdicts),
        sum(verdict.duplicates for verdict in verdicts),
        sum(len(verdict.lost) for verdict in verdicts),
    )
    longest_s = max([verdict.longest_outage_s for verdict in verdicts], default=0.0)
    waits_s = [v.longest_wait_s for v in verdicts if v.longest_wait_s is not None]
    holds = f"{sum(verdict.holds for verdict in verdicts)} of {len(played)}"
    total = (
        "all",
        *[f"{total:,}" for total in sums],
        _seconds(longest_s),
        _seconds(max(waits_s, default=None)),
        holds,
    )
    return [_HEADINGS, *[scenario.row() for scenario in played], total]


def write(played: list[Played], *, about: str, seed: int) -> None:
    """Write faults.md and faults.json."""
    headings, *others = rows(played)
    lines = summary.markdown(headings, others)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "faults.md").write_text("\n".join([*lines, "", about]) + "\n")
    found = {"about": about, "seed": seed, "scenarios": [scenario.as_json() for scenario in played]}
    (RESULTS / "faults.json").write_text(json.dumps(found, indent=1) + "\n")
