"""`make faults`: every scenario in its long form, with a summary.

    python -m tests.faults.run [--events N | --until N] [--minutes N] [--fresh] [--seed S]
        [--only NAME ...] [--rate R] [--keep DIR] [--results DIR]

With `--events`, N events are acknowledged, shared equally by the scenarios. With `--until`, it
goes on until N are acknowledged in all parts together, and always plays the scenario that has the
fewest. Each run is a part, added to those before; what it played is written after each scenario,
so a run that is cut off keeps it, and another one goes on from there. With `--fresh`, the scenarios
of this run begin anew, so one that failed can be played again once the cause is gone. `--minutes`
says after how many no other scenario begins.

The seed decides the deliveries and all moments drawn by lot; what the machine makes of them is its
own. Writes faults.{json,md} into tests/faults/results; ends with 1 if the invariant was broken.
"""

import argparse
import asyncio
import contextlib
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
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
from tests.faults import parts
from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.parts import Part, Parts
from tests.faults.report import Played
from tests.faults.scenarios import catalogue
from tests.faults.scenarios.scenario import Scenario, Size
from tests.faults.turns import Turns
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
    unplayed = Played(scenario=scenario.name, seed=size.seed)
    if reason := scenario.lacks():
        return replace(unplayed, problem=reason, is_skipped=True)
    rounds = 0
    try:
        node = await asyncio.to_thread(nodes.get, scenario.nodes)
        async with FaultHarness(directory, node, scenario, size) as harness:
            try:
                verdict = await harness.play(advance)
            finally:
                rounds = harness.rounds
    except Exception as error:  # noqa: BLE001  the others are to be played all the same
        directory.with_suffix(".txt").write_text(traceback.format_exc())
        text = str(error).partition("\n")[0][:200]
        return replace(unplayed, rounds=rounds, problem=f"{type(error).__name__}: {text}")
    return Played.of(scenario.name, verdict, seed=size.seed, rounds=rounds)


def _play_all(
    turns: Turns,
    size: Size,
    kept: Parts,
    place: Path,
    progress: Progress,
    *,
    keeps: bool,
    end: float,
) -> None:
    """Play until there is nothing left to play, or the time is over."""
    times: Counter[str] = Counter()
    with _Nodes(place) as nodes:
        while time.monotonic() < end and (turn := turns.following(kept.acknowledged)):
            scenario, events = turn
            number = times[scenario.name]
            times[scenario.name] += 1
            bar = progress.add_task(scenario.name, total=events)

            def advance(acknowledged: int, bar: TaskID = bar) -> None:
                progress.update(bar, completed=acknowledged)

            sized = replace(size, seed=size.seed + number, events=events)
            directory = place / f"{scenario.name}-{number}"
            played = asyncio.run(_play(scenario, sized, nodes, directory, advance))
            kept.add(played)
            progress.remove_task(bar)
            progress.console.print(
                " ".join([played.row()[0].ljust(28), *played.row()[1:]]),
                f"({kept.acknowledged.total():,} in all parts)",
            )
            if not played.has_held:
                turns.leave_out(scenario)
            elif not keeps:
                shutil.rmtree(directory)


@contextlib.contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="All scenarios, with a summary.")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--events", type=int, default=1_000_000, help="to acknowledge in this run")
    amount.add_argument("--until", type=int, help="events acknowledged in all parts together")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument(
        "--fresh", action="store_true", help="forget what was played of these scenarios before"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--rate", type=float, default=600, help="deliveries per second")
    parser.add_argument("--keep", type=Path, help="where journals and logs are left")
    parser.add_argument("--results", type=Path, default=parts.RESULTS)
    return parser.parse_args()


def main() -> int:
    """Play, print and write."""
    options = _options()
    end = time.monotonic() + 60 * options.minutes
    scenarios = summary.chosen(catalogue.ALL, options.only, "scenario")
    size = Size(
        seed=options.seed,
        rounds=_ROUNDS,
        rate=options.rate,
        hold_s=_HOLD_S,
        outage_s=_OUTAGE_S,
        disk_hang_s=_DISK_HANG_S,
    )
    part = Part(
        seed=options.seed,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        commit=parts.commit(),
        rate=options.rate,
        machine=summary.machine(),
    )
    order = [scenario.name for scenario in catalogue.ALL]
    forgotten = {scenario.name for scenario in scenarios} if options.fresh else ()
    kept = Parts(options.results, order=order, forgotten=forgotten)
    kept.begin(part)
    turns = Turns(scenarios, events=options.until or options.events, until=bool(options.until))
    console = Console(stderr=True)
    console.print(f"seed {options.seed}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with _directory(options.keep) as place, Progress(*columns, console=console) as progress:
        _play_all(turns, size, kept, place, progress, keeps=bool(options.keep), end=end)
    headings, *rows = kept.rows()
    summary.show(headings, rows, part.line())
    return 0 if part.played and all(each.is_good for each in part.played) else 1


if __name__ == "__main__":
    sys.exit(main())
