"""`relay serve` with two workers and RabbitMQ under load, recorded until all is delivered.

Between the deliveries, most of which are good ones, are some that are quarantined, some that
RabbitMQ refuses for their size, so that they are parked, some that are refused, and some that come
twice. A worker is killed, RabbitMQ is stopped, and while it is away, the relay is started anew with
one worker, which moves the events of the other one into its own outbox.
"""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from deploy.local.broker import PrivateBroker
from deploy.local.private_server import free_port
from relay.outbox import layout
from relay.outbox.lock import LOCK_NAME
from tests.faults.harness import deliveries, load
from tests.faults.harness.child import Child
from tests.faults.harness.journal import ACCEPTED, Delivery, Tail
from tests.support.eventually import eventually
from tests.support.relay_process import SECRET, RelayProcess
from tests.support.servers import refusals

WORKERS = 2
_LIMIT_S = 120.0  # under strace, on a busy machine
_SENDERS = 8
_PHASES = 4

Mark = tuple[int, int]


class RelayLoad:
    """A load that is recorded in traces, one for each start of the relay.

    Args:
        place: for all files; `root` in it is the disk that the recordings are of.
        node: the broker; it is stopped and started.
        deliveries: to be sent, at least.
        seed: of the deliveries.
        rate: of them, per second.
    """

    def __init__(
        self, place: Path, node: PrivateBroker, *, deliveries: int, seed: int, rate: float = 60
    ) -> None:
        self.root = place / "root"
        self.traces: list[Path] = []
        self._place, self._node = place, node
        self._deliveries = deliveries
        self._journal = Tail(place / "deliveries.jsonl", Delivery)
        self._port = free_port()
        self._options = load.Options(
            host="127.0.0.1",
            port=self._port,
            journal=str(place / "deliveries.jsonl"),
            seed=seed,
            secret=SECRET,
            rate=rate,
            senders=_SENDERS,
            poison="large",
        )

    async def record(self) -> None:
        """Play it to its end. Raises AssertionError if the relay did not do what it should."""
        self.root.mkdir()
        try:
            await self._play()
        finally:
            if not self._node.pids:
                await asyncio.to_thread(self._node.start)
            await asyncio.to_thread(refusals.limit_size, self._node)

    async def _play(self) -> None:
        await self._limit_size()
        relay = await self._started(WORKERS)
        async with Child("tests.faults.harness.load", self._options, self._place / "load.log"):
            await self._sends(1)
            await self._has_parked(relay)
            _kill_worker(self.root / "outbox", WORKERS - 1)
            await self._sends(2)
            await asyncio.to_thread(self._node.stop)
            await self._sends(3)
            await self._stop(relay)
            relay = await self._started(1)
            await eventually(lambda: relay.lines("orphaned outbox drained"), _LIMIT_S)
            await asyncio.to_thread(self._node.start)
            await self._sends(_PHASES)
        await asyncio.to_thread(refusals.limit_size, self._node)
        await eventually(relay.is_drained, _LIMIT_S)
        await self._stop(relay)
        self._journal.read()

    async def _limit_size(self) -> None:
        await asyncio.to_thread(refusals.limit_size, self._node, deliveries.MAX_INNOCENT_BYTES)

    async def _started(self, workers: int) -> RelayProcess:
        trace = self._place / f"trace-{len(self.traces)}"
        directory = self._place / f"relay-{len(self.traces)}"
        directory.mkdir()
        self.traces.append(trace)
        relay = RelayProcess(
            directory,
            broker_url=self._node.url,
            exchange="powercut",
            program=("-m", "tests.powercut.traced", str(trace)),
            ingress={"port": self._port, "workers": workers, "body_limit_bytes": 32 * 1024},
            outbox={"directory": str(self.root / "outbox")},
            log={"level": "info"},
        )
        return await relay.start()

    async def _stop(self, relay: RelayProcess) -> None:
        """Stop a relay, and wait until its recording is complete."""
        assert await relay.stop() == 0
        end = [str(relay.process.pid), "+++", "exited"]  # strace pads short numbers
        await eventually(lambda: _last_line(self.traces[-1]).split()[:3] == end, _LIMIT_S)

    async def _sends(self, phase: int) -> None:
        """Wait until so many of the phases' deliveries were answered, one way or the other."""
        wanted = self._deliveries * phase // _PHASES
        await eventually(self._has_sent(wanted), _LIMIT_S + 2 * wanted / self._options.rate)

    def _has_sent(self, count: int) -> Callable[[], bool]:
        def has_sent() -> bool:
            self._journal.read()
            return len(self._journal.entries) >= count

        return has_sent

    async def _has_parked(self, relay: RelayProcess) -> None:
        async def has_parked() -> bool:
            return (await relay.readiness())[1]["outbox"]["parked"]["count"] > 0

        await eventually(has_parked, _LIMIT_S)

    # What it came to.

    @property
    def acknowledged(self) -> Counter[str]:
        """How often each id was acknowledged, as the senders know it."""
        return Counter(
            [name for each in self._journal.entries if each.status == ACCEPTED for name in each.ids]
        )

    def judge(self) -> Callable[[list[tuple[str, bytes]]], str]:
        """Return what says what is wrong with the rows of an outbox, or ""."""
        sent = Counter([each.number for each in self._journal.entries])
        marks: dict[str, Mark] = {
            name: (each.number, position)
            for each in self._journal.entries
            for position, name in enumerate(each.ids)
        }

        def judge(bodies: list[tuple[str, bytes]]) -> str:
            found: Counter[Mark] = Counter()
            for name, body in bodies:
                mark = deliveries.mark_in(body)
                if mark is None or marks.get(name, mark) != mark:
                    return "a body is not its event's"
                found[mark] += 1
            if any(count > sent[number] for (number, _), count in found.items()):
                return "an event is there twice"
            return ""

        return judge


def _kill_worker(outbox: Path, worker: int) -> None:
    """Kill the worker that has an outbox; the relay starts another."""
    lock = layout.directory_of(outbox, worker) / LOCK_NAME
    os.kill(int(lock.read_text()), signal.SIGKILL)


def _last_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_bytes()[-200:].decode().strip().rpartition("\n")[2]
    return ""
