"""Three receivers behind HAProxy are restarted one after the other; no sender may notice."""

from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.harness.supervisor import LIMIT_S
from tests.faults.scenarios.scenario import Scenario
from tests.support.eventually import eventually
from tests.support.servers.edge_proxies import HAProxy


async def _roll(harness: FaultHarness) -> None:
    for relay in harness.relays:
        await relay.restart()
        await eventually(relay.takes_part, LIMIT_S)  # only then is it safe to take the next one


SCENARIOS = [
    Scenario(
        name="rolling-restart",
        strike=_roll,
        receivers=3,
        lacks=HAProxy.lacks,
        must_accept_all=True,
    )
]
