"""The relay is killed under load; what it acknowledged arrives all the same."""

import pytest

from tests.faults.conftest import Play
from tests.faults.scenarios import relay_faults
from tests.faults.scenarios.scenario import Scenario


@pytest.mark.parametrize("scenario", relay_faults.SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_relay_that_is_killed_again_and_again_loses_nothing(
    play: Play, scenario: Scenario
) -> None:
    verdict = await play(scenario, rounds=3)

    assert verdict.answers[0]  # senders that got no answer: it was killed under load
