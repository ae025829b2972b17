"""What the console costs the relay that it watches, and how soon it shows a full quarantine.

    python -m tests.bench.console [--rounds N] [--seconds S] [--rate R]

Slices with five open feeds and with none alternate at a fixed rate; the console runs throughout.
Ratios are taken within a round. Beside the answers stands what CPU each process took, and how long
the relay waited for a core: where both are as without feeds, the feeds slow no answer. A whole run
is written to tests/bench/results/console.{md,json}.
"""

import argparse
import asyncio
import contextlib
import json
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aio_pika
import aiohttp

from deploy.local.node import PrivateBroker
from deploy.local.private_server import free_port
from relay.events.topology import quarantine_exchange
from tests.bench.harness.bench_harness import OUTBOX, BenchHarness, Candidate, Slice
from tests.bench.harness.bound_queue import EXCHANGE
from tests.bench.load import Plan
from tests.bench.report import results
from tests.bench.report.figures import ratios, spread
from tests.bench.report.tables import table
from tests.support.eventually import eventually
from tests.support.servers import process_tree
from tests.support.servers.console import SOURCE
from tests.support.servers.ports import is_taken

RESULTS = Path("tests/bench/results")
_FEEDS = 5
_WAITING = 10_000
_LOOKS = 5
_FRESH_S = 5.5
"""After that the console reads a queue anew, instead of showing what it read before."""
_ALLOWED = 0.03
_MAX_PAGE_S = 1.0
_MAX_RESIDENT_BYTES = 150_000_000
_MB = 1_000_000
_ALL, _WAITED = "all together", "the relay, waiting for a core"
_READERS = "this benchmark, which reads the feeds"


@dataclass(slots=True, kw_only=True)
class Found:
    """What one run measured.

    Args:
        without: slices while nobody watched.
        watched: slices with five feeds open, each beside one of `without`.
        used_without, used_watched: of each process in these slices, CPU per event in µs, and how
            long the relay waited for a core.
        rows: that the feeds were sent, or told of as left out.
        pages_s: how long the page of the quarantine took, each time read anew.
        resident_bytes: of the console, at most.
    """

    without: list[Slice] = field(default_factory=list)
    watched: list[Slice] = field(default_factory=list)
    used_without: list[dict[str, float]] = field(default_factory=list)
    used_watched: list[dict[str, float]] = field(default_factory=list)
    rows: int = 0
    pages_s: list[float] = field(default_factory=list)
    resident_bytes: int = 0


