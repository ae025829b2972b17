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
        it = self.verdict
        if it is None:
            word = "skipped" if self.is_skipped else "FAILED"
            return (self.name, *[""] * 7, f"{word}: {self.problem}")
        broken = ", ".join([kind for kind, found in it.violations().items() if found])
        counts = (self.rounds, it.sent, it.acknowledged, it.delivered + it.quarantined)
        return (
            self.name,
            *[f"{count:,}" for count in (*counts, it.duplicates, len(it.lost))],
            f"{it.longest_outage_s:.1f} s",
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


def rows(played: list[Played]) -> list[tuple[str, ...]]:
    """Return the table, headings first and sums last."""
    verdicts = [it.verdict for it in played if it.verdict]
    sums = (
        sum(it.rounds for it in played),
        sum(it.sent for it in verdicts),
        sum(it.acknowledged for it in verdicts),
        sum(it.delivered + it.quarantined for it in verdicts),
        sum(it.duplicates for it in verdicts),
        sum(len(it.lost) for it in verdicts),
    )
    longest_s = max([it.longest_outage_s for it in verdicts], default=0.0)
    holds = f"{sum(it.holds for it in verdicts)} of {len(played)}"
    total = ("all", *[f"{it:,}" for it in sums], f"{longest_s:.1f} s", holds)
    return [_HEADINGS, *[it.row() for it in played], total]


def write(played: list[Played], *, about: str, seed: int) -> None:
    """Write faults.md and faults.json."""
    headings, *others = rows(played)
    lines = summary.markdown(headings, others)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "faults.md").write_text("\n".join([*lines, "", about]) + "\n")
    found = {"about": about, "seed": seed, "scenarios": [it.as_json() for it in played]}
    (RESULTS / "faults.json").write_text(json.dumps(found, indent=1) + "\n")
