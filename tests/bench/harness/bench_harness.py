"""Where everything is measured: one broker, one queue, one load generator, and the candidates.

Only one candidate has work at a time. All of them run throughout, so that none is measured cold.
"""

import asyncio
import contextlib
import json
import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from deploy.local.private_server import free_port
from tests.bench.harness import workload
from tests.bench.harness.bound_queue import EXCHANGE, BoundQueue
from tests.bench.load import Plan, Report
from tests.support.eventually import eventually
from tests.support.relay_process import SECRET, RelayProcess
from tests.support.servers import process_tree
from tests.support.servers.ports import is_taken

BARE, OBVIOUS, OUTBOX, CONFIRM, WORKERS = "bare", "obvious", "outbox", "confirm", "workers"
RAW = "raw"
BEFORE = {OUTBOX: "before", CONFIRM: "before-confirm"}
"""The relay of another checkout, by what it is compared with."""
WHAT = {
    BARE: "a bare aiohttp handler: reads, parses, answers; stores nothing",
    OBVIOUS: "the obvious relay: awaits aio-pika `exchange.publish` with confirms",
    OUTBOX: 'this relay, `ack_after = "outbox"`',
    CONFIRM: 'this relay, `ack_after = "confirm"`',
    WORKERS: 'this relay, `ack_after = "outbox"`, 2 workers',
    RAW: "a raw publisher, frames made beforehand: the broker's limit",
}
_DELIVERY_LIMIT_S = 120.0
_SETTLE_S = 0.2  # the relay removes from its outbox what was confirmed within a twentieth
_WARM_UP = Plan(port=0, seconds=1.0)
_LINE_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A process that listens for webhooks."""

    name: str
    pid: int
    port: int
    publishes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one candidate did in a few seconds.

    Args:
        events: acknowledged, and found in the queue.
        cpu_us: of CPU per event, until the last one was in the queue.
        acknowledged_rate: events per second until the last answer.
        delivered_rate: events per second until the last one was in the queue; of the bare
            handler, which delivers nothing, until the last answer.
        resident_bytes: afterwards.
        latency_ms: by percentile.
        answers_ms: how long each took, if the plan asks for them.
    """

    events: int
    cpu_us: float
    acknowledged_rate: float
    delivered_rate: float
    resident_bytes: int = 0
    latency_ms: dict[str, float] = field(default_factory=dict)
    answers_ms: list[float] = field(default_factory=list)


