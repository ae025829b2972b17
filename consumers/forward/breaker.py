"""When to leave something alone that is down, and when to try it again. Pure: time is an argument.

What takes no event is down as well. What does not take one event may be broken by that very event:
however often it is tried, it counts once.

CLOSED --failures in a row, or told to wait--> OPEN --the pause is over--> HALF_OPEN
   ^                                            ^                            |   |
   |                                            +--------the probe failed----+   |
   +-----------------------the probe succeeded-----------------------------------+
"""

from collections.abc import Callable
from enum import StrEnum

_PROBE_S = 1.0
"""When to ask again while a probe is under way; how long it takes nobody knows."""


class State(StrEnum):
    """Whether calls are made: all, none, or a single one to find out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Decide which calls are made. Each is admitted first, and its outcome told afterwards.

    What is told of a call from before the last change of state is passed over: of many calls that
    were under way at the same time, one outcome is enough.

    Args:
        failures_to_open: so many in a row open it.
        first_pause_s: the pause after opening; doubled each time the probe fails.
        longest_pause_s: the bound of every pause.
        chance: a number from 0 to 1; it takes up to half of a pause away, so that many that
            opened at the same time do not come back at the same time.
    """

    def __init__(
        self,
        *,
        failures_to_open: int,
        first_pause_s: float,
        longest_pause_s: float,
        chance: Callable[[], float],
    ) -> None:
        self.state = State.CLOSED
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
        """Return a number for a call that may be made, or None when it has to wait."""
        if self.state is State.OPEN and now >= self._open_until:
            self._change(State.HALF_OPEN)
            return self._changes
        return self._changes if self.state is State.CLOSED else None

    def wait_s(self, now: float) -> float:
        """Return how long to wait before asking again."""
        match self.state:
            case State.CLOSED:
                return 0.0
            case State.OPEN:
                return max(0.0, self._open_until - now)
            case State.HALF_OPEN:
                return _PROBE_S

    def succeeded(self, call: int) -> None:
        """Take note that a call got through."""
        if call != self._changes:
            return
        self._count_anew()
        if self.state is State.HALF_OPEN:
            self._pause_s = self._first_pause_s
            self._change(State.CLOSED)

    def failed(self, call: int, now: float, *, pause_s: float | None = None) -> None:
        """Take note that a call found it down; open at once for pause_s, if that is given."""
        if call != self._changes:
            return
        self._failures += 1
        if pause_s is not None:
            self._open(now + min(pause_s, self._longest_pause_s))
        elif self.state is State.HALF_OPEN or self._failures >= self._failures_to_open:
            self._open(now + self._pause_s * (1 - self._chance() / 2))
            self._pause_s = min(2 * self._pause_s, self._longest_pause_s)

    def refused(self, call: int, now: float, event_id: str) -> None:
        """Take note that it answered, but did not take this event."""
        if call != self._changes or event_id in self._refused:
            return
        self._refused.add(event_id)
        self.failed(call, now)

    def abandoned(self, call: int, now: float) -> None:
        """Take note that a call was given up before it told anything; the next may be made."""
        if call == self._changes and self.state is State.HALF_OPEN:
            self._open(now)

    def _open(self, until: float) -> None:
        self._open_until = until
        self._change(State.OPEN)

    def _change(self, state: State) -> None:
        self.state = state
        self._changes += 1
        self._count_anew()

    def _count_anew(self) -> None:
        self._failures = 0
        self._refused.clear()
