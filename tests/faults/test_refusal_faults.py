"""RabbitMQ refuses some of the events under load; none is lost, and the others do not wait."""

import pytest

from tests.faults.conftest import Play
from tests.faults.scenarios import refusal_faults
from tests.faults.scenarios.scenario import Scenario


@pytest.mark.parametrize("scenario", refusal_faults.SCENARIOS, ids=lambda scenario: scenario.name)
async def test_what_the_broker_refuses_is_not_lost_and_holds_up_no_other(
    play: Play, scenario: Scenario
) -> None:
    verdict = await play(scenario)

    assert bool(verdict.answers.get(503)) == scenario.name.endswith("-confirm")
    assert not verdict.waiting
