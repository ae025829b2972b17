"""`make bench`: how fast the relay is, beside what one would write instead, in one run.

    python -m tests.bench.relay [--only PART ...] [--rounds N] [--other NAME=COMMAND ...]
    python -m tests.bench.relay --baseline DIR      # beside an older checkout of this relay

A whole run is written to tests/bench/results/relay.{md,json,svg}; one of some parts, or with other
settings, only printed unless --write says so.
"""

import argparse
import asyncio
import json
import shlex
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path

from deploy.local.broker import open_broker
from tests.bench.harness.bench_harness import (
    BARE,
    CONFIRM,
    OBVIOUS,
    OUTBOX,
    RAW,
    WORKERS,
    BenchHarness,
)
from tests.bench.load import Plan
from tests.bench.measures import (
    backlog,
    baseline,
    large,
    latency,
    publishing,
    sampling,
    starting,
    throughput,
)
from tests.bench.report import plot, results, tables
from tests.bench.report.figures import spread

RESULTS = Path("tests/bench/results")
_LISTENING = (BARE, OBVIOUS, OUTBOX, CONFIRM)
_ARRAYS = ("events:1", "events:10", "events:100")
_ARRAY_CONNECTIONS = 16  # 16 x 100 events are less than the 2,000 that `confirm` mode takes


class Bench:
    """One run: what was asked for, where it is measured, and what was found."""

    def __init__(
        self, options: argparse.Namespace, harness: BenchHarness, found: results.Results
    ) -> None:
        self._options = options
        self._harness = harness
        self._found = found
        self._rounds, self._seconds = options.rounds, options.seconds
        self._plan = Plan(port=0, seconds=options.seconds)
        self._fewer = max(1, (options.rounds + 1) // 2)  # for what has many slices
        self._names = list(_LISTENING)

    async def run(self) -> None:
        """Measure all parts asked for, the quiet ones first."""
        for name in self._options.only:
            await PARTS[name](self)

    async def start(self) -> None:
        """Measure how soon a relay is ready."""
        self._found.starts_s = await starting.measure(self._harness, rounds=self._rounds)

    async def publishing(self) -> None:
        """Measure publishing alone."""
        self._found.publishing = await publishing.measure(
            self._harness, rounds=self._rounds, seconds=self._seconds
        )

    async def _enter(self) -> None:
        await self._harness.enter(_LISTENING)
        for other in self._options.other:
            name, _, command = other.partition("=")
            if name not in self._names:
                await self._harness.enter_command(name, command)
                self._names.append(name)

    async def throughput(self) -> None:
        """Measure what each takes at most."""
        await self._enter()
        self._found.throughput = await throughput.measure(
            self._harness, [*self._names, RAW], self._plan, rounds=self._rounds
        )

    async def stages(self) -> None:
        """Measure where the CPU goes."""
        await self._enter()
        self._found.stages = await sampling.measure(
            self._harness, _LISTENING, seconds=2 * self._seconds
        )

    async def arrays(self) -> None:
        """Measure requests with many events."""
        await self._enter()
        for calls in _ARRAYS:
            self._found.arrays[calls] = await throughput.measure(
                self._harness,
                self._names,
                replace(self._plan, calls=calls, connections=_ARRAY_CONNECTIONS),
                rounds=self._fewer,
            )

    async def latency(self) -> None:
        """Measure how soon each answers, at parts of what it takes at most."""
        if not self._found.throughput:
            await self.throughput()
        rounds = self._found.throughput
        most = {
            name: spread(throughput.column(rounds, name, "acknowledged_rate")).median
            for name in self._names
        }
        self._found.answers = await latency.measure(
            self._harness, most, rounds=self._fewer, seconds=self._seconds
        )

    async def large(self) -> None:
        """Measure small deliveries beside large ones."""
        await self._enter()
        self._found.waits = await large.measure(
            self._harness, (OBVIOUS, OUTBOX), rounds=self._fewer, seconds=2 * self._seconds
        )

    async def workers(self) -> None:
        """Measure two workers beside one."""
        await self._harness.enter((OUTBOX, WORKERS))
        self._found.workers = await throughput.measure(
            self._harness, (OUTBOX, WORKERS), self._plan, rounds=self._rounds
        )

    async def baseline(self) -> None:
        """Measure this relay beside that of another checkout."""
        self._found.baseline = await baseline.measure(
            self._harness, self._options.baseline, self._plan, rounds=self._rounds
        )

    async def backlog(self) -> None:
        """Measure how a backlog weighs and drains."""
        self._found.backlog = await backlog.measure(self._harness, self._options.backlog)


PARTS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "start": Bench.start,
    "publishing": Bench.publishing,
    "throughput": Bench.throughput,
    "stages": Bench.stages,
    "arrays": Bench.arrays,
    "latency": Bench.latency,
    "large": Bench.large,
    "workers": Bench.workers,
    "backlog": Bench.backlog,
    "baseline": Bench.baseline,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.relay")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a slice")
    parser.add_argument("--backlog", type=int, default=1_000_000, metavar="EVENTS")
    parser.add_argument(
        "--other",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another candidate, which listens on 127.0.0.1:{port} and publishes each event to"
        " the topic exchange {exchange} of the broker at {url}; {secret} signs the requests",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="DIR",
        help="a checkout of this relay, with a .venv of its own, to compare with: this part alone",
    )
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}/ in any case")
    options = parser.parse_args()
    if options.only is None:
        options.only = ["baseline"] if options.baseline else [*PARTS][:-1]
    elif "baseline" in options.only and not options.baseline:
        parser.error("to compare with what? --baseline DIR says it")
    return options


async def _measure(options: argparse.Namespace, url: str, directory: Path) -> results.Results:
    async with BenchHarness.opened(url, directory) as harness:
        command = shlex.join(["python", "-m", "tests.bench.relay", *sys.argv[1:]])
        found = results.Results(about=results.about(command, harness.queue.broker_version))
        found.about["settings"] = (
            f"{options.rounds} rounds, slices of {options.seconds:g} s, 64 connections;"
            ' the relay with its defaults, `log.level = "info"`, logging JSON to a file'
        )
        await Bench(options, harness, found).run()
    return found


def _write(found: results.Results, text: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "relay.md").write_text(text)
    (RESULTS / "relay.json").write_text(json.dumps(asdict(found), indent=1) + "\n")
    (RESULTS / tables.PLOT).write_text(plot.svg(latency.lines(found.answers), found.stages))


def main() -> None:
    """Measure, print and write."""
    options = _options()
    with tempfile.TemporaryDirectory() as name, open_broker(Path(name) / "broker") as urls:
        results.forget_settings()
        found = asyncio.run(_measure(options, urls.split(",")[0], Path(name)))
    text = tables.markdown(found)
    print(text)
    is_whole = len(sys.argv) == 1
    if is_whole or options.write:
        _write(found, text)


if __name__ == "__main__":
    main()
