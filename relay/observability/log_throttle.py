"""A limit on log lines that senders can provoke."""

import time


class LogThrottle:
    """Keep a line that senders can provoke from filling the log.

    Args:
        period_s: from one line to the next, at least.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next_at = 0.0

    def should_log(self) -> bool:
        """Return whether a line may be logged now. Then the next one has to wait for the period."""
        now = time.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + self._period_s
        return True
