"""The benchmark's table and plot, out of figures made up."""

from xml.etree import ElementTree as ET

import pytest

from tests.bench.harness.bench_harness import BARE, CONFIRM, OBVIOUS, OUTBOX, Slice
from tests.bench.measures.backlog import Backlog
from tests.bench.measures.latency import Answers, lines
from tests.bench.report import plot
from tests.bench.report.results import Results, rows
from tests.bench.report.tables import markdown, table
from tests.bench.soak import growth

BACKLOG = Backlog(
    events=1_000,
    waiting_bytes=100_000_000,
    draining_bytes=160_000_000,
    drain_rate=900.0,
    raw_rates=(1_000.0, 1_000.0),
)


def slice_of(cpu_us: float, rate: float) -> Slice:
    return Slice(events=1, cpu_us=cpu_us, acknowledged_rate=rate, delivered_rate=rate)


def answers(name: str, part: float, p99_ms: float) -> Answers:
    latency_ms = {"50": p99_ms / 2, "99": p99_ms}
    return Answers(name=name, part=part, rate=1_000 * part, latency_ms=latency_ms)


def test_a_row_holds_by_the_median_of_the_ratios_of_each_round() -> None:
    slow, fast = slice_of(180, 1_000), slice_of(100, 3_000)
    rounds = [{BARE: fast, OBVIOUS: slow, OUTBOX: ours} for ours in (fast, fast, slow)]

    bare, obvious = rows(Results(throughput=rounds))

    assert (bare.reached, bare.holds) == ("1.00 (1.00 to 1.80)", True)
    assert (obvious.reached, obvious.holds) == ("0.56 (0.56 to 1.00)", False)


def test_a_backlog_is_held_against_the_raw_publisher_and_the_larger_memory() -> None:
    drain, memory = rows(Results(backlog=BACKLOG))

    assert (drain.reached, drain.holds) == ("90%", True)
    assert (memory.reached, memory.holds) == ("100, or 160 MB", False)


@pytest.mark.parametrize(("taken_s", "holds"), [(0.5, True), (0.51, False)])
def test_a_limit_holds_up_to_its_value(taken_s: float, *, holds: bool) -> None:
    (row,) = rows(Results(starts_s=[taken_s]))

    assert row.holds is holds


def test_what_was_not_measured_is_not_in_the_report() -> None:
    text = markdown(Results(starts_s=[0.5], about={"date": "2026-11-20"}))

    assert text.startswith("| what | to reach | reached | holds |")
    assert (
        "`relay serve`, from start to ready | at most 0.5 s | 0.50 (0.50 to 0.50) s | yes" in text
    )
    assert "- date: 2026-11-20" in text
    assert text.count("| --- | ---") == 2  # of the one table's four columns


def test_a_whole_report_has_each_candidate_in_each_table() -> None:
    names = (BARE, OBVIOUS, OUTBOX, CONFIRM, "another")
    rounds = [{name: slice_of(100, 1_000) for name in names}]
    parts = (0.25, 0.5, 0.75, 0.9)
    found = Results(
        throughput=rounds,
        arrays={"events:10": rounds},
        answers=[answers(name, part, 4) for name in names for part in parts],
    )

    assert markdown(found).count("| another |") == 3


@pytest.mark.parametrize(("last_mb", "expected"), [(100, 0.0), (110, 0.1), (90, -0.1)])
def test_a_soak_compares_the_end_with_what_it_was_after_the_first_tenth(
    last_mb: int, expected: float
) -> None:
    resident_mb = [50, 100, *[200] * 17, last_mb]

    assert growth(resident_mb) == pytest.approx(expected)


def test_a_table_without_lines_is_left_out() -> None:
    assert table(("a", "b"), []) == []
    assert table(("a", "b"), [("1", "2")]) == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]


def test_the_lines_of_the_plot_are_medians_by_rate() -> None:
    found = lines([answers("x", part, ms) for ms in (1, 9, 2) for part in (0.25, 0.5)])

    assert found == {"x": [(250.0, 2), (500.0, 2)]}


def test_the_plot_shows_every_point_and_every_stage() -> None:
    text = plot.svg({"<x>": [(100, 0.5), (200, 50)]}, {"y": {"HTTP": 60.0, "outbox": 40.0}})

    elements = [element.tag.rpartition("}")[2] for element in ET.fromstring(text).iter()]  # noqa: S314  our own
    assert elements.count("circle") == 2
    assert elements.count("polyline") == 1
    assert elements.count("title") == 2
    assert "&lt;x&gt;" in text


def test_a_plot_of_nothing_is_an_empty_picture() -> None:
    elements = list(ET.fromstring(plot.svg({}, {})).iter())  # noqa: S314  our own

    assert len(elements) == 2
