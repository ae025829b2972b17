"""Closed loop: as much as each candidate takes over 64 connections, in alternating slices."""

import sys
from collections.abc import Sequence
from typing import Any

from tests.bench.harness.bench_harness import RAW, BenchHarness, Slice
from tests.bench.load import Plan

Rounds = list[dict[str, Slice]]


async def measure(
    harness: BenchHarness, names: Sequence[str], plan: Plan, *, rounds: int
) -> Rounds:
    """Return what each candidate did in each round; they take turns in who is first."""
    done: Rounds = []
    for number in range(rounds):
        print(f"{plan.calls}: round {number + 1} of {rounds}", file=sys.stderr)
        order = [*names[number % len(names) :], *names[: number % len(names)]]
        done.append({name: await _slice(harness, name, plan) for name in order})
    return done


async def _slice(harness: BenchHarness, name: str, plan: Plan) -> Slice:
    if name == RAW:
        return await harness.publish_raw(seconds=plan.seconds)
    return await harness.run(harness.candidates[name], plan)


def column(rounds: Rounds, name: str, what: str) -> list[Any]:
    """Return one figure of one candidate, by round."""
    return [getattr(each_round[name], what) for each_round in rounds]
