"""The disk under the outbox fails under load; what was acknowledged arrives all the same."""

import pytest

from tests.faults.conftest import Play
from tests.faults.scenarios import disk_faults
from tests.faults.scenarios.scenario import Scenario


@pytest.mark.parametrize("scenario", disk_faults.SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_disk_that_fails_loses_nothing(play: Play, scenario: Scenario) -> None:
    await play(scenario)
