"""`make faults`: every scenario in its long form, with a summary.

    python -m tests.faults.run [--events N] [--seed S] [--only NAME ...] [--rate R] [--keep DIR]

N events are acknowledged in all, shared equally by the scenarios. The seed decides the deliveries
and all moments drawn by lot; what the machine makes of them is its own. Writes
tests/faults/results/faults.{json,md}; ends with 1 if the invariant was broken anywhere.
"""

import argparse
import asyncio
import contextlib
import secrets
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deploy.local.broker import PrivateBroker
from tests.faults import report
from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.report import Played
from tests.faults.scenarios import catalogue
from tests.faults.scenarios.scenario import Scenario, Size
from tests.support import summary
from tests.support.servers.cluster import Cluster

_ROUNDS = 3
_HOLD_S = 5.0
_OUTAGE_S = 60.0
_DISK_HANG_S = 30.0


class _Nodes:
    """The brokers of a run, started when a scenario first wants one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = contextlib.ExitStack()
        self._started: dict[int, Any] = {}

    def get(self, count: int) -> Any:
        """Return that many nodes, running."""
        node = self._started.get(count)
        if node is None:
            directory = self._directory / f"broker-{count}"
            kind = PrivateBroker if count == 1 else Cluster
            node = self._stack.enter_context(kind(directory))
            self._started[count] = node
        elif not node.pids:
            node.start()
        return node

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


async def _play(
    scenario: Scenario, size: Size, nodes: _Nodes, directory: Path, advance: Callable[[int], None]
) -> Played:
    """Play one scenario; whatever goes wrong with it is its result."""
    if reason := scenario.lacks():
        return Played(name=scenario.name, problem=reason, is_skipped=True)
    rounds = 0
    try:
        node = await asyncio.to_thread(nodes.get, scenario.nodes)
        async with FaultHarness(directory / scenario.name, node, scenario, size) as harness:
            try:
                verdict = await harness.play(advance)
            finally:
                rounds = harness.rounds
    except Exception as error:  # noqa: BLE001  the others are to be played all the same
        (directory / f"{scenario.name}.txt").write_text(traceback.format_exc())
        text = str(error).partition("\n")[0][:200]
        return Played(name=scenario.name, rounds=rounds, problem=f"{type(error).__name__}: {text}")
    return Played(name=scenario.name, rounds=rounds, verdict=verdict)


def _play_all(
    scenarios: list[Scenario], size: Size, directory: Path, progress: Progress
) -> list[Played]:
    played: list[Played] = []
    total = progress.add_task("all", total=size.events * len(scenarios))
    with _Nodes(directory) as nodes:
        for number, scenario in enumerate(scenarios):
            bar = progress.add_task(scenario.name, total=size.events)

            def advance(acknowledged: int, bar: TaskID = bar, number: int = number) -> None:
                within = min(acknowledged, size.events)
                progress.update(bar, completed=within)
                progress.update(total, completed=number * size.events + within)

            result = asyncio.run(_play(scenario, size, nodes, directory, advance))
            played.append(result)
            progress.remove_task(bar)
            progress.console.print(" ".join([result.row()[0].ljust(28), *result.row()[1:]]))
    return played


@contextlib.contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def main() -> int:
    """Play, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--rate", type=float, default=600, help="deliveries per second")
    parser.add_argument("--keep", type=Path, help="where journals and logs are left")
    options = parser.parse_args()
    scenarios = summary.chosen(catalogue.ALL, options.only, "scenario")
    size = Size(
        seed=options.seed,
        rounds=_ROUNDS,
        events=-(-options.events // len(scenarios)),
        rate=options.rate,
        hold_s=_HOLD_S,
        outage_s=_OUTAGE_S,
        disk_hang_s=_DISK_HANG_S,
    )
    console = Console(stderr=True)
    console.print(f"seed {options.seed}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with _directory(options.keep) as directory, Progress(*columns, console=console) as progress:
        played = _play_all(scenarios, size, directory, progress)
    about = f"Seed {options.seed}, {options.rate:g} deliveries per second; {summary.machine()}."
    report.write(played, about=about, seed=options.seed)
    headings, *rows = report.rows(played)
    summary.show(headings, rows, about)
    return 0 if all(scenario.is_good for scenario in played) else 1


if __name__ == "__main__":
    sys.exit(main())
