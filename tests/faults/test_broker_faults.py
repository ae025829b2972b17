"""RabbitMQ fails under load; what was acknowledged arrives all the same, and nobody is refused."""

import pytest

from tests.faults.conftest import Play
from tests.faults.scenarios import broker_faults
from tests.faults.scenarios.scenario import Scenario


@pytest.mark.parametrize("scenario", broker_faults.SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_broker_that_fails_loses_nothing_and_refuses_nobody(
    play: Play, scenario: Scenario
) -> None:
    await play(scenario)
