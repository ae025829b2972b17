"""Three receivers behind HAProxy are restarted one after the other; no sender may notice."""

from tests.deploy.proxies import HAProxy
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage


async def _roll(stage: Stage) -> None:
    for it in stage.relays:
        await it.restart()
        await stage.acknowledges(1)


SCENARIOS = [
    Scenario(
        name="rolling-restart",
        strike=_roll,
        receivers=3,
        lacks=HAProxy.lacks,
        spares_senders=True,
    )
]
