"""How often something may be done. Pure: time is an argument."""

import math


class TokenBucket:
    """Tokens that are taken one at a time, and come back at a steady rate.

    Args:
        capacity: how many there are at first, and at most.
        per_s: how many come back in a second.
    """

    def __init__(self, *, capacity: int, per_s: float) -> None:
        self._interval_s = 1 / per_s
        self._spare_s = (capacity - 1) * self._interval_s
        self._full_at = -math.inf  # one moment says it all: when no token will be missing

    def take(self, now: float) -> float:
        """Take the next token, and return the seconds until it is there.

        Args:
            now: seconds of a clock that never goes back.
        """
        wait_s = max(0.0, self._full_at - self._spare_s - now)
        self._full_at = max(self._full_at, now) + self._interval_s
        return wait_s
