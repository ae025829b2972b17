"""The wall clock jumps an hour, either way. Nothing may come of it, so it counts as no fault."""

from tests.faults import shim
from tests.faults.disk_faults import preload
from tests.faults.fault_harness import Stage
from tests.faults.scenario import Scenario

_HOUR_S = 3600


async def _jump(stage: Stage) -> None:
    for offset_s in (_HOUR_S, -_HOUR_S, 0):
        stage.shim.set(clock_offset_s=offset_s)
        await stage.hold()
        await stage.delivers()


SCENARIOS = [
    Scenario(
        name="clock-jumps",
        strike=_jump,
        prepare=preload,
        lacks=shim.lacks,
        spares_senders=True,
    )
]
