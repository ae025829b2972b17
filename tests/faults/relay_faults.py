"""The relay itself is killed, again and again, and started anew by its supervisor."""

from tests.faults.fault_harness import Stage
from tests.faults.scenario import Scenario

_MOST_PAUSE_S = 2.0  # between two kills, drawn by lot; times the rate, so that it is events


async def _kill(stage: Stage) -> None:
    await stage.acknowledges(stage.random.randint(1, int(_MOST_PAUSE_S * stage.size.rate)))
    async with stage.fault("relay killed"):
        await stage.relay.kill()
        await stage.acknowledges(1)


SCENARIOS = [
    Scenario(name="relay-killed", strike=_kill),
    Scenario(
        name="relay-killed-confirm", strike=_kill, settings={"ingress": {"ack_after": "confirm"}}
    ),
]
