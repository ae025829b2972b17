"""How a test plays the short forms of scenarios."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.local.broker import PrivateBroker
from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.harness.invariant import Verdict
from tests.faults.scenarios.scenario import Scenario, Size
from tests.support.servers.cluster import Cluster

SEED = 1

Play = Callable[..., Awaitable[Verdict]]
PlayInCluster = Callable[[Scenario], Awaitable[Verdict]]
PlayTogether = Callable[[Sequence[Scenario]], Awaitable[dict[str, Verdict]]]

_RATE = 60
"""Deliveries per second, each of five events on average: under load, and some hundred per fault."""
_TOGETHER_RATE = 15  # of each


async def _play(directory: Path, node: Any, scenario: Scenario, size: Size) -> Verdict:
    if reason := scenario.lacks():
        pytest.skip(reason)
    async with FaultHarness(directory / scenario.name, node, scenario, size) as harness:
        verdict = await harness.play()
    print(f"{scenario.name}, seed {size.seed}: {verdict}")  # noqa: T201  shown when something fails
    assert verdict.holds, f"{scenario.name}: {verdict.violations()}"
    assert verdict.acknowledged >= size.events
    return verdict


@pytest.fixture
def play(tmp_path: Path, own_broker: PrivateBroker) -> Play:
    """Play a scenario against a node that may be mistreated; nothing may be lost."""

    async def play(scenario: Scenario, *, rounds: int = 1) -> Verdict:
        size = Size(seed=SEED, rounds=rounds, rate=_RATE)
        return await _play(tmp_path, own_broker, scenario, size)

    return play


@pytest.fixture(scope="session")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, started when a test first mistreats them."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def play_in_cluster(tmp_path: Path, own_cluster: Cluster) -> PlayInCluster:
    """Play a scenario against a cluster; nothing may be lost."""

    async def play(scenario: Scenario) -> Verdict:
        return await _play(tmp_path, own_cluster, scenario, Size(seed=SEED, rate=_RATE))

    return play


@pytest.fixture
def play_together(tmp_path: Path, own_broker: PrivateBroker) -> PlayTogether:
    """Play scenarios at the same time that leave the node alone; return verdicts by name."""

    async def play_together(scenarios: Sequence[Scenario]) -> dict[str, Verdict]:
        size = Size(seed=SEED, rate=_TOGETHER_RATE)
        async with asyncio.TaskGroup() as group:
            playing = {
                scenario.name: group.create_task(_play(tmp_path, own_broker, scenario, size))
                for scenario in scenarios
            }
        return {name: task.result() for name, task in playing.items()}

    return play_together
