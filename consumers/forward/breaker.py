"""When to pause an endpoint that is down, and when to try it again. Pure: time is an argument.

An endpoint that refuses every event is down as well. But it may refuse one event because of the
event: however often that is tried, it counts once.

CLOSED --failures in a row, or asked to wait--> OPEN --the pause is over--> HALF_OPEN
   ^                                            ^                            |   |
   |                                            +--------the probe failed----+   |
   +-----------------------the probe succeeded-----------------------------------+
"""

from collections.abc import Callable
from enum import StrEnum

_PROBE_WAIT_S = 1.0
"""How long to wait before asking again while a probe runs; nobody knows how long it takes."""


class BreakerState(StrEnum):
    """Which calls are made: all, none, or a single probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Decide which calls are made. Each is admitted first, and its result reported afterwards.

    Results of calls admitted before the last state change are ignored: one of many that ran at the
    same time is enough.

    Args:
        failures_to_open: how many in a row open it.
        first_pause_s: the pause after opening; doubled each time the probe fails.
        longest_pause_s: the limit of every pause.
        chance: a random number from 0 to 1. It shortens a pause by up to a half, so that breakers
            which opened at the same time do not probe at the same time.
    """

    def __init__(
        self,
        *,
        failures_to_open: int,
        first_pause_s: float,
        longest_pause_s: float,
        chance: Callable[[], float],
    ) -> None:
        self.state = BreakerState.CLOSED
        self._failures_to_open = failures_to_open
        self._first_pause_s = min(first_pause_s, longest_pause_s)
        self._longest_pause_s = longest_pause_s
        self._chance = chance
        self._failures = 0
        self._refused: set[str] = set()
        self._changes = 0
        self._pause_s = self._first_pause_s
        self._open_until = 0.0

    def admit(self, now: float) -> int | None:
        """Return a number for a call that may be made, or None if it has to wait."""
        if self.state is BreakerState.OPEN and now >= self._open_until:
            self._change(BreakerState.HALF_OPEN)
            return self._changes
        return self._changes if self.state is BreakerState.CLOSED else None

    def wait_s(self, now: float) -> float:
        """Return how long to wait before asking again."""
        match self.state:
            case BreakerState.CLOSED:
                return 0.0
            case BreakerState.OPEN:
                return max(0.0, self._open_until - now)
            case BreakerState.HALF_OPEN:
                return _PROBE_WAIT_S

    def succeeded(self, call: int) -> None:
        """Report that a call succeeded."""
        if call != self._changes:
            return
        self._reset_counts()
        if self.state is BreakerState.HALF_OPEN:
            self._pause_s = self._first_pause_s
            self._change(BreakerState.CLOSED)

    def failed(self, call: int, now: float, *, pause_s: float | None = None) -> None:
        """Report that a call found it down; if pause_s is given, open for so long at once."""
        if call != self._changes:
            return
        self._failures += 1
        if pause_s is not None:
            self._open(now + min(pause_s, self._longest_pause_s))
        elif self.state is BreakerState.HALF_OPEN or self._failures >= self._failures_to_open:
            self._open(now + self._pause_s * (1 - self._chance() / 2))
            self._pause_s = min(2 * self._pause_s, self._longest_pause_s)

    def refused(self, call: int, now: float, event_id: str) -> None:
        """Report that it answered, but refused this event."""
        if call != self._changes or event_id in self._refused:
            return
        self._refused.add(event_id)
        self.failed(call, now)

    def abandoned(self, call: int, now: float) -> None:
        """Report that a call was cancelled, so that its result is unknown; the next may be made."""
        if call == self._changes and self.state is BreakerState.HALF_OPEN:
            self._open(now)

    def _open(self, until: float) -> None:
        self._open_until = until
        self._change(BreakerState.OPEN)

    def _change(self, state: BreakerState) -> None:
        self.state = state
        self._changes += 1
        self._reset_counts()

    def _reset_counts(self) -> None:
        self._failures = 0
        self._refused.clear()
