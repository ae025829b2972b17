"""A cluster loses some of its nodes under load; what was acknowledged arrives all the same."""

import pytest

from tests.faults.conftest import PlayInCluster
from tests.faults.scenarios import cluster_faults
from tests.faults.scenarios.scenario import Scenario


@pytest.mark.parametrize("scenario", cluster_faults.SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_cluster_that_loses_nodes_loses_no_event_and_refuses_nobody(
    play_in_cluster: PlayInCluster, scenario: Scenario
) -> None:
    await play_in_cluster(scenario)
