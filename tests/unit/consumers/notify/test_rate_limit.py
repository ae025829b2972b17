"""Tokens come back at a steady rate, whatever the clock reads."""

import pytest

from consumers.notify.rate_limit import TokenBucket


def test_a_full_bucket_gives_all_its_tokens_at_once() -> None:
    bucket = TokenBucket(capacity=3, per_s=2)

    assert [bucket.take(1000) for _ in range(3)] == [0, 0, 0]


def test_what_is_taken_beyond_that_is_there_later_one_token_after_the_other() -> None:
    bucket = TokenBucket(capacity=3, per_s=2)

    waits = [bucket.take(1000) for _ in range(6)]

    assert waits[3:] == [0.5, 1.0, 1.5]


def test_tokens_come_back_with_time() -> None:
    bucket = TokenBucket(capacity=3, per_s=2)
    for _ in range(3):
        bucket.take(1000)

    waits = [bucket.take(1001) for _ in range(3)]

    assert waits == [0, 0, 0.5]


def test_a_bucket_never_holds_more_than_its_capacity() -> None:
    bucket = TokenBucket(capacity=2, per_s=1)
    bucket.take(0)

    waits = [bucket.take(1_000_000) for _ in range(3)]

    assert waits == [0, 0, 1]


@pytest.mark.parametrize("capacity", [1, 5])
def test_over_time_no_more_are_given_than_come_back(capacity: int) -> None:
    bucket = TokenBucket(capacity=capacity, per_s=20 / 60)
    now = 0.0

    for _ in range(1000):
        now += bucket.take(now)

    assert now == pytest.approx((1000 - capacity) * 3)
