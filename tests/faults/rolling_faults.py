"""Three receivers behind HAProxy are restarted one after the other; no sender may notice."""

from tests.deploy.proxies import HAProxy
from tests.faults.fault_harness import Stage
from tests.faults.scenario import Scenario
from tests.faults.supervisor import LIMIT_S
from tests.support.eventually import eventually


async def _roll(stage: Stage) -> None:
    for it in stage.relays:
        await it.restart()
        await eventually(it.takes_part, LIMIT_S)  # only then is it safe to take the next one


SCENARIOS = [
    Scenario(
        name="rolling-restart",
        strike=_roll,
        receivers=3,
        lacks=HAProxy.lacks,
        spares_senders=True,
    )
]