class ConsoleBench:
    """A relay under load, and a console that watches it."""

    def __init__(
        self, harness: BenchHarness, broker: PrivateBroker, http: aiohttp.ClientSession
    ) -> None:
        self.found = Found()
        self._harness = harness
        self._broker = broker
        self._http = http
        self._port = free_port()
        self._url = f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start the relay and its console."""
        relay = await self._harness.enter_relay(OUTBOX)
        self._relay = Candidate(name=OUTBOX, pid=relay.process.pid, port=relay.port)
        config = self._harness.directory / "console.toml"
        config.write_text(
            f'[console]\nport = {self._port}\nreceivers = ["{relay.admin_url}"]\n'
            f'[broker]\nurls = ["{self._harness.url}"]\nexchange = "{EXCHANGE}"\n{SOURCE}'
        )
        command = ("-m", "relay", "console", "--config", str(config))
        self._console = await self._harness.spawn(sys.executable, *command)
        await eventually(lambda: is_taken(self._port))

    async def load(self, plan: Plan, rounds: int) -> None:
        """Load the relay, by turns watched and not."""
        await self._harness.run(self._relay, plan)
        for number in range(rounds):
            print(f"console: round {number + 1} of {rounds}", file=sys.stderr)
            for is_watched in (False, True) if number % 2 else (True, False):
                await self._slice(plan, is_watched=is_watched)

    async def _slice(self, plan: Plan, *, is_watched: bool) -> None:
        found = self.found
        if is_watched:
            async with self._watching():
                await self._run(plan, found.watched, found.used_watched)
        else:
            await self._run(plan, found.without, found.used_without)
        self._weigh()

    async def _run(self, plan: Plan, slices: list[Slice], cpu_us: list[dict[str, float]]) -> None:
        before_s = self._cpu_s()
        done = await self._harness.run(self._relay, plan)
        after_s = self._cpu_s()
        slices.append(done)
        cpu_us.append({name: (after_s[name] - before_s[name]) / done.events * 1e6
                       for name in before_s})  # fmt: skip

    def _cpu_s(self) -> dict[str, float]:
        """Return the CPU time that each process has used so far, and how long the relay waited."""
        pids = {
            "the relay": [self._relay.pid],
            "RabbitMQ": self._broker.pids,
            "the console": [self._console.pid],
            "the load generator": [self._harness.load_pid],
        }
        used = {name: sum(map(process_tree.cpu_s, each)) for name, each in pids.items()}
        waited_s = process_tree.waited_s(self._relay.pid)
        return used | {_READERS: time.process_time(), _WAITED: waited_s}

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """Keep five feeds open, which are live before the context begins."""
        live = [asyncio.Event() for _ in range(_FEEDS)]
        tasks = [asyncio.create_task(self._watch(each)) for each in live]
        for each in live:
            await asyncio.wait_for(each.wait(), 30)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, live: asyncio.Event) -> None:
        async with self._http.get(f"{self._url}/feed/stream") as response:
            async for line in response.content:
                if b'"error": ""' in line:
                    live.set()
                self.found.rows += line.count(b'"verdict"')

    async def look(self) -> None:
        """Fill the quarantine, and open its page again and again."""
        await _fill_quarantine(self._harness.url)
        for _ in range(_LOOKS):
            await asyncio.sleep(_FRESH_S)
            began = time.monotonic()
            async with self._http.get(f"{self._url}/triage") as response:
                page = await response.text()
            self.found.pages_s.append(time.monotonic() - began)
            if f"{_WAITING:,} waiting" not in page:
                raise SystemExit("The page does not show what waits.")
            self._weigh()

    def _weigh(self) -> None:
        now = process_tree.resident_bytes(self._console.pid)
        self.found.resident_bytes = max(self.found.resident_bytes, now)


async def _fill_quarantine(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for first in range(0, _WAITING, 500):
            await asyncio.gather(
                *[
                    channel.default_exchange.publish(
                        aio_pika.Message(
                            b'{"text": "not understood"}' * 40,
                            message_id=f"{number:032x}",
                            headers={"source": f"source-{number % 10}", "reason": "not_json"},
                            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                        ),
                        routing_key=quarantine_exchange(EXCHANGE),
                    )
                    for number in range(first, first + 500)
                ]
            )


def report(found: Found, plan: Plan) -> str:
    """Return the figures beside what they should be."""
    cpu = ratios([each.cpu_us for each in found.watched], [each.cpu_us for each in found.without])
    p99 = ratios(
        [each.latency_ms["99"] for each in found.watched],
        [each.latency_ms["99"] for each in found.without],
    )
    pages = spread(found.pages_s)
    feeds = f"at {plan.rate:,.0f} events per second with {_FEEDS} feeds open, of that with none"
    allowed = f"at most {1 + _ALLOWED}"
    lines = [
        (f"CPU of the relay {feeds}", allowed, cpu.text(".3f"), cpu.median <= 1 + _ALLOWED),
        (f"p99 of answers {feeds}", allowed, p99.text(".3f"), p99.median <= 1 + _ALLOWED),
        (
            f"page of {_WAITING:,} quarantined deliveries",
            f"at most {_MAX_PAGE_S:g} s",
            f"{pages.text('.2f')} s",
            pages.median <= _MAX_PAGE_S,
        ),
        (
            "resident memory of the console, at most",
            f"{_MAX_RESIDENT_BYTES / _MB:.0f} MB",
            f"{found.resident_bytes / _MB:.0f} MB",
            found.resident_bytes <= _MAX_RESIDENT_BYTES,
        ),
    ]
    cells = [(*line, "yes" if holds else "**no**") for *line, holds in lines]
    without = spread([each.latency_ms["99"] for each in found.without]).text(".1f")
    watched = spread([each.latency_ms["99"] for each in found.watched]).text(".1f")
    after = f"p99 {without} ms without, {watched} ms with feeds, which showed {found.rows:,} rows."
    reached = table(("what", "to reach", "reached", "holds"), cells)
    return "\n".join([*reached, "", *_by_process(found), "", after])


def _by_process(found: Found) -> list[str]:
    """Return the CPU of each process, without feeds and with them."""
    head = ("µs per event", "without feeds", f"with {_FEEDS} feeds", "more, by round")
    without, watched = map(_with_sum, (found.used_without, found.used_watched))
    lines = []
    for name in without[0]:
        before, after = ([each[name] for each in used] for used in (without, watched))
        more = [b - a for a, b in zip(before, after, strict=True)]
        what = name if name == _WAITED else f"CPU of {name}"
        lines.append((what, *[spread(each).text(".0f") for each in (before, after, more)]))
    return table(head, lines)


def _with_sum(used: list[dict[str, float]]) -> list[dict[str, float]]:
    return [
        {**each, _ALL: sum(us for name, us in each.items() if name != _WAITED)} for each in used
    ]


async def _measure(
    options: argparse.Namespace, broker: PrivateBroker, directory: Path
) -> tuple[Found, dict[str, str]]:
    async with (
        BenchHarness.opened(broker.url, directory) as harness,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http,
    ):
        bench = ConsoleBench(harness, broker, http)
        about = results.about(shlex.join(sys.orig_argv[1:]), harness.queue.broker_version)
        await bench.start()
        await bench.load(_plan(options), options.rounds)
        await bench.look()
        return bench.found, about


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(port=0, seconds=options.seconds, rate=options.rate)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.console")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a slice")
    parser.add_argument("--rate", type=float, default=1000.0, help="of events, per second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, PrivateBroker(Path(name) / "broker") as broker:
        results.forget_settings()
        found, about = asyncio.run(_measure(options, broker, Path(name)))
    notes = [f"- {name}: {value}" for name, value in about.items()]
    text = "\n".join([report(found, _plan(options)), "", *notes, ""])
    print(text)
    if vars(options) == vars(parser.parse_args([])):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "console.md").write_text(text)
        document = {"about": about, **asdict(found)}
        (RESULTS / "console.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
