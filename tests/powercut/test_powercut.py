"""`make powercut` in short."""

import shutil
from pathlib import Path

import pytest

from deploy.local.broker import PrivateBroker
from tests.powercut import load, run
from tests.powercut.cuts import Cuts
from tests.powercut.promise import JournalPromise

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="needs the Debian package strace"
)


def test_nothing_acknowledged_is_lost_when_the_power_is_cut(tmp_path: Path) -> None:
    result = run.play_outbox(tmp_path, deliveries=300, disks=300, seed=18)

    assert result.faults == []
    assert result.tally["disks"] >= 300
    assert result.tally["events"] > 0


def test_a_load_that_syncs_nothing_is_found_out(tmp_path: Path) -> None:
    root, trace, journal = tmp_path / "root", tmp_path / "trace", tmp_path / "journal"
    root.mkdir()
    load.record(trace, root / "outbox", journal, 60, 18)
    lines = trace.read_text().splitlines(keepends=True)
    trace.write_text("".join([line for line in lines if "sync" not in line]))

    cuts = Cuts(root, JournalPromise(str(journal)), load.judge, seed=18)
    result = cuts.play([trace], disks=60)

    assert result.tally["an acknowledged event is lost"] > 0


def test_a_whole_relay_loses_nothing_it_answered_when_the_power_is_cut(
    tmp_path: Path, own_broker: PrivateBroker
) -> None:
    relay_load = run.record_relay(tmp_path, own_broker, deliveries=300, seed=18)
    result = run.cut_relay(relay_load, disks=300, seed=18)

    assert result.faults == []
    assert result.tally["disks"] >= 300
    assert result.tally["events"] > 0
    assert result.tally["parked"] > 0
    assert result.tally["quarantined"] > 0
