"""`make powercut` in short."""

import shutil
from pathlib import Path

import pytest

from tests.powercut import run


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs the Debian package strace")
def test_nothing_acknowledged_is_lost_when_the_power_is_cut(tmp_path: Path) -> None:
    result = run.play(tmp_path, deliveries=300, disks=300, seed=18)

    assert result.faults == []
    assert result.tally["disks"] >= 300
    assert result.tally["events"] > 0
