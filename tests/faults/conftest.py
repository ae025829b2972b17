"""How a test plays the short form of a scenario."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from deploy.local.broker import PrivateBroker
from tests.faults.invariant import Verdict
from tests.faults.scenario import Scenario, Size
from tests.faults.stage import Stage

SEED = 1

Play = Callable[..., Awaitable[Verdict]]


@pytest.fixture
def play(tmp_path: Path, own_broker: PrivateBroker) -> Play:
    """Play a scenario against a node that may be mistreated; nothing may be lost."""

    async def play(scenario: Scenario, *, rounds: int = 1) -> Verdict:
        size = Size(seed=SEED, rounds=rounds)
        async with Stage(tmp_path / "stage", own_broker, scenario, size) as stage:
            verdict = await stage.play()
        print(f"seed {SEED}: {verdict}")  # noqa: T201  pytest shows it when something fails
        assert verdict.holds, verdict.violations()
        assert verdict.acknowledged >= size.events
        return verdict

    return play
