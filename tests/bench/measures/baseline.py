"""This relay beside that of another checkout: as fast as each answers, then at a fixed rate."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.bench.harness.bench_harness import BEFORE, BenchHarness
from tests.bench.load import Plan
from tests.bench.measures import throughput
from tests.bench.measures.throughput import Rounds, column
from tests.bench.report.figures import Spread, ratios, spread

RATE = 500.0
"""Requests per second when latency is measured: less than either takes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What both did, each round with all of them in it.

    Args:
        fastest: as fast as each answers.
        at_rate: at `RATE`.
    """

    fastest: Rounds = field(default_factory=list)
    at_rate: Rounds = field(default_factory=list)

    def ratios(self, mode: str, what: str) -> Spread:
        """Return a figure of this relay by that of the other, taken within each round."""
        now, before = (column(self.fastest, name, what) for name in (mode, BEFORE[mode]))
        return ratios(now, before)

    def latencies_ms(self, mode: str, percent: str) -> Iterator[Spread]:
        """Yield a percentile of the answers of the other relay, then of this one."""
        for name in (BEFORE[mode], mode):
            found = column(self.at_rate, name, "latency_ms")
            yield spread([latency_ms[percent] for latency_ms in found])


async def measure(harness: BenchHarness, checkout: Path, plan: Plan, *, rounds: int) -> Comparison:
    """Compare this relay with that of a checkout, in each mode."""
    await harness.enter(list(BEFORE))
    await harness.enter_checkout(checkout)
    names = [name for pair in BEFORE.items() for name in pair]
    return Comparison(
        fastest=await throughput.measure(harness, names, plan, rounds=rounds),
        at_rate=await throughput.measure(harness, names, replace(plan, rate=RATE), rounds=rounds),
    )
