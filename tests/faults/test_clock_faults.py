"""The wall clock jumps under load; nobody notices."""

from tests.faults.conftest import Play
from tests.faults.scenarios import clock_faults


async def test_a_clock_that_jumps_loses_nothing_and_changes_no_order(play: Play) -> None:
    (scenario,) = clock_faults.SCENARIOS

    await play(scenario)
