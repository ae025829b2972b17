"""Closed loop: as much as each contestant takes over 64 connections, in alternating slices."""

import sys
from collections.abc import Sequence
from typing import Any

from tests.bench.bench_harness import RAW, Arena, Slice
from tests.bench.load import Plan

Rounds = list[dict[str, Slice]]


async def measure(arena: Arena, names: Sequence[str], plan: Plan, *, rounds: int) -> Rounds:
    """Return what each contestant did in each round; they take turns in who is first."""
    done: Rounds = []
    for number in range(rounds):
        print(f"{plan.calls}: round {number + 1} of {rounds}", file=sys.stderr)
        order = [*names[number % len(names) :], *names[: number % len(names)]]
        done.append({name: await _slice(arena, name, plan) for name in order})
    return done


async def _slice(arena: Arena, name: str, plan: Plan) -> Slice:
    if name == RAW:
        return await arena.publish_raw(seconds=plan.seconds)
    return await arena.run(arena.contestants[name], plan)


def column(rounds: Rounds, name: str, what: str) -> list[Any]:
    """Return one figure of one contestant, by round."""
    return [getattr(it[name], what) for it in rounds]
