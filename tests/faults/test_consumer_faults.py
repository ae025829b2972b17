"""Consumers fail under load; in the end each has every event."""

import pytest

from tests.faults.conftest import Play
from tests.faults.scenarios import consumer_faults
from tests.faults.scenarios.scenario import Scenario


@pytest.mark.parametrize("scenario", consumer_faults.SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_consumer_that_fails_has_exactly_every_event_in_the_end(
    play: Play, scenario: Scenario
) -> None:
    await play(scenario)
