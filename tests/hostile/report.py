"""What a run of all attacks came to, as a table and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.hostile.attack import CUT
from tests.hostile.target import MAX_BYTES
from tests.support import summary

RESULTS = Path("tests/hostile/results")

_HEADINGS = (
    "attack",
    "times",
    "statuses",
    "peak memory",
    "small requests",
    "refused",
    "p50",
    "p99",
    "verdict",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """One attack of a run.

    Args:
        name: of the attack.
        times: how often it was made.
        statuses: of its answers, and how many had each.
        problems: what it was answered that should not have been.
        harm: what was wrong with the relay afterwards.
        peak_bytes: the most memory the relay had.
        requests: small ones answered 200 meanwhile.
        failed: small ones that were not.
        latency_ms: of the small ones, by percentile, from when they were due.
    """

    name: str
    times: int
    statuses: Mapping[int, int]
    problems: Sequence[str]
    harm: Sequence[str]
    peak_bytes: int
    requests: int
    failed: int
    latency_ms: Mapping[str, float]

    @property
    def is_good(self) -> bool:
        return not self.problems and not self.harm and self.peak_bytes < MAX_BYTES

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        statuses = [
            f"{_word(status)}: {count:,}" for status, count in sorted(self.statuses.items())
        ]
        return (
            self.name,
            str(self.times),
            ", ".join(statuses),
            f"{self.peak_bytes / 2**20:.0f} MiB",
            f"{self.requests:,}",
            f"{self.failed:,}",
            f"{self.latency_ms['50']:.1f} ms",
            f"{self.latency_ms['99']:.1f} ms",
            self._verdict(),
        )

    def _verdict(self) -> str:
        if self.harm:
            return f"HARMED: {self.harm[0]}"
        if self.problems:
            return f"WRONG: {self.problems[0]}"
        return "healthy" if self.is_good else "TOO LARGE"


def _word(status: int) -> str:
    return "none" if status == CUT else str(status)


def rows(struck: Sequence[Struck]) -> list[tuple[str, ...]]:
    """Return the table, headings first."""
    return [_HEADINGS, *[result.row() for result in struck]]


def write(found: Mapping[str, Sequence[Struck]], *, about: str, folder: Path = RESULTS) -> None:
    """Write hostile.md and hostile.json.

    Args:
        found: what attacks came to, by placement.
        about: how all were made.
        folder: where to write.
    """
    lines = []
    for placement, struck in found.items():
        headings, *others = rows(struck)
        lines += [f"## {placement}", "", *summary.markdown(headings, others), ""]
    folder.mkdir(exist_ok=True)
    (folder / "hostile.md").write_text("\n".join([*lines, about]) + "\n")
    attacks = {placement: list(map(asdict, struck)) for placement, struck in found.items()}
    document = {"about": about, "attacks": attacks}
    (folder / "hostile.json").write_text(json.dumps(document, indent=1) + "\n")
