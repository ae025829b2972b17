"""Where the two sides of an attack run, and what a run of both placements leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile import report
from tests.hostile.cores import placements, running_on
from tests.hostile.report import Struck


def test_on_one_core_all_share_it() -> None:
    (shared,) = placements({3})

    assert shared.relay == shared.callers == {3}


@pytest.mark.parametrize("available", [{0, 1}, {5, 2, 9}, {0, 1, 2, 3}, set(range(17))])
def test_on_several_cores_both_sides_also_have_their_own(available: set[int]) -> None:
    shared, apart = placements(available)

    assert shared.relay == shared.callers == available
    assert apart.relay
    assert apart.callers
    assert not apart.relay & apart.callers
    assert apart.relay | apart.callers == available
    assert shared.name != apart.name


def test_what_is_started_stays_on_its_cores() -> None:
    before = os.sched_getaffinity(0)
    core = max(before)
    script = "import os; input(); print(*os.sched_getaffinity(0))"
    with running_on({core}):
        started = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    output, _ = started.communicate("\n", timeout=30)

    assert output.split() == [str(core)]
    assert os.sched_getaffinity(0) == before


def test_the_results_have_a_table_for_each_placement(tmp_path: Path) -> None:
    struck = Struck(
        name="slow",
        times=1,
        statuses={200: 3},
        problems=[],
        harm=[],
        peak_bytes=1,
        requests=1,
        failed=0,
        latency_ms={"50": 1.0, "99": 2.0},
    )

    report.write({"shared": [struck], "apart": [struck, struck]}, about="how", folder=tmp_path)

    text = (tmp_path / "hostile.md").read_text()
    assert text.index("## shared") < text.index("## apart") < text.index("how")
    assert text.count("| slow |") == 3
    document = json.loads((tmp_path / "hostile.json").read_text())
    assert [len(struck) for struck in document["attacks"].values()] == [1, 2]
