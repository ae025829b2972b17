"""The benchmark's arithmetic: percentiles, medians with their spread, ratios by round."""

import statistics

import pytest

from tests.bench.report.figures import (
    estimate,
    percentile,
    pooled_percentile,
    ratios,
    spread,
)
from tests.support.rows import for_each_row


@for_each_row(
    ("percent", "expected"),
    [(0, 1), (1, 1), (50, 50), (90, 90), (99, 99), (99.9, 100), (100, 100)],
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    percent: float, expected: float
) -> None:
    assert percentile(range(1, 101), percent) == expected


@pytest.mark.parametrize("percent", [0, 50, 100])
def test_a_percentile_of_little_is_what_there_is(percent: float) -> None:
    assert percentile([7.0], percent) == 7.0
    assert percentile([], percent) == 0.0


def test_a_spread_is_read_as_median_and_range() -> None:
    assert spread([3_000, 1_000, 2_000]).text() == "2,000 (1,000 to 3,000)"
    assert spread([0.25]).text(".2f") == "0.25 (0.25 to 0.25)"


def test_a_ratio_is_taken_within_a_round_before_the_median() -> None:
    found = ratios([10, 40, 30], of=[10, 20, 10])

    assert (found.least, found.median, found.most) == (1, 2, 3)


def test_rounds_that_do_not_belong_together_are_not_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1, 2], of=[1])


def test_a_pooled_percentile_is_that_of_all_rounds_together() -> None:
    rounds = [list(range(99, 0, -1)), [200], []]

    assert pooled_percentile(rounds, 99) == 99
    assert pooled_percentile(rounds, 100) == 200


def test_an_estimate_compares_all_rounds_together_and_not_round_by_round() -> None:
    found = estimate(statistics.fmean, [10, 30], of=[10, 10])

    assert found.value == 2
    assert (found.low, found.high) == (1, 3)


def test_what_weighs_on_both_of_a_round_leaves_an_estimate_as_it_is() -> None:
    found = estimate(statistics.fmean, [2, 20, 200, 2_000], of=[1, 10, 100, 1_000])

    assert found.text(".2f") == "2.00 (2.00 to 2.00)"


def test_more_rounds_make_the_range_of_an_estimate_narrower() -> None:
    few, many = (estimate(statistics.fmean, [1.0, 2.0] * n, of=[1.0, 1.0] * n) for n in (3, 30))

    assert few.value == many.value == 1.5
    assert few.low < many.low < 1.5 < many.high < few.high
