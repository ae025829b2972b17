"""Receivers are restarted one after the other under load; no request fails."""

from tests.faults.conftest import Play
from tests.faults.scenarios import rolling_faults


async def test_a_rolling_restart_fails_no_request_and_loses_nothing(play: Play) -> None:
    (scenario,) = rolling_faults.SCENARIOS

    await play(scenario)
