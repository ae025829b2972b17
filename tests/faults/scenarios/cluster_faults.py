"""A RabbitMQ cluster with quorum queues loses a leader, a minority, or its majority."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.scenarios.scenario import Scenario
from tests.support.servers.cluster import NODES, Cluster


async def _kill_leader(harness: FaultHarness) -> None:
    cluster: Cluster = harness.broker
    leader = await asyncio.to_thread(cluster.leader_of, harness.queues.all)
    async with harness.fault("leader killed"):
        await asyncio.to_thread(leader.kill)
        await harness.delivers()  # two of three go on
        await harness.hold()
        await asyncio.to_thread(cluster.start, [leader])
        await harness.delivers()


async def _cut_off_one(harness: FaultHarness) -> None:
    cluster: Cluster = harness.broker
    one = harness.random.choice(cluster.nodes)
    async with harness.fault("minority cut off"):
        partition = cluster.cut_off(one)
        await asyncio.to_thread(partition.__enter__)
        try:
            await harness.delivers()
            await harness.hold()
        finally:
            await asyncio.to_thread(partition.__exit__, None, None, None)
        await harness.delivers()


async def _lose_majority(harness: FaultHarness) -> None:
    cluster: Cluster = harness.broker
    lost = harness.random.sample(cluster.nodes, NODES // 2 + 1)
    async with harness.fault("majority lost"):
        for node in lost:
            await asyncio.to_thread(node.kill)
        await harness.hold()
        await asyncio.to_thread(cluster.start, lost)
        await harness.delivers()


def _scenario(name: str, strike: Callable[[FaultHarness], Awaitable[None]]) -> Scenario:
    return Scenario(name=name, strike=strike, nodes=NODES, must_accept_all=True)


SCENARIOS = [
    _scenario("cluster-leader-killed", _kill_leader),
    _scenario("cluster-minority-cut-off", _cut_off_one),
    _scenario("cluster-majority-lost", _lose_majority),
]
