"""A limit on log lines that senders can provoke."""

import time


class LogThrottle:
    """Keeps a line that senders can provoke from filling the log.

    Args:
        period_s: between two lines.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next_at = 0.0

    def should_log(self) -> bool:
        """Tell whether a line may be written now; then the next one may be a period later."""
        now = time.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + self._period_s
        return True
