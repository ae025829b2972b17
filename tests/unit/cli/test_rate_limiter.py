"""How many events go out in a second, counted on a clock that the test moves."""

import itertools

import pytest

from relay.cli.rate_limiter import RateLimiter


def sent_at(pace: RateLimiter, count: int, *, took_s: float = 0.0) -> list[float]:
    """Return when each of so many events went out, if publishing a window takes took_s."""
    now, moments = 1000.0, []
    while len(moments) < count:
        now += pace.wait_s(pace.window, now)
        moments += [now] * pace.window
        now += took_s
    return moments


def most_in_a_second(moments: list[float]) -> int:
    return max(sum(at <= it < at + 1 for it in moments) for at in set(moments))


@pytest.mark.parametrize("rate", [10, 15, 100, 2_000, 50_000])
@pytest.mark.parametrize("took_s", [0.0, 0.004])
def test_no_second_has_more_events_than_the_rate_and_one_window(rate: int, took_s: float) -> None:
    pace = RateLimiter(rate)

    moments = sent_at(pace, 3 * rate, took_s=took_s)

    assert most_in_a_second(moments) <= rate + pace.window


@pytest.mark.parametrize("rate", [10, 2_000, 50_000])
def test_the_rate_is_reached(rate: int) -> None:
    moments = sent_at(RateLimiter(rate), 5 * rate)

    assert moments[-1] - moments[0] == pytest.approx(5, abs=0.3)


def test_events_go_out_evenly() -> None:
    moments = sorted(set(sent_at(RateLimiter(100), 300)))

    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]

    assert gaps == pytest.approx([0.1] * len(gaps))


def test_a_pause_is_not_caught_up() -> None:
    pace = RateLimiter(100)
    pace.wait_s(10, 0.0)

    after_an_hour = [pace.wait_s(10, 3600.0) for _ in range(3)]

    assert after_an_hour == pytest.approx([0.0, 0.1, 0.2])


def test_nothing_wanted_costs_no_time() -> None:
    pace = RateLimiter(10)

    assert [pace.wait_s(0, 5.0) for _ in range(100)] == [0.0] * 100


def test_without_a_rate_nothing_waits() -> None:
    pace = RateLimiter(0)

    assert [pace.wait_s(pace.window, 0.0) for _ in range(100)] == [0.0] * 100
