"""Doing again what has failed, and saying so: longer waits each time, with jitter; few lines."""

import random
import time


def delay_s(attempt: int, *, first_s: float, last_s: float) -> float:
    """Return the wait after an attempt, counted from 1: doubled each time, give or take a half."""
    doubled_s = min(first_s * 2.0 ** min(attempt - 1, 16), last_s)
    return doubled_s * random.uniform(0.5, 1.5)  # noqa: S311  jitter


class Seldom:
    """Keeps a line that senders can provoke from filling the log.

    Args:
        period_s: between two lines.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next_at = 0.0

    def is_due(self) -> bool:
        """Tell whether a line may be written now; then the next one may be a period later."""
        now = time.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + self._period_s
        return True
