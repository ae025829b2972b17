"""What RabbitMQ spends on an event: CPU and disk, of one node and of a cluster of three.

The relay publishes at a fixed rate into one quorum queue, then one consumer empties it. With
several services, the part of publishing grows with each queue an event is routed to.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.local.node import PrivateBroker
from tests.bench.harness.bench_harness import OUTBOX, BenchHarness
from tests.bench.harness.bound_queue import NAME
from tests.bench.load import Plan
from tests.support.servers import process_tree
from tests.support.servers.cluster import Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Per event and node, on average.

    Args:
        nodes: how many there were, each with a copy of the queue.
        publish_us: of CPU, from the relay to the confirm.
        consume_us: of CPU, to a consumer that acknowledges.
        disk_bytes: while the event is in the queue.
    """

    nodes: int
    publish_us: float
    consume_us: float
    disk_bytes: float


async def measure(directory: Path, *, seconds: float, rate: float) -> list[Cost]:
    """Return the cost on one node and on three."""
    return [await _cost(directory / str(nodes), nodes, seconds, rate) for nodes in (1, 3)]


async def _cost(directory: Path, count: int, seconds: float, rate: float) -> Cost:
    print(f"RabbitMQ: {count} node(s)", file=sys.stderr)
    with _started(directory / "broker", count) as nodes:
        async with BenchHarness.opened(nodes[0].url, directory) as harness:
            await harness.enter([OUTBOX])
            before_s, before_bytes = _cpu_s(nodes), _disk_bytes(nodes)
            found = await harness.run(
                harness.candidates[OUTBOX], Plan(port=0, seconds=seconds, rate=rate)
            )
            between_s, disk_bytes = _cpu_s(nodes), _disk_bytes(nodes) - before_bytes
            consumer = await harness.spawn(
                *(sys.executable, "-m", "tests.bench.candidates.consumer", "aio-pika"),
                *(nodes[0].url, NAME, str(found.events), str(directory)),
                stdout=subprocess.DEVNULL,
            )
            if await consumer.wait():
                raise SystemExit("The consumer failed.")
            consumed_s = _cpu_s(nodes) - between_s
    each = found.events * count
    return Cost(
        nodes=count,
        publish_us=(between_s - before_s) / each * 1e6,
        consume_us=consumed_s / each * 1e6,
        disk_bytes=disk_bytes / each,
    )


@contextlib.contextmanager
def _started(directory: Path, count: int) -> Iterator[list[PrivateBroker]]:
    if count == 1:
        with PrivateBroker(directory) as node:
            yield [node]
    else:
        with Cluster(directory) as cluster:
            yield cluster.nodes


def _cpu_s(nodes: list[PrivateBroker]) -> float:
    return sum(process_tree.cpu_s(pid) for node in nodes for pid in node.pids)


def _disk_bytes(nodes: list[PrivateBroker]) -> int:
    files = [path for node in nodes for path in node.directory.rglob("*") if path.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files)
