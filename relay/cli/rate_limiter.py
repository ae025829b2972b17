"""How fast events may go out. Pure: the clock comes in as a value."""

_MOST_AT_ONCE = 1000
_WINDOWS_PER_S = 10


class RateLimiter:
    """Spread events evenly, so many a second at most. What a pause left out is not caught up.

    Args:
        rate: events per second; 0 for no limit.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free_at = 0.0
        self.window = _MOST_AT_ONCE
        """How many events may go out at once."""
        if rate:
            self.window = min(_MOST_AT_ONCE, max(1, rate // _WINDOWS_PER_S))

    def wait_s(self, count: int, now: float) -> float:
        """Return how long to wait before so many more go out.

        Args:
            count: how many; they are taken as sent after the wait.
            now: seconds, of a clock that never goes back.
        """
        if not self._rate:
            return 0.0
        starts_at = max(now, self._free_at)
        self._free_at = starts_at + count / self._rate
        return starts_at - now
