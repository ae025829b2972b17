"""A RabbitMQ cluster with quorum queues loses a leader, a minority, or its majority."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.faults.cluster import NODES, Cluster
from tests.faults.fault_harness import Stage
from tests.faults.scenario import Scenario


async def _kill_leader(stage: Stage) -> None:
    cluster: Cluster = stage.broker
    leader = await asyncio.to_thread(cluster.leader_of, stage.queues.all)
    async with stage.fault("leader killed"):
        await asyncio.to_thread(leader.kill)
        await stage.delivers()  # two of three go on
        await stage.hold()
        await asyncio.to_thread(cluster.start, [leader])
        await stage.delivers()


async def _cut_off_one(stage: Stage) -> None:
    cluster: Cluster = stage.broker
    one = stage.random.choice(cluster.nodes)
    async with stage.fault("minority cut off"):
        partition = cluster.cut_off(one)
        await asyncio.to_thread(partition.__enter__)
        try:
            await stage.delivers()
            await stage.hold()
        finally:
            await asyncio.to_thread(partition.__exit__, None, None, None)
        await stage.delivers()


async def _lose_majority(stage: Stage) -> None:
    cluster: Cluster = stage.broker
    lost = stage.random.sample(cluster.nodes, NODES // 2 + 1)
    async with stage.fault("majority lost"):
        for it in lost:
            await asyncio.to_thread(it.kill)
        await stage.hold()
        await asyncio.to_thread(cluster.start, lost)
        await stage.delivers()


def _scenario(name: str, strike: Callable[[Stage], Awaitable[None]]) -> Scenario:
    return Scenario(name=name, strike=strike, nodes=NODES, spares_senders=True)


SCENARIOS = [
    _scenario("cluster-leader-killed", _kill_leader),
    _scenario("cluster-minority-cut-off", _cut_off_one),
    _scenario("cluster-majority-lost", _lose_majority),
]
