"""Large deliveries: how long small ones take while one caller sends large ones, one a second."""

import sys
from collections.abc import Sequence

from tests.bench.harness.bench_harness import BenchHarness
from tests.bench.load import Plan

BACKGROUNDS = {
    "": "nothing else",
    "transcript": "an Acquire transcript of 5 MiB",
    "events:1000": "an `events` array of 1,000",
}
RATE = 500.0  # small requests per second

Waits = dict[str, dict[str, list[float]]]
"""The 99th percentile in ms by candidate and background, by round."""


async def measure(
    harness: BenchHarness, names: Sequence[str], *, rounds: int, seconds: float
) -> Waits:
    """Return how long small requests took meanwhile."""
    waits: Waits = {name: {background: [] for background in BACKGROUNDS} for name in names}
    for number in range(rounds):
        print(f"large deliveries: round {number + 1} of {rounds}", file=sys.stderr)
        for background in BACKGROUNDS:
            plan = Plan(port=0, seconds=seconds, rate=RATE, background=background or None)
            for name in names:
                done = await harness.run(harness.candidates[name], plan)
                waits[name][background].append(done.latency_ms["99"])
    return waits
