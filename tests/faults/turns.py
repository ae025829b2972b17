"""Which scenario a run plays next, and to how many events. Pure."""

from collections.abc import Mapping, Sequence

from tests.faults.scenarios.scenario import Scenario

_MAX_EVENTS = 100_000
"""Of one turn: what a run that is cut off may lose, up to ten minutes."""


class Turns:
    """Which scenario is played next, and to how many events: all of them once, or to a total.

    Args:
        scenarios: to choose from.
        events: to be acknowledged, by all scenarios once, or (`until`) by all parts together.
    """

    def __init__(self, scenarios: Sequence[Scenario], *, events: int, until: bool) -> None:
        self._left = list(scenarios)
        self._events = events
        self._until = until
        self._share = -(-events // len(scenarios))

    def following(self, acknowledged: Mapping[str, int]) -> tuple[Scenario, int] | None:
        """Return the next scenario and its events, None at the end.

        Args:
            acknowledged: events by scenario, in all parts so far.
        """
        if not self._left:
            return None
        if not self._until:
            return self._left.pop(0), self._share
        if sum(acknowledged.values()) >= self._events:
            return None
        scenario = min(self._left, key=lambda each: acknowledged.get(each.name, 0))
        missing = self._level(acknowledged) - acknowledged.get(scenario.name, 0)
        return scenario, min(missing, _MAX_EVENTS)

    def _level(self, acknowledged: Mapping[str, int]) -> int:
        """Return what each scenario that has fewer is to come to, so that all come to the total."""
        counts = sorted([acknowledged.get(each.name, 0) for each in self._left])
        total = self._events - (sum(acknowledged.values()) - sum(counts))
        while counts[-1] > (level := -(-total // len(counts))):
            total -= counts.pop()
        return level

    def leave_out(self, scenario: Scenario) -> None:
        """Do not choose a scenario again: it could not be played, or did not hold."""
        if scenario in self._left:
            self._left.remove(scenario)
