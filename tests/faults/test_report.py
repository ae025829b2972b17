"""The summary of a run: it is good only if every scenario is, and says what is not."""

import json
from pathlib import Path

import pytest

from tests.faults import report
from tests.faults.harness import invariant
from tests.faults.harness.journal import Arrival, Delivery
from tests.faults.report import Played
from tests.faults.scenarios.catalogue import ALL

DELIVERY = Delivery(1, "a", "good", 0, 1, 200, ["x"])
GOOD = Played(
    name="good",
    rounds=2,
    verdict=invariant.check([DELIVERY], [Arrival("events", "x", 1, 0, 1)], [], []),
)
BROKEN = Played(name="broken", rounds=1, verdict=invariant.check([DELIVERY], [], [], []))
SKIPPED = Played(name="skipped", problem="no gcc", is_skipped=True)
FAILED = Played(name="failed", rounds=1, problem="AssertionError: not within 30 s")


def test_each_scenario_has_a_row_and_all_are_summed_up() -> None:
    _, *rows, total = report.rows([GOOD, BROKEN, SKIPPED, FAILED])

    assert [row[-1] for row in rows] == [
        "holds",
        "BROKEN: lost",
        "skipped: no gcc",
        "FAILED: AssertionError: not within 30 s",
    ]
    assert total == ("all", "4", "2", "2", "1", "0", "1", "1.0 s", "", "1 of 4")
    assert [played.is_good for played in (GOOD, BROKEN, SKIPPED, FAILED)] == [
        True,
        False,
        True,
        False,
    ]


def test_how_long_innocent_events_waited_has_a_column() -> None:
    arrivals = [Arrival("events", "x", 1, 0, 1.25)]
    waited = Played(
        name="waited",
        verdict=invariant.check([DELIVERY], arrivals, [], [], wait_limit_s=0.5),
    )

    headings, good, failed, total = report.rows([GOOD, waited])

    column = headings.index("others waited")
    assert (good[column], failed[column], total[column]) == ("", "1.0 s", "1.0 s")
    assert failed[-1] == "BROKEN: held_up"


def test_results_are_written_for_people_and_for_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")

    report.write([GOOD, BROKEN], about="Seed 7.", seed=7)

    found = json.loads((tmp_path / "results" / "faults.json").read_text())
    assert found["seed"] == 7
    assert [scenario["verdict"]["holds"] for scenario in found["scenarios"]] == [True, False]
    assert found["scenarios"][1]["verdict"]["violations"]["lost"] == ["x"]
    lines = (tmp_path / "results" / "faults.md").read_text().splitlines()
    assert lines[3].startswith("| broken | 1 | 1 | 1 | 0 | 0 | 1 |")
    assert lines[-1] == "Seed 7."


def test_scenarios_have_names_of_their_own() -> None:
    names = [scenario.name for scenario in ALL]

    assert len(set(names)) == len(names)
