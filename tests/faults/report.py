"""What scenarios came to: what was counted each time one was played, and the table of the sums."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from tests.faults.harness.invariant import Verdict

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
_OFTEN_EMPTY = {"longest_wait_s", "violations", "problem", "is_skipped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A scenario that was played once, or the sum of several times.

    Args:
        scenario: its name.
        seed: of its deliveries and moments; 0 for a sum.
        rounds: how often the fault struck.
        sent, acknowledged, delivered, quarantined, duplicates: see `Verdict`.
        lost: how many events.
        longest_outage_s, longest_wait_s: see `Verdict`.
        answers: deliveries by status, as text; 0 is no answer.
        violations: the first few of each kind there were; none if the invariant held.
        problem: why there is no verdict, or "".
        is_skipped: whether this machine lacks what it needs.
    """

    scenario: str
    seed: int = 0
    rounds: int = 0
    sent: int = 0
    acknowledged: int = 0
    delivered: int = 0
    quarantined: int = 0
    duplicates: int = 0
    lost: int = 0
    longest_outage_s: float = 0.0
    longest_wait_s: float | None = None
    answers: Mapping[str, int] = field(default_factory=dict)
    violations: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    problem: str = ""
    is_skipped: bool = False

    @classmethod
    def of(cls, scenario: str, verdict: Verdict, *, seed: int, rounds: int) -> Self:
        """Return what a verdict comes to."""
        return cls(
            scenario=scenario,
            seed=seed,
            rounds=rounds,
            sent=verdict.sent,
            acknowledged=verdict.acknowledged,
            delivered=verdict.delivered,
            quarantined=verdict.quarantined,
            duplicates=verdict.duplicates,
            lost=len(verdict.lost),
            longest_outage_s=verdict.longest_outage_s,
            longest_wait_s=verdict.longest_wait_s,
            answers={str(status): count for status, count in verdict.answers.items()},
            violations={kind: found for kind, found in verdict.violations().items() if found},
        )

    @property
    def is_good(self) -> bool:
        return self.is_skipped or not (self.violations or self.problem)

    @property
    def has_held(self) -> bool:
        return self.is_good and not self.is_skipped

    def as_json(self) -> dict[str, Any]:
        """Return all of it, without fields that usually are empty and are."""
        fields = asdict(self)
        return {name: value for name, value in fields.items() if value or name not in _OFTEN_EMPTY}

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        counts = (
            self.rounds,
            self.sent,
            self.acknowledged,
            self.delivered + self.quarantined,
            self.duplicates,
            self.lost,
        )
        measured = (
            *[f"{count:,}" for count in counts],
            f"{self.longest_outage_s:.1f} s",
            "" if self.longest_wait_s is None else f"{self.longest_wait_s:.1f} s",
        )
        return (self.scenario, *(measured if self.sent else [""] * 8), self._verdict())

    def _verdict(self) -> str:
        if self.violations:
            return f"BROKEN: {', '.join(self.violations)}"
        if self.problem:
            return f"{'skipped' if self.is_skipped else 'FAILED'}: {self.problem}"
        return "holds"


def total(scenario: str, played: Sequence[Played]) -> Played:
    """Return the sum, which is good only if all are; what was skipped counts only if all was."""
    took_part = [each for each in played if not each.is_skipped] or played[:1]
    waits_s = [each.longest_wait_s for each in took_part if each.longest_wait_s is not None]
    answers = sum((Counter(each.answers) for each in took_part), Counter[str]())
    kinds = dict.fromkeys(kind for each in took_part for kind in each.violations)
    return Played(
        scenario=scenario,
        rounds=sum(each.rounds for each in took_part),
        sent=sum(each.sent for each in took_part),
        acknowledged=sum(each.acknowledged for each in took_part),
        delivered=sum(each.delivered for each in took_part),
        quarantined=sum(each.quarantined for each in took_part),
        duplicates=sum(each.duplicates for each in took_part),
        lost=sum(each.lost for each in took_part),
        longest_outage_s=max([each.longest_outage_s for each in took_part], default=0.0),
        longest_wait_s=max(waits_s, default=None),
        answers=answers,
        violations={
            kind: [found for each in took_part for found in each.violations.get(kind, ())]
            for kind in kinds
        },
        problem=next((each.problem for each in took_part if each.problem), ""),
        is_skipped=all(each.is_skipped for each in played),
    )


def totals(played: Iterable[Played], order: Sequence[str] = ()) -> list[Played]:
    """Return the sum of each scenario: those of `order` first, then the others as they come."""
    by_name: dict[str, list[Played]] = {name: [] for name in order}
    for each in played:
        by_name.setdefault(each.scenario, []).append(each)
    return [total(name, found) for name, found in by_name.items() if found]


def rows(summed: Sequence[Played]) -> list[tuple[str, ...]]:
    """Return the table, headings first and sums last."""
    *measured, _ = replace(total("all", summed), is_skipped=False).row()
    holds = f"{sum(each.has_held for each in summed)} of {len(summed)}"
    return [_HEADINGS, *[each.row() for each in summed], (*measured, holds)]
