"""The wire to the broker fails under load; what was acknowledged arrives all the same.

The broker itself is well, so that all of these share it and fail at the same time.
"""

from tests.faults.conftest import PlayTogether
from tests.faults.scenarios import network_faults

_SHORT_CONFIRMING = {
    *("half-open-to-relay-confirm", "cut-to-broker-confirm"),
    "broker-mute-second-url-confirm",
}


async def test_a_network_that_fails_loses_nothing(play_together: PlayTogether) -> None:
    confirming = [
        scenario for scenario in network_faults.CONFIRMING if scenario.name in _SHORT_CONFIRMING
    ]

    verdicts = await play_together([*network_faults.SCENARIOS, *confirming])

    assert all(verdicts[scenario.name].answers[503] for scenario in confirming)