class BenchHarness:
    """What the measurements share."""

    _load: asyncio.subprocess.Process

    def __init__(
        self, url: str, directory: Path, queue: BoundQueue, stack: contextlib.AsyncExitStack
    ) -> None:
        self.url = url
        self.directory = directory
        self.queue = queue
        self.candidates: dict[str, Candidate] = {}
        self._stack = stack

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(
        cls, url: str, directory: Path, delivery_limit_s: float = _DELIVERY_LIMIT_S
    ) -> AsyncIterator[Self]:
        """Connect to the broker and start the load generator.

        Args:
            url: of the broker.
            directory: for settings, logs and outboxes.
            delivery_limit_s: how long to wait until all that was acknowledged is in the queue.
        """
        async with contextlib.AsyncExitStack() as stack:
            queue = await stack.enter_async_context(BoundQueue.opened(url, delivery_limit_s))
            harness = cls(url, directory, queue, stack)
            harness._load = await harness.spawn(
                *(sys.executable, "-m", "tests.bench.load"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LINE_LIMIT_BYTES,
            )
            yield harness

    @property
    def load_pid(self) -> int:
        """The process id of the load generator."""
        return self._load.pid

    async def spawn(self, *command: str, **options: Any) -> asyncio.subprocess.Process:
        """Start a process that ends with the harness."""
        process = await asyncio.create_subprocess_exec(*command, **options)
        self._stack.push_async_callback(_end, process)
        return process

    async def enter(self, names: Sequence[str]) -> None:
        """Start those candidates that do not run yet, and warm them up."""
        for name in names:
            if name not in self.candidates:
                self.candidates[name] = entered = await self._start(name)
                await self.run(entered, _WARM_UP)

    async def enter_command(self, name: str, command: str) -> None:
        """Start a candidate from outside: `{port}`, `{url}`, `{exchange}`, `{secret}` are told."""
        port = free_port()
        told = command.format(port=port, url=self.url, exchange=EXCHANGE, secret=SECRET)
        with (self.directory / f"{name}.log").open("wb") as log:
            process = await self.spawn(*shlex.split(told), stdout=log, stderr=log)
        await eventually(lambda: is_taken(port))
        self.candidates[name] = entered = Candidate(name=name, pid=process.pid, port=port)
        await self.run(entered, _WARM_UP)

    async def enter_checkout(self, checkout: Path) -> None:
        """Start the relay of another checkout in each mode, and warm it up."""
        for mode, name in BEFORE.items():
            relay = await self.enter_relay(name, checkout, ingress={"ack_after": mode})
            self.candidates[name] = entered = _candidate(name, relay)
            await self.run(entered, _WARM_UP)

    async def _start(self, name: str) -> Candidate:
        match name:
            case "bare" | "obvious":
                port = free_port()
                process = await self.spawn(
                    *(sys.executable, "-m", "tests.bench.candidates.plain_relay"),
                    *(name, str(port), self.url, EXCHANGE),
                )
                await eventually(lambda: is_taken(port))
                return Candidate(name=name, pid=process.pid, port=port, publishes=name != "bare")
            case "confirm":
                ingress: dict[str, Any] = {"ack_after": "confirm"}
            case "workers":
                ingress = {"workers": 2}
            case _:
                ingress = {}
        return _candidate(name, await self.enter_relay(name, ingress=ingress))

    async def enter_relay(
        self, name: str, checkout: Path | None = None, **settings: dict[str, Any]
    ) -> RelayProcess:
        """Start a relay, of this checkout or of another, that ends with the harness."""
        relay = await self.relay(name, checkout, **settings).start()
        self._stack.push_async_callback(_end, relay.process)
        await eventually(lambda: _is_ready(relay))
        return relay

    def relay(
        self, name: str, checkout: Path | None = None, **settings: dict[str, Any]
    ) -> RelayProcess:
        """Return a relay, still to be started, that logs to a file as its users' do."""
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        return RelayProcess(
            directory,
            broker_url=self.url,
            exchange=EXCHANGE,
            vendors=workload.NAMES,
            checkout=checkout,
            **settings,
        )

    async def publish(self, module: str, *arguments: str, limit_s: float = 600.0) -> Slice:
        """Let a process of its own publish to an empty queue; see raw_publisher and publisher.

        Raises:
            SystemExit: what it published is not in the queue, once.
        """
        await self.queue.renew()
        process = await self.spawn(
            *(sys.executable, "-m", f"tests.bench.candidates.{module}"),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise SystemExit(f"{module} failed.")
        used = json.loads(output)
        events = used["events"]
        await self.queue.filled(events, limit_s)
        rate = events / used["wall_s"]
        return Slice(
            events=events,
            cpu_us=used["cpu_s"] / events * 1e6,
            acknowledged_rate=rate,
            delivered_rate=rate,
        )

    async def publish_raw(self, *, seconds: float = 600.0, count: int = 1 << 40) -> Slice:
        """Publish for some seconds, or until so many are confirmed, at the broker's limit."""
        return await self.publish("raw_publisher", self.url, EXCHANGE, str(seconds), str(count))

    async def send(self, plan: Plan) -> Report:
        """Let the load generator carry out a plan.

        Raises:
            SystemExit: an answer was not 200.
        """
        assert self._load.stdin is not None
        assert self._load.stdout is not None
        self._load.stdin.write(json.dumps(asdict(plan)).encode() + b"\n")
        line = await self._load.stdout.readline()
        if not line:
            raise SystemExit("The load generator has ended.")
        report = Report(**json.loads(line))
        if report.failed:
            raise SystemExit(f"Requests failed, by status: {report.failed}.")
        return report

    async def run(self, candidate: Candidate, plan: Plan) -> Slice:
        """Send to a candidate, and see that all it acknowledged is in the queue, once.

        Raises:
            SystemExit: it is not.
        """
        await self.queue.renew()
        cpu_before_s = process_tree.cpu_s(candidate.pid)
        report = await self.send(Plan(**asdict(plan) | {"port": candidate.port}))
        delivered_at = report.ended_at
        if candidate.publishes:
            delivered_at = await self.queue.filled(report.events)
            await asyncio.sleep(_SETTLE_S)
            await self.queue.filled(report.events)
        cpu_s = process_tree.cpu_s(candidate.pid) - cpu_before_s
        return Slice(
            events=report.events,
            cpu_us=cpu_s / report.events * 1e6,
            acknowledged_rate=report.events / (report.ended_at - report.began_at),
            delivered_rate=report.events / (delivered_at - report.began_at),
            resident_bytes=process_tree.resident_bytes(candidate.pid),
            latency_ms=report.latency_ms,
            answers_ms=report.answers_ms,
        )


def _candidate(name: str, relay: RelayProcess) -> Candidate:
    return Candidate(name=name, pid=relay.process.pid, port=relay.port)


async def _is_ready(relay: RelayProcess) -> bool:
    return (await relay.readiness())[0] == 200


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()
