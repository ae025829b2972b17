"""How long one waits between attempts."""

from relay.process import backoff
from tests.support.rows import for_each_row


@for_each_row(
    ("attempt", "middle_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 32.0), (8, 60.0), (10_000, 60.0)]
)
def test_a_delay_doubles_up_to_the_last_give_or_take_half(attempt: int, middle_s: float) -> None:
    delays = [backoff.delay_s(attempt, first_s=0.5, last_s=60.0) for _ in range(100)]

    assert all(0.5 * middle_s <= delay <= 1.5 * middle_s for delay in delays)
    assert max(delays) > min(delays)
