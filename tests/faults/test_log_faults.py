"""Nobody reads the relay's log under load; it drops lines and neither events nor requests."""

from tests.faults.conftest import Play
from tests.faults.scenarios import log_faults


async def test_a_log_that_nobody_reads_loses_and_delays_nothing(play: Play) -> None:
    (scenario,) = log_faults.SCENARIOS

    await play(scenario)
