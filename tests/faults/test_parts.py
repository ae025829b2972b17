"""A proof is played in parts: a run adds its own, after each scenario, and goes on from there."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import parts
from tests.faults.parts import Part, Parts
from tests.faults.report import Played
from tests.faults.scenarios.scenario import Scenario
from tests.faults.turns import Turns

NAMES = ["first", "second", "third"]


def scenario_played(name: str, acknowledged: int, seed: int = 7) -> Played:
    return Played(
        scenario=name,
        seed=seed,
        rounds=3,
        sent=acknowledged,
        acknowledged=acknowledged,
        delivered=acknowledged,
    )


def begun(directory: Path, seed: int = 7, *, forgotten: Collection[str] = ()) -> Parts:
    kept = Parts(directory, order=NAMES, forgotten=forgotten)
    kept.begin(
        Part(seed=seed, date="2026-11-29", commit="0123456789ab", rate=600, machine="2 cores")
    )
    return kept


def scenarios() -> list[Scenario]:
    async def strike(_: object) -> None:
        raise NotImplementedError

    return [Scenario(name=name, strike=strike) for name in NAMES]


def test_parts_of_several_runs_add_up(tmp_path: Path) -> None:
    kept = begun(tmp_path)
    kept.add(scenario_played("second", 1_000))
    kept.add(scenario_played("first", 200))

    kept = begun(tmp_path, 8)
    kept.add(scenario_played("second", 30, seed=8))
    kept.add(scenario_played("second", 4, seed=9))

    found = json.loads((tmp_path / "faults.json").read_text())["parts"]
    assert [(part["seed"], len(part["scenarios"])) for part in found] == [(7, 2), (8, 2)]
    assert [each["seed"] for each in found[1]["scenarios"]] == [8, 9]
    assert Parts(tmp_path).acknowledged == Counter({"second": 1_034, "first": 200})
    lines = (tmp_path / "faults.md").read_text().splitlines()
    about = "600 deliveries per second, code `0123456789ab`; 2 cores"
    assert lines[2].startswith("| first | 3 | 200 | 200 | 200 | 0 | 0 |")
    assert lines[3].startswith("| second | 9 | 1,034 | 1,034 |")
    assert lines[4].startswith("| all | 12 | 1,234 | 1,234 |")
    assert lines[6:] == [
        f"- 2026-11-29, seed 7, {about}: 2 scenarios, 1,200 acknowledged, 0 lost.",
        f"- 2026-11-29, seed 8, {about}: 1 scenario, 34 acknowledged, 0 lost.",
    ]


def test_all_that_is_counted_is_there_after_reading_it_again(tmp_path: Path) -> None:
    broken = Played(
        scenario="first",
        seed=3,
        sent=5,
        acknowledged=9,
        lost=1,
        longest_outage_s=0.25,
        longest_wait_s=1.5,
        answers={"0": 1, "200": 4},
        violations={"lost": ["x"], "held_up": [4]},
    )
    skipped = Played(scenario="second", problem="HAProxy is not installed", is_skipped=True)
    kept = begun(tmp_path)
    kept.add(broken)
    kept.add(skipped)

    assert Parts(tmp_path).played == [broken, skipped]
    assert "1 lost, 1 not good." in (tmp_path / "faults.md").read_text()


def test_what_was_there_goes_only_once_a_fresh_run_has_something(tmp_path: Path) -> None:
    begun(tmp_path).add(scenario_played("first", 5))
    fresh = begun(tmp_path, 8, forgotten=NAMES)
    assert Parts(tmp_path).acknowledged == Counter({"first": 5})

    fresh.add(scenario_played("first", 6))

    assert Parts(tmp_path).acknowledged == Counter({"first": 6})


def test_a_scenario_that_failed_begins_anew_and_the_others_stay(tmp_path: Path) -> None:
    kept = begun(tmp_path)
    kept.add(scenario_played("first", 5))
    kept.add(replace(scenario_played("second", 5), violations={"held_up": [4]}))
    begun(tmp_path, 8).add(scenario_played("second", 7))

    begun(tmp_path, 9, forgotten=["second"]).add(scenario_played("second", 6))

    found = json.loads((tmp_path / "faults.json").read_text())["parts"]
    assert [part["seed"] for part in found] == [7, 9]
    assert Parts(tmp_path).acknowledged == Counter({"first": 5, "second": 6})
    assert "not good" not in (tmp_path / "faults.md").read_text()


def test_a_run_that_is_cut_off_while_it_writes_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = begun(tmp_path)
    kept.add(scenario_played("first", 5))

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(parts.os, "fsync", cut_off)
        with pytest.raises(KeyboardInterrupt):
            kept.add(scenario_played("second", 5))

    again = begun(tmp_path, 8)
    assert again.acknowledged == Counter({"first": 5})
    again.add(scenario_played("second", 6))
    assert Parts(tmp_path).acknowledged == Counter({"first": 5, "second": 6})


def test_the_results_that_are_kept_can_be_read_and_are_what_the_table_says() -> None:
    kept = Parts(order=[])

    assert not any(played.lost for played in kept.played)
    total = kept.rows()[-1]
    assert f"| {' | '.join(total)} |" in (parts.RESULTS / "faults.md").read_text()


def test_once_around_each_scenario_has_an_equal_share() -> None:
    turns = Turns(scenarios(), events=100, until=False)

    shares = [turns.following({"first": 500}) for _ in range(4)]

    assert [share and (share[0].name, share[1]) for share in shares] == [
        ("first", 34),
        ("second", 34),
        ("third", 34),
        None,
    ]


def test_until_a_total_the_scenario_with_the_fewest_is_next() -> None:
    turns = Turns(scenarios(), events=600_000, until=True)
    acknowledged = Counter({"first": 180_000, "second": 40_000, "gone": 20_000})
    order = []

    while turn := turns.following(acknowledged):
        scenario, events = turn
        assert events <= 100_000
        order.append(scenario.name)
        acknowledged[scenario.name] += events

    assert order[:3] == ["third", "second", "third"]
    assert acknowledged.total() >= 600_000
    played = [acknowledged[name] for name in NAMES]
    assert max(played) - min(played) <= 100_000


def test_a_scenario_that_cannot_be_played_is_not_chosen_for_ever() -> None:
    left = scenarios()
    turns = Turns(left, events=1_000, until=True)

    names = []
    while turn := turns.following({}):
        names.append(turn[0].name)
        turns.leave_out(turn[0])

    assert names == NAMES


def test_no_scenario_begins_once_the_time_is_over(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.run", "--minutes", "0"]

    ended = subprocess.run([*command, "--results", str(tmp_path)], capture_output=True, check=False)

    assert ended.returncode == 1  # nothing was proved
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "mark"),
    [
        ("relay/app.py", "+"),
        ("tests/faults/results/faults.md", ""),
        ("tests/bench/results/a/b.json", ""),
    ],
)
def test_the_commit_says_whether_the_code_was_changed_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, mark: str
) -> None:
    file = tmp_path / changed
    file.parent.mkdir(parents=True)
    file.write_text("before")
    monkeypatch.chdir(tmp_path)
    assert parts.commit() == ""
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=before"]):
        subprocess.run([*git, *command], check=True)
    before = parts.commit()
    assert len(before) == 12
    file.write_text("after")
    assert parts.commit() == before + mark
