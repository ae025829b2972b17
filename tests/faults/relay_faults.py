"""The relay itself is killed, again and again, and started anew by its supervisor."""

from tests.faults.scenario import Scenario
from tests.faults.stage import Stage

_MOST_EVENTS = 400  # acknowledged between two kills, drawn by lot


async def _kill(stage: Stage) -> None:
    await stage.acknowledges(stage.random.randint(1, _MOST_EVENTS))
    async with stage.fault("relay killed"):
        await stage.relay.kill()
        await stage.relay.is_listening()
        await stage.acknowledges(1)


RELAY_KILLED = Scenario(name="relay-killed", strike=_kill)
RELAY_KILLED_CONFIRM = Scenario(
    name="relay-killed-confirm", strike=_kill, settings={"ingress": {"ack_after": "confirm"}}
)
