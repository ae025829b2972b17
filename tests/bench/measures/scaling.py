"""Receivers behind HAProxy: what an event costs when one, two or four of them share the load.

Each receiver gets the same load however many there are, so that its batches are as large: what is
compared is what more receivers cost, not what less load does.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.harness.bench_harness import BenchHarness
from tests.bench.load import Plan
from tests.support.relay_process import RelayProcess
from tests.support.servers import process_tree
from tests.support.servers.edge_proxies import HAProxy

RECEIVERS = (1, 2, 4)
_SETTLE_S = 0.2  # as harness.run
_WARM_UP_S = 1.0
_CONNECTIONS_EACH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a number of receivers did in a few seconds.

    Args:
        events: acknowledged, and found in the queue.
        cpu_us: of CPU per event, of all receivers together.
        proxy_us: of CPU per event, of HAProxy.
        parts: of the CPU of all, each receiver's.
    """

    events: int
    cpu_us: float
    proxy_us: float
    parts: list[float]


Rounds = list[dict[int, Shared]]


async def measure(
    harness: BenchHarness, *, rounds: int, seconds: float, rate_each: float
) -> Rounds:
    """Return what each number of receivers did in each round; they take turns in who is first."""
    receivers = [
        await harness.enter_relay(f"receiver-{number}") for number in range(max(RECEIVERS))
    ]
    done: Rounds = []
    for number in range(-1, rounds):  # the first is a warm-up
        print(f"receivers: round {number + 1} of {rounds}", file=sys.stderr)
        order = [*RECEIVERS[number % 3 :], *RECEIVERS[: number % 3]]
        done.append(
            {
                count: await _share(
                    harness, receivers[:count], seconds if number >= 0 else _WARM_UP_S, rate_each
                )
                for count in order
            }
        )
    return done[1:]


async def _share(
    harness: BenchHarness, receivers: Sequence[RelayProcess], seconds: float, rate_each: float
) -> Shared:
    await harness.queue.renew()
    async with HAProxy(harness.directory / f"haproxy-{len(receivers)}", receivers) as proxy:
        pids = [receiver.process.pid for receiver in receivers]
        before_s = [process_tree.cpu_s(pid) for pid in (*pids, proxy.pid)]
        plan = Plan(
            port=proxy.port,
            seconds=seconds,
            rate=rate_each * len(receivers),
            connections=_CONNECTIONS_EACH * len(receivers),
        )
        report = await harness.send(plan)
        await harness.queue.filled(report.events)
        await asyncio.sleep(_SETTLE_S)
        await harness.queue.filled(report.events)
        after_s = [process_tree.cpu_s(pid) for pid in (*pids, proxy.pid)]
    *used_s, proxy_s = [after - before for before, after in zip(before_s, after_s, strict=True)]
    return Shared(
        events=report.events,
        cpu_us=sum(used_s) / report.events * 1e6,
        proxy_us=proxy_s / report.events * 1e6,
        parts=[cpu_s / sum(used_s) for cpu_s in used_s],
    )
