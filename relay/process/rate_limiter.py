"""How fast something may be done. Pure: the clock comes in as a value."""

import math


class RateLimiter:
    """Spread actions evenly after a first burst. A pause allows for another burst, but no more.

    Args:
        per_s: actions per second; `math.inf` for no limit.
        burst: how many may be done at once.
    """

    def __init__(self, per_s: float, *, burst: int = 1) -> None:
        self._interval_s = 1 / per_s
        self._burst_s = (burst - 1) * self._interval_s
        self._idle_at = -math.inf
        """When a whole burst is available again. This one moment is all the state there is."""

    def reserve(self, now: float, count: int = 1) -> float:
        """Reserve the next actions, and return the seconds to wait before doing them.

        Args:
            now: seconds, of a monotonic clock.
            count: how many actions.
        """
        wait_s = max(0.0, self._idle_at - self._burst_s - now)
        self._idle_at = max(self._idle_at, now) + count * self._interval_s
        return wait_s
