"""The wall clock jumps an hour, either way. Nothing may come of it, so it counts as no fault."""

from tests.faults.harness import shim
from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.scenarios.disk_faults import preload
from tests.faults.scenarios.scenario import Scenario

_HOUR_S = 3600


async def _jump(harness: FaultHarness) -> None:
    for offset_s in (_HOUR_S, -_HOUR_S, 0):
        harness.shim.set(clock_offset_s=offset_s)
        await harness.hold()
        await harness.delivers()


SCENARIOS = [
    Scenario(
        name="clock-jumps",
        strike=_jump,
        prepare=preload,
        lacks=shim.lacks,
        must_accept_all=True,
    )
]
