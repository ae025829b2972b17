"""A backlog: what it weighs while the broker is away, and how fast it goes once it is back."""

import asyncio
import itertools
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.node import url_of
from deploy.local.private_server import free_port
from relay.outbox.outbox import Outbox
from tests.bench.harness import workload
from tests.bench.harness.bench_harness import BenchHarness
from tests.support.eventually import eventually
from tests.support.servers import process_tree

_BATCH = 500
_RAW_PART = 4  # enough to know its rate by
_OUTBOX_BYTES = 100 << 30
_WATCH_S = 0.1
_AWAY_S = 5.0
_DRAIN_LIMIT_S = 1_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What a backlog did.

    Args:
        events: how many waited.
        waiting_bytes: the relay's resident memory at most while it could not reach the broker.
        draining_bytes: the same while they went out.
        drain_rate: events per second, from ready to the last one in the queue.
        raw_rates: of a raw publisher, of a quarter as many before and a quarter as many after.
    """

    events: int
    waiting_bytes: int
    draining_bytes: int
    drain_rate: float
    raw_rates: tuple[float, float]

    @property
    def of_raw(self) -> float:
        """The relay's rate, of the raw publisher's."""
        raw_s = sum(1 / rate for rate in self.raw_rates) / 2
        return self.drain_rate * raw_s


async def measure(harness: BenchHarness, events: int) -> Backlog:
    """Fill an outbox while no relay runs; start one without a broker, then one with it."""
    _say(f"filling an outbox with {events:,} events")
    relay = harness.relay("backlog", outbox={"max_bytes": _OUTBOX_BYTES})
    sections = {name: dict(values) for name, values in relay.sections.items()}
    await fill(Path(sections["outbox"]["directory"]), events)
    _say("publishing some of them raw")
    before = await harness.publish_raw(count=events // _RAW_PART)
    _say("waiting without a broker")
    relay.write_config(sections | {"broker": {"urls": [url_of(free_port())]}})
    async with relay:
        waiting_bytes = await _most_resident(relay.process.pid, asyncio.sleep(_AWAY_S))
    _say("draining")
    relay.write_config(sections)
    await harness.queue.renew()
    async with relay:
        began_at = time.monotonic()
        drained = harness.queue.filled(events, _DRAIN_LIMIT_S, poll_s=_WATCH_S)
        draining_bytes = await _most_resident(relay.process.pid, drained)
        drain_rate = events / (time.monotonic() - began_at)
        await eventually(relay.is_drained)
        await harness.queue.filled(events)
    _say("publishing some of them raw")
    after = await harness.publish_raw(count=events // _RAW_PART)
    return Backlog(
        events=events,
        waiting_bytes=waiting_bytes,
        draining_bytes=draining_bytes,
        drain_rate=drain_rate,
        raw_rates=(before.delivered_rate, after.delivered_rate),
    )


async def fill(directory: Path, events: int) -> None:
    """Fill an outbox that no relay uses."""
    outbox = Outbox(directory=directory, max_bytes=_OUTBOX_BYTES, committed=asyncio.Event())
    await outbox.open()
    messages = itertools.cycle(workload.messages())
    for start in range(0, events, _BATCH):
        count = min(_BATCH, events - start)
        await outbox.append(list(itertools.islice(messages, count)))
    await outbox.close()


async def _most_resident(pid: int, done: Coroutine[Any, Any, object]) -> int:
    """Return the largest resident memory seen until done."""
    most = 0
    waiting = asyncio.ensure_future(done)
    while not waiting.done():
        most = max(most, process_tree.resident_bytes(pid))
        await asyncio.wait((waiting,), timeout=_WATCH_S)
    await waiting
    return most


def _say(what: str) -> None:
    print(f"backlog: {what}", file=sys.stderr)
