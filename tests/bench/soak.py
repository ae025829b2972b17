"""`make soak`: whether the relay's memory stays flat over two million events.

    python -m tests.bench.soak [--events N]

Written to tests/bench/results/soak.{md,json}, unless it has fewer events. Exit status 1 when memory
does not stay flat.
"""

import argparse
import asyncio
import json
import math
import os
import sys
import tempfile
from pathlib import Path

from deploy.local.broker import open_broker
from tests.bench.harness.bench_harness import OUTBOX, BenchHarness
from tests.bench.load import Plan
from tests.bench.relay import RESULTS
from tests.bench.report import results
from tests.bench.report.tables import table

_EVENTS = 2_000_000
_SLICES = 20
_LIMIT_S = 3_600.0
_ALLOWED = 0.1
_MB = 1_000_000


async def measure(harness: BenchHarness, events: int) -> list[int]:
    """Return the relay's resident memory after each of as many equal parts of the events."""
    await harness.enter((OUTBOX,))
    candidate = harness.candidates[OUTBOX]
    plan = Plan(port=0, seconds=_LIMIT_S, events=math.ceil(events / _SLICES))
    log = harness.directory / OUTBOX / "relay.log"
    resident_bytes = []
    for number in range(_SLICES):
        done = await harness.run(candidate, plan)
        resident_bytes.append(done.resident_bytes)
        await asyncio.to_thread(os.truncate, log, 0)  # it is opened to append
        print(
            f"soak: part {number + 1} of {_SLICES}, {done.events:,} events,"
            f" {done.delivered_rate:,.0f} /s, {done.resident_bytes / _MB:.1f} MB",
            file=sys.stderr,
        )
    return resident_bytes


def growth(resident_bytes: list[int]) -> float:
    """Return how much larger the last is than the one after the first tenth, as a part of it."""
    early = resident_bytes[len(resident_bytes) // 10 - 1]
    return resident_bytes[-1] / early - 1


def _report(resident_bytes: list[int], about: dict[str, str], events: int) -> str:
    early, last = resident_bytes[len(resident_bytes) // 10 - 1], resident_bytes[-1]
    found = growth(resident_bytes)
    cells = (
        f"resident memory after {events:,} events, of that after the first tenth",
        f"within {_ALLOWED:.0%}",
        f"{found:+.1%} ({early / _MB:.1f} to {last / _MB:.1f} MB)",
        "yes" if abs(found) <= _ALLOWED else "**no**",
    )
    lines = table(("what", "to reach", "reached", "holds"), [cells])
    return "\n".join([*lines, "", *[f"- {name}: {value}" for name, value in about.items()], ""])


async def _measure(events: int, url: str, directory: Path) -> tuple[list[int], dict[str, str]]:
    async with BenchHarness.opened(url, directory) as harness:
        about = results.about(
            f"python -m tests.bench.soak --events {events}", harness.queue.broker_version
        )
        return await measure(harness, events), about


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak")
    parser.add_argument("--events", type=int, default=_EVENTS)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as name, open_broker(Path(name) / "broker") as urls:
        results.forget_settings()
        resident_bytes, about = asyncio.run(_measure(events, urls.split(",")[0], Path(name)))
    text = _report(resident_bytes, about, events)
    print(text)
    if events >= _EVENTS:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "soak.md").write_text(text)
        document = {"about": about, "events": events, "resident_bytes": resident_bytes}
        (RESULTS / "soak.json").write_text(json.dumps(document, indent=1) + "\n")
    return int(abs(growth(resident_bytes)) > _ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
