"""What was measured beside the feeds of a console, and the tables of it."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.harness.bench_harness import Slice
from tests.bench.report.figures import Estimate, estimate, pooled_percentile, ratios, spread
from tests.bench.report.tables import table

FEEDS = 5
NONE, QUEUE, WATCHED = "without feeds", "with a bare queue", f"with {FEEDS} feeds"
ARMS = (NONE, QUEUE, WATCHED)
"""A bare queue is a feed's without a console: what RabbitMQ takes for any second queue."""

WAITING = 10_000
WAITED = "the relay, waiting for a core"
_ALL = "all together"
_ALLOWED = 0.03
_MAX_PAGE_S = 1.0
_MAX_RESIDENT_BYTES = 150_000_000
_MB = 1_000_000
_COMPARED = {
    f"{FEEDS} feeds, of none": (WATCHED, NONE),
    "a bare queue, of none: RabbitMQ's share": (QUEUE, NONE),
    f"{FEEDS} feeds, of a bare queue: the console's share": (WATCHED, QUEUE),
}
_METHOD = """\
CPU and p99 are of all rounds together: of single rounds, p99 varies more than what is looked for.
Behind them stands where 95 % of the ratios lie when the rounds are drawn by lot, again and again;
behind a median of rounds the least and the greatest. A bare queue has a feed's arguments and
binding, no consumer, and is purged as often: what it costs, RabbitMQ takes for any second queue. A
second of load before each slice, which is not measured, uses up what a feed shows at once."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What one run measured.

    Args:
        slices: of each arm, one a round.
        used: of each process in these slices, CPU per event in µs, and how long the relay waited
            for a core.
        rows: that the feeds were sent.
        pages_s: how long the page of the quarantine took, each time read anew.
        resident_bytes: of the console, at most.
    """

    slices: dict[str, list[Slice]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    used: dict[str, list[dict[str, float]]] = field(
        default_factory=lambda: {arm: [] for arm in ARMS}
    )
    rows: int = 0
    pages_s: list[float] = field(default_factory=list)
    resident_bytes: int = 0

    def cpu(self, arm: str, of: str) -> Estimate:
        """Return the relay's CPU per event, of that in another arm."""
        cpu_us = {name: [each.cpu_us for each in slices] for name, slices in self.slices.items()}
        return estimate(statistics.fmean, cpu_us[arm], cpu_us[of])

    def p99(self, arm: str, of: str) -> Estimate:
        """Return the 99th percentile of all answers, of that in another arm."""
        return estimate(_p99_ms, self.answers_ms(arm), self.answers_ms(of))

    def answers_ms(self, arm: str) -> list[list[float]]:
        """Return how long each answer took, by round."""
        return [each.answers_ms for each in self.slices[arm]]

    def document(self) -> dict[str, Any]:
        """Return all but the single answers, for a JSON file."""
        found = asdict(self)
        for slices in found["slices"].values():
            for each in slices:
                del each["answers_ms"]
        return found


def report(found: Found, rate: float) -> str:
    """Return the figures beside what they should be.

    Args:
        found: what was measured, in at least one round.
        rate: of events, per second.
    """
    cpu, p99 = found.cpu(WATCHED, NONE), found.p99(WATCHED, NONE)
    pages = spread(found.pages_s)
    feeds = f"at {rate:,.0f} events per second with {FEEDS} feeds open, of that with none"
    allowed = f"at most {1 + _ALLOWED}"
    lines = [
        (f"CPU of the relay {feeds}", allowed, cpu.text(".3f"), cpu.value <= 1 + _ALLOWED),
        (f"p99 of answers {feeds}", allowed, p99.text(".3f"), p99.value <= 1 + _ALLOWED),
        (
            f"page of {WAITING:,} quarantined deliveries",
            f"at most {_MAX_PAGE_S:g} s",
            f"{pages.text('.2f')} s",
            pages.median <= _MAX_PAGE_S,
        ),
        (
            "resident memory of the console, at most",
            f"{_MAX_RESIDENT_BYTES / _MB:.0f} MB",
            f"{found.resident_bytes / _MB:.0f} MB",
            found.resident_bytes <= _MAX_RESIDENT_BYTES,
        ),
    ]
    cells = [(*line, "yes" if holds else "**no**") for *line, holds in lines]
    reached = table(("what", "to reach", "reached", "holds"), cells)
    p99s = ", ".join(f"{_p99_ms(found.answers_ms(arm)):.2f} ms {arm}" for arm in ARMS)
    after = f"p99 of all answers: {p99s}. The feeds showed {found.rows:,} rows."
    parts = [reached, _shares(found), _by_process(found), [after], [_METHOD]]
    return "\n\n".join("\n".join(part) for part in parts)


def _shares(found: Found) -> list[str]:
    """Return what of the feeds' cost is RabbitMQ's, and what the console's."""
    head = ("ratio", "CPU of the relay", "p99 of answers", "p99, median of rounds")
    lines = []
    for what, (arm, of) in _COMPARED.items():
        by_round = [[each.latency_ms["99"] for each in found.slices[name]] for name in (arm, of)]
        estimates = found.cpu(arm, of).text(".3f"), found.p99(arm, of).text(".3f")
        lines.append((what, *estimates, ratios(*by_round).text(".3f")))
    return table(head, lines)


def _by_process(found: Found) -> list[str]:
    """Return the CPU of each process in each arm."""
    head = ("µs per event, median of rounds", *ARMS, f"more with {FEEDS} feeds, by round")
    used = {arm: [*map(_with_sum, found.used[arm])] for arm in ARMS}
    lines = []
    for name in used[NONE][0]:
        columns = [[each[name] for each in used[arm]] for arm in ARMS]
        more = [b - a for a, b in zip(columns[0], columns[-1], strict=True)]
        what = name if name == WAITED else f"CPU of {name}"
        lines.append((what, *[spread(each).text(".0f") for each in (*columns, more)]))
    return table(head, lines)


def _with_sum(used: dict[str, float]) -> dict[str, float]:
    return {**used, _ALL: sum(us for name, us in used.items() if name != WAITED)}


def _p99_ms(answers_ms: Sequence[Sequence[float]]) -> float:
    return pooled_percentile(answers_ms, 99)
