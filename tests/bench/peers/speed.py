"""What an event costs, how many a second, and how soon the answer comes, of all systems in turn."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.bench.harness.bench_harness import BenchHarness
from tests.bench.harness.bound_queue import EXCHANGE
from tests.bench.load import Plan
from tests.bench.measures import throughput
from tests.bench.measures.throughput import Rounds
from tests.bench.peers.processes import started
from tests.bench.peers.systems import System

RATES = (200.0, 500.0)
"""Requests per second when latency is measured: less than any of them takes at most."""
_WARM_UP_S = 1.0


@dataclass(slots=True, kw_only=True)
class Speed:
    """What was measured, each round with all systems in it.

    Args:
        broker: its version.
        fastest: as fast as each answers.
        at_rate: at so many requests per second.
    """

    broker: str
    fastest: Rounds = field(default_factory=list)
    at_rate: dict[float, Rounds] = field(default_factory=dict)


async def measure(
    url: str,
    directory: Path,
    systems: Sequence[System],
    *,
    rounds: int,
    seconds: float,
    rates: Sequence[float] = RATES,
    delivery_limit_s: float = 120.0,
) -> Speed:
    """Run all systems at once, and give work to one of them at a time.

    Raises:
        SystemExit: one of them answered otherwise than 200, or did not deliver what it
            acknowledged, once.
    """
    async with (
        BenchHarness.opened(url, directory, delivery_limit_s) as harness,
        contextlib.AsyncExitStack() as stack,
    ):
        for system in systems:
            candidate = await stack.enter_async_context(
                started(system, url=url, exchange=EXCHANGE, directory=directory / system.name)
            )
            harness.candidates[system.name] = candidate
            await harness.run(candidate, Plan(port=0, seconds=min(seconds, _WARM_UP_S)))
        names = [system.name for system in systems]
        plan = Plan(port=0, seconds=seconds)
        found = Speed(broker=harness.queue.broker_version)
        found.fastest = await throughput.measure(harness, names, plan, rounds=rounds)
        for rate in rates:
            found.at_rate[rate] = await throughput.measure(
                harness, names, replace(plan, rate=rate), rounds=rounds
            )
    return found
