"""Open loop: how long an answer takes at a fixed rate, from when the request was due.

The rates are parts of what the same candidate took at most, in the same run.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.harness.bench_harness import BenchHarness
from tests.bench.load import Plan
from tests.bench.report.figures import spread

PARTS = (0.25, 0.5, 0.75, 0.9)
HALF = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """How soon one candidate answered in a few seconds.

    Args:
        name: of the candidate.
        part: of its maximum rate.
        rate: requests per second.
        latency_ms: by percentile.
    """

    name: str
    part: float
    rate: float
    latency_ms: dict[str, float]


async def measure(
    harness: BenchHarness, most: Mapping[str, float], *, rounds: int, seconds: float
) -> list[Answers]:
    """Return how soon candidates answered, at parts of the most they took, by round."""
    answers: list[Answers] = []
    for number in range(rounds):
        for part in PARTS:
            print(f"latency at {part:.0%}: round {number + 1} of {rounds}", file=sys.stderr)
            for name, rate in most.items():
                plan = Plan(port=0, seconds=seconds, rate=rate * part)
                done = await harness.run(harness.candidates[name], plan)
                answers.append(
                    Answers(name=name, part=part, rate=rate * part, latency_ms=done.latency_ms)
                )
    return answers


def by_part(answers: list[Answers], name: str, part: float, percent: str) -> list[float]:
    """Return one percentile of one candidate at one part of its maximum, by round."""
    return [
        answer.latency_ms[percent]
        for answer in answers
        if (answer.name, answer.part) == (name, part)
    ]


def lines(answers: list[Answers]) -> dict[str, list[tuple[float, float]]]:
    """Return (requests per second, 99th percentile in ms) by candidate, medians of the rounds."""
    found: dict[str, list[tuple[float, float]]] = {}
    for name, part, rate in dict.fromkeys(
        (answer.name, answer.part, answer.rate) for answer in answers
    ):
        wait_ms = spread(by_part(answers, name, part, "99")).median
        found.setdefault(name, []).append((rate, wait_ms))
    return found
