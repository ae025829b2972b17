"""CPU per event by stage: a sampling profiler beside a candidate that has as much as it takes.

Where an event spends its CPU comes from py-spy's samples, and how much that is from what each
thread used, as the kernel counts it, while it was sampled; being sampled costs a few percent more.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.harness.bench_harness import BenchHarness, Candidate
from tests.bench.load import Plan
from tests.bench.measures import stages
from tests.support.servers import process_tree

_PER_SECOND = 200
_LEAD_S = 1.0  # py-spy needs a moment to find its way about the process


async def measure(
    harness: BenchHarness, names: Sequence[str], *, seconds: float
) -> dict[str, dict[str, float]]:
    """Return µs of CPU per event, by candidate and stage; of none where sampling is forbidden."""
    found = {}
    for name in names:
        print(f"stages: {name}", file=sys.stderr)
        candidate = harness.candidates[name]
        before = process_tree.thread_cpu_s(candidate.pid)
        events, path = await sample(harness, candidate, seconds=seconds, style="raw")
        after = process_tree.thread_cpu_s(candidate.pid)
        if path is None:
            return {}
        used_us = {
            thread: (cpu - before.get(thread, 0.0)) * 1e6 / events for thread, cpu in after.items()
        }
        lines = (await asyncio.to_thread(path.read_text)).splitlines()
        found[name] = stages.split(stages.samples(lines), used_us)
    return found


async def sample(
    harness: BenchHarness, candidate: Candidate, *, seconds: float, style: str
) -> tuple[int, Path | None]:
    """Sample a candidate while it is loaded; return its events and where py-spy wrote, if so."""
    path = harness.directory / f"{candidate.name}.{style}"
    spy = await harness.spawn(
        str(Path(sys.executable).with_name("py-spy")),
        *("record", "--pid", str(candidate.pid), "--threads", "--rate", str(_PER_SECOND)),
        *("--duration", f"{seconds:.0f}", "--format", style, "--output", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    done = await harness.run(candidate, Plan(port=0, seconds=seconds + _LEAD_S))
    said, _ = await spy.communicate()
    if spy.returncode:
        print(f"py-spy can't sample here: {said.decode().strip()}", file=sys.stderr)
        return done.events, None
    return done.events, path
