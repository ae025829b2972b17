"""In a flood a hundred rows are shown at once, then ten a second."""

import pytest

from relay.console.feed.allowance import MAX_AT_ONCE, ROWS_PER_S, Allowance


@pytest.mark.parametrize(
    ("taken", "after_s", "left"),
    [
        (0, 0.0, MAX_AT_ONCE),
        (0, 3600.0, MAX_AT_ONCE),
        (MAX_AT_ONCE, 0.0, 0),
        (MAX_AT_ONCE, 0.01, 0),
        (MAX_AT_ONCE, 1.0, ROWS_PER_S),
        (MAX_AT_ONCE + 1, 0.0, 0),
        (MAX_AT_ONCE + ROWS_PER_S, 1.0, 0),
        (MAX_AT_ONCE + ROWS_PER_S, 2.0, ROWS_PER_S),
        (3 * ROWS_PER_S, 1.0, MAX_AT_ONCE - 2 * ROWS_PER_S),
    ],
)
def test_what_is_left_comes_back_with_time(taken: int, after_s: float, left: int) -> None:
    allowance = Allowance(7.0)

    allowance.take(taken)

    assert allowance.left(7.0 + after_s) == left


@pytest.mark.parametrize("looks_per_s", [1, 3, 20, 1000])
def test_looking_more_often_gives_no_more(looks_per_s: int) -> None:
    allowance = Allowance(0.0)
    shown = 0

    for number in range(10 * looks_per_s + 1):
        left = allowance.left(number / looks_per_s)
        allowance.take(left)
        shown += left

    assert MAX_AT_ONCE + 10 * ROWS_PER_S - 1 <= shown <= MAX_AT_ONCE + 10 * ROWS_PER_S
