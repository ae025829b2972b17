"""`make profile`: where the relay spends its CPU, as a flame graph and as a table.

    python -m tests.bench.profile [--seconds S] [--candidate NAME]

The flame graph goes to .run/profile.svg, to be opened in a browser; the table is printed.
"""

import argparse
import asyncio
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from deploy.local.broker import open_broker
from tests.bench.harness.bench_harness import OUTBOX, WHAT, BenchHarness
from tests.bench.measures import sampling, stages
from tests.bench.report import results

_GRAPH = Path(".run/profile.svg")
_LINES = 30


async def _measure(name: str, seconds: float, url: str, directory: Path) -> None:
    async with BenchHarness.opened(url, directory) as harness:
        await harness.enter((name,))
        candidate = harness.candidates[name]
        _, stacks = await sampling.sample(harness, candidate, seconds=seconds, style="raw")
        _, graph = await sampling.sample(harness, candidate, seconds=seconds, style="flamegraph")
        if stacks is None or graph is None:
            raise SystemExit("There is no profile.")
        _GRAPH.parent.mkdir(exist_ok=True)
        shutil.copy(graph, _GRAPH)
        _show(stacks.read_text().splitlines())


def _show(lines: list[str]) -> None:
    own: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        own[stages.function_of(stack)] += int(count)
    print(f"{'samples':>8}  {'part':>6}  innermost function")
    for function, times in own.most_common(_LINES):
        print(f"{times:8}  {times / own.total():6.1%}  {function}")
    print(f"\nThe flame graph is {_GRAPH}.")


def main() -> None:
    """Sample, print and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profile")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--candidate", choices=[*WHAT][:4], default=OUTBOX)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, open_broker(Path(name) / "broker") as urls:
        results.forget_settings()
        url = urls.split(",")[0]
        asyncio.run(_measure(options.candidate, options.seconds, url, Path(name)))


if __name__ == "__main__":
    main()
