"""The table of a proof sums up all that was played, and says what did not hold."""

from tests.faults import report
from tests.faults.harness import invariant
from tests.faults.harness.journal import Arrival, Delivery
from tests.faults.report import Played
from tests.faults.scenarios.catalogue import ALL

DELIVERY = Delivery(1, "a", "good", 0, 1, 200, ["x"])
HOLDS = invariant.check([DELIVERY], [Arrival("events", "x", 1, 0, 1)], [], [])
LOST = invariant.check([DELIVERY], [], [], [])
GOOD = Played.of("good", HOLDS, seed=1, rounds=2)
BROKEN = Played.of("broken", LOST, seed=1, rounds=1)
SKIPPED = Played(scenario="skipped", problem="no gcc", is_skipped=True)
FAILED = Played(scenario="failed", rounds=1, problem="AssertionError: not within 30 s")


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
    verdict = invariant.check([DELIVERY], arrivals, [], [], wait_limit_s=0.5)

    headings, good, failed, total = report.rows(
        [GOOD, Played.of("waited", verdict, seed=1, rounds=1)]
    )

    column = headings.index("others waited")
    assert (good[column], failed[column], total[column]) == ("", "1.0 s", "1.0 s")
    assert failed[-1] == "BROKEN: held_up"


def test_what_is_played_several_times_is_summed_up_and_the_longest_times_count() -> None:
    first = Played(
        scenario="s",
        rounds=3,
        sent=10,
        acknowledged=20,
        delivered=18,
        quarantined=2,
        duplicates=4,
        longest_outage_s=0.5,
        longest_wait_s=0.75,
        answers={"200": 9, "401": 1},
    )
    second = Played(
        scenario="s",
        rounds=1,
        sent=1,
        acknowledged=1,
        delivered=1,
        longest_outage_s=2.0,
        answers={"200": 1},
    )

    summed = report.total("s", [first, second])

    assert summed.row() == ("s", "4", "11", "21", "21", "4", "0", "2.0 s", "0.8 s", "holds")
    assert summed.answers == {"200": 10, "401": 1}


def test_a_scenario_is_bad_once_it_was_bad_and_skipped_only_if_it_never_was_played() -> None:
    def verdict(*played: Played) -> str:
        return report.total("s", played).row()[-1]

    assert verdict(GOOD, BROKEN, GOOD) == "BROKEN: lost"
    assert verdict(FAILED, GOOD) == "FAILED: AssertionError: not within 30 s"
    assert verdict(GOOD, SKIPPED) == "holds"
    assert verdict(SKIPPED, GOOD) == "holds"
    assert verdict(SKIPPED, BROKEN) == "BROKEN: lost"
    assert verdict(SKIPPED, SKIPPED) == "skipped: no gcc"


def test_scenarios_have_names_of_their_own() -> None:
    names = [scenario.name for scenario in ALL]

    assert len(set(names)) == len(names)
