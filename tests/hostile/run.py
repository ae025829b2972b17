"""`make hostile`: every attack for some seconds, beside honest callers, with a summary.

    python -m tests.hostile.run [--only NAME ...] [--seconds S] [--rate R]

Each attack has a relay of its own and is made again and again, while small requests come at a fixed
rate, whether or not they are answered. Where there are two cores or more, all of it is done twice:
on shared cores, then with attackers and honest callers on cores of their own. Writes
tests/hostile/results/hostile.{json,md}; ends with 1 if an attack was answered wrongly or did any
harm.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from deploy.local.broker import PrivateBroker
from tests.bench.load import Plan, Report
from tests.hostile import attacks, report
from tests.hostile.attack import Attack
from tests.hostile.cores import Placement, placements, running_on
from tests.hostile.report import Struck
from tests.hostile.target import Target
from tests.support import summary

_CONNECTIONS = 16


async def _strike(attack: Attack, target: Target, *, seconds: float, rate: float) -> Struck:
    """Make an attack again and again for some seconds."""
    plan = Plan(port=target.port, seconds=seconds, rate=rate, connections=_CONNECTIONS)
    honest = asyncio.create_task(_load(plan))
    statuses: Counter[int] = Counter()
    problems: list[str] = []
    times = 0
    target.reset_peak()
    while not honest.done():
        answered, wrong = await target.strike(attack)
        statuses += answered
        problems += wrong
        times += 1
    load = honest.result()
    return Struck(
        name=attack.name,
        times=times,
        statuses=dict(statuses),
        problems=list(dict.fromkeys(problems)),
        harm=await target.harm(load.events),
        peak_bytes=target.peak_bytes,
        requests=load.requests,
        failed=sum(load.failed.values()),
        latency_ms=load.latency_ms,
    )


async def _load(plan: Plan) -> Report:
    """Let a process of its own send small requests."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(json.dumps(asdict(plan)).encode())
    return Report(**json.loads(output))


def _strike_all(
    chosen: list[Attack], placement: Placement, *, seconds: float, rate: float
) -> list[Struck]:
    """Make all chosen attacks, with a broker of their own."""

    async def strike_each(directory: Path, broker_url: str) -> list[Struck]:
        struck = []
        for attack in chosen:
            place = directory / attack.name
            place.mkdir()
            async with Target(place, broker_url, exchange=f"hostile-{attack.name}") as target:
                with running_on(placement.callers):
                    result = await _strike(attack, target, seconds=seconds, rate=rate)
            sys.stderr.write(" | ".join(result.row()) + "\n")
            struck.append(result)
        return struck

    with (
        tempfile.TemporaryDirectory() as name,
        running_on(placement.relay),
        PrivateBroker(Path(name) / "broker") as node,
    ):
        return asyncio.run(strike_each(Path(name), node.url))


def main() -> int:
    """Attack, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=6, help="for each attack")
    parser.add_argument("--rate", type=float, default=200, help="small requests per second")
    options = parser.parse_args()
    chosen = summary.chosen(attacks.ALL, options.only, "attack")
    found: dict[str, list[Struck]] = {}
    for placement in placements(os.sched_getaffinity(0)):
        sys.stderr.write(f"{placement.name}\n")
        found[placement.name] = _strike_all(
            chosen, placement, seconds=options.seconds, rate=options.rate
        )
    about = (
        f"{options.seconds:g} s of each attack beside {options.rate:g} small requests per second, "
        f"timed from when they were due, on {datetime.now(UTC):%Y-%m-%d}; {summary.machine()}. "
        "Where attackers and honest callers have cores of their own, relay and RabbitMQ have the "
        "others."
    )
    report.write(found, about=about)
    for name, struck in found.items():
        headings, *rows = report.rows(struck)
        summary.show(headings, rows, name)
    sys.stdout.write(f"{about}\n")
    return 0 if all(result.is_good for struck in found.values() for result in struck) else 1


if __name__ == "__main__":
    sys.exit(main())
