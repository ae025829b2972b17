"""How many rows may be shown in a flood: a person reads some a second. Pure."""

ROWS_PER_S = 10
MAX_AT_ONCE = 100


class Allowance:
    """Rows that may be shown: 100 at once, and 10 more with each second.

    Args:
        now: of a clock that is never set, in seconds; so is each other one.
    """

    def __init__(self, now: float) -> None:
        self._left = float(MAX_AT_ONCE)
        self._at = now

    def left(self, now: float) -> int:
        """Return how many may be shown now."""
        self._left = min(MAX_AT_ONCE, self._left + ROWS_PER_S * (now - self._at))
        self._at = now
        return max(0, int(self._left))

    def take(self, count: int = 1) -> None:
        """Note that so many are shown."""
        self._left -= count
