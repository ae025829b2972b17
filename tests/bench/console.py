"""What the console costs the relay that it watches, and how soon it shows a full quarantine.

    python -m tests.bench.console [--rounds N] [--seconds S] [--rate R]

Slices with five open feeds, with a bare queue in their place, and with neither take turns at a
fixed rate; the console runs throughout. Beside the answers stands what CPU each process took, and
how long the relay waited for a core: where both are as without feeds, the feeds slow no answer. A
whole run is written to tests/bench/results/console.{md,json}.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import secrets
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import aio_pika
import aiohttp

from deploy.local.node import PrivateBroker
from deploy.local.private_server import free_port
from relay.console.feed.tap import PAUSE_S, binding
from relay.events.topology import feed_queue, quarantine_exchange
from relay.process import tasks
from tests.bench.harness.bench_harness import OUTBOX, BenchHarness, Candidate
from tests.bench.harness.bound_queue import EXCHANGE
from tests.bench.load import Plan
from tests.bench.report import results
from tests.bench.report.watched import ARMS, FEEDS, NONE, QUEUE, WAITED, WAITING, Found, report
from tests.support.eventually import eventually
from tests.support.servers import process_tree
from tests.support.servers.console import SOURCE
from tests.support.servers.ports import is_taken

RESULTS = Path("tests/bench/results")
_LOOKS = 5
_FRESH_S = 5.5
"""After that the console reads a queue anew, instead of showing what it read before."""
_LEAD_IN_S = 1.0
_READERS = "this benchmark, which reads the feeds or purges the queue"


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
        """Load the relay, by turns as each arm has it."""
        await self._harness.run(self._relay, plan)
        orders = itertools.cycle(itertools.permutations(ARMS))
        for number, order in zip(range(rounds), orders, strict=False):
            print(f"console: round {number + 1} of {rounds}", file=sys.stderr)
            for arm in order:
                async with self._beside(arm):
                    await self._harness.run(self._relay, replace(plan, seconds=_LEAD_IN_S))
                    await self._slice(plan, arm)
                self._weigh()

    def _beside(self, arm: str) -> AbstractAsyncContextManager[None]:
        if arm == NONE:
            return contextlib.nullcontext()
        return _bare_queue(self._harness.url) if arm == QUEUE else self._watching()

    async def _slice(self, plan: Plan, arm: str) -> None:
        before_s = self._cpu_s()
        done = await self._harness.run(self._relay, plan)
        after_s = self._cpu_s()
        self.found.slices[arm].append(done)
        self.found.used[arm].append({name: (after_s[name] - before_s[name]) / done.events * 1e6
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
        return used | {_READERS: time.process_time(), WAITED: waited_s}

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """Keep five feeds open, which are live before the context begins."""
        live = [asyncio.Event() for _ in range(FEEDS)]
        feeds = [asyncio.create_task(self._watch(each)) for each in live]
        for each in live:
            await asyncio.wait_for(each.wait(), 30)
        yield
        for feed in feeds:
            feed.cancel()
        await asyncio.gather(*feeds, return_exceptions=True)

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
            if f"{WAITING:,} waiting" not in page:
                raise SystemExit("The page does not show what waits.")
            self._weigh()

    def _weigh(self) -> None:
        now = process_tree.resident_bytes(self._console.pid)
        self.found.resident_bytes = max(self.found.resident_bytes, now)


@contextlib.asynccontextmanager
async def _bare_queue(url: str) -> AsyncIterator[None]:
    """Keep a queue as a feed's, that nobody takes anything from; it is purged as a feed's is."""
    wanted = feed_queue(secrets.token_hex(8))
    is_over = asyncio.Event()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            wanted.name, exclusive=True, auto_delete=True, arguments=wanted.arguments
        )
        await queue.bind(EXCHANGE, binding({}, {}))

        async def purge() -> None:
            while not await tasks.is_set_within(is_over, PAUSE_S):
                await queue.purge()

        async with asyncio.TaskGroup() as group:
            group.create_task(purge(), name="purge the bare queue")
            yield
            is_over.set()


async def _fill_quarantine(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for first in range(0, WAITING, 500):
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
    return Plan(port=0, seconds=options.seconds, rate=options.rate, keeps_answers=True)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.console")
    parser.add_argument("--rounds", type=int, default=18)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a slice")
    parser.add_argument("--rate", type=float, default=1000.0, help="of events, per second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, PrivateBroker(Path(name) / "broker") as broker:
        results.forget_settings()
        found, about = asyncio.run(_measure(options, broker, Path(name)))
    notes = [f"- {name}: {value}" for name, value in about.items()]
    text = "\n".join([report(found, options.rate), "", *notes, ""])
    print(text)
    if vars(options) == vars(parser.parse_args([])):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "console.md").write_text(text)
        document = {"about": about, **found.document()}
        (RESULTS / "console.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
