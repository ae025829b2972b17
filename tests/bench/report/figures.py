"""Figures out of measurements: percentiles, medians with their spread, ratios by round. Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A median of several rounds, and the least and the greatest of them."""

    median: float
    least: float
    most: float

    def text(self, form: str = ",.0f") -> str:
        """Return `median (least to most)`."""
        return f"{self.median:{form}} ({self.least:{form}} to {self.most:{form}})"


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(values: Sequence[float], of: Sequence[float]) -> Spread:
    """Return the spread of value by value: what was measured in one round is compared."""
    return spread([value / base for value, base in zip(values, of, strict=True)])


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the least value that `percent` of all do not exceed; 0.0 when there is none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
