"""How much is done in a second, counted on a clock that the test moves."""

import itertools
import math
from bisect import bisect_left

import pytest

from relay.process.rate_limiter import RateLimiter

# A burst.


def test_a_burst_is_allowed_at_once() -> None:
    limiter = RateLimiter(2, burst=3)

    assert [limiter.reserve(1000) for _ in range(3)] == [0, 0, 0]


def test_what_exceeds_the_burst_is_spread_evenly() -> None:
    limiter = RateLimiter(2, burst=3)

    waits = [limiter.reserve(1000) for _ in range(6)]

    assert waits[3:] == [0.5, 1.0, 1.5]


def test_a_burst_comes_back_with_time() -> None:
    limiter = RateLimiter(2, burst=3)
    for _ in range(3):
        limiter.reserve(1000)

    waits = [limiter.reserve(1001) for _ in range(3)]

    assert waits == [0, 0, 0.5]


def test_a_long_pause_allows_for_one_burst() -> None:
    limiter = RateLimiter(1, burst=2)
    limiter.reserve(0)

    waits = [limiter.reserve(1_000_000) for _ in range(3)]

    assert waits == [0, 0, 1]


@pytest.mark.parametrize("burst", [1, 5])
def test_over_time_the_rate_is_kept(burst: int) -> None:
    limiter = RateLimiter(20 / 60, burst=burst)
    now = 0.0

    for _ in range(1000):
        now += limiter.reserve(now)

    assert now == pytest.approx((1000 - burst) * 3)


# Batches.


def done_at(rate: int, batch: int, count: int, *, took_s: float = 0.0) -> list[float]:
    """Return when each action was done, in batches that each take took_s."""
    limiter = RateLimiter(rate)
    now, moments = 1000.0, []
    while len(moments) < count:
        now += limiter.reserve(now, batch)
        moments += [now] * batch
        now += took_s
    return moments


def max_in_a_second(moments: list[float]) -> int:
    """Return how many of the moments, which are in order, lie in the second that has most."""
    return max(bisect_left(moments, start + 1) - bisect_left(moments, start) for start in moments)


@pytest.mark.parametrize(
    ("rate", "batch"), [(10, 1), (15, 1), (100, 10), (2_000, 200), (50_000, 1_000)]
)
@pytest.mark.parametrize("took_s", [0.0, 0.004])
def test_no_second_has_more_than_the_rate_and_one_batch(
    rate: int, batch: int, took_s: float
) -> None:
    moments = done_at(rate, batch, 3 * rate, took_s=took_s)

    assert max_in_a_second(moments) <= rate + batch


@pytest.mark.parametrize(("rate", "batch"), [(10, 1), (2_000, 200), (50_000, 1_000)])
def test_the_rate_is_reached(rate: int, batch: int) -> None:
    moments = done_at(rate, batch, 5 * rate)

    assert moments[-1] - moments[0] == pytest.approx(5, abs=0.3)


def test_batches_are_spread_evenly() -> None:
    moments = sorted(set(done_at(100, 10, 300)))

    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]

    assert gaps == pytest.approx([0.1] * len(gaps))


def test_a_pause_is_not_caught_up() -> None:
    limiter = RateLimiter(100)
    limiter.reserve(0.0, 10)

    after_an_hour = [limiter.reserve(3600.0, 10) for _ in range(3)]

    assert after_an_hour == pytest.approx([0.0, 0.1, 0.2])


def test_an_empty_batch_costs_no_time() -> None:
    limiter = RateLimiter(10)

    assert [limiter.reserve(5.0, 0) for _ in range(100)] == [0.0] * 100


def test_without_a_rate_nothing_waits() -> None:
    limiter = RateLimiter(math.inf)

    assert [limiter.reserve(0.0, 1000) for _ in range(100)] == [0.0] * 100
