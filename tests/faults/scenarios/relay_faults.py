"""The relay itself is killed, again and again, and started anew by its supervisor."""

from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.scenarios.scenario import Scenario

_MAX_PAUSE_S = 2.0  # between two kills, drawn by lot; times the rate, so that it is events


async def _kill(harness: FaultHarness) -> None:
    await harness.acknowledges(harness.random.randint(1, int(_MAX_PAUSE_S * harness.size.rate)))
    async with harness.fault("relay killed"):
        await harness.relay.kill()
        await harness.acknowledges(1)


SCENARIOS = [
    Scenario(name="relay-killed", strike=_kill),
    Scenario(
        name="relay-killed-confirm", strike=_kill, settings={"ingress": {"ack_after": "confirm"}}
    ),
]
