"""Figures out of measurements: percentiles, medians with their spread, ratios by round. Pure."""

import itertools
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

_Round = TypeVar("_Round")
_RESAMPLINGS = 200
_WITHIN = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Spread:
    """A median of several rounds, and the least and the greatest of them."""

    median: float
    least: float
    most: float

    def text(self, form: str = ",.0f") -> str:
        """Return `median (least to most)`."""
        return f"{self.median:{form}} ({self.least:{form}} to {self.most:{form}})"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of all rounds together, and the range in which 95 % of its resamplings lie."""

    value: float
    low: float
    high: float

    def text(self, form: str) -> str:
        """Return `value (low to high)`."""
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(values: Sequence[float], of: Sequence[float]) -> Spread:
    """Return the spread of value by value: what was measured in one round is compared."""
    return spread([value / base for value, base in zip(values, of, strict=True)])


def estimate(
    figure: Callable[[Sequence[_Round]], float], values: Sequence[_Round], of: Sequence[_Round]
) -> Estimate:
    """Return a figure of all rounds together, of that of others: a bootstrap over the rounds.

    A round is drawn with both of its values, since what else the machine did weighed on both.

    Args:
        figure: what is compared.
        values, of: what was measured, by round; equally many, at least one.
    """
    pairs = list(zip(values, of, strict=True))
    drawn = random.Random(0)  # noqa: S311  not for secrets; the same range for the same rounds

    def ratio(rounds: Sequence[tuple[_Round, _Round]]) -> float:
        ours, others = zip(*rounds, strict=True)
        return figure(ours) / figure(others)

    found = sorted(ratio(drawn.choices(pairs, k=len(pairs))) for _ in range(_RESAMPLINGS))
    return Estimate(ratio(pairs), *[percentile(found, percent) for percent in _WITHIN])


def pooled_percentile(rounds: Sequence[Sequence[float]], percent: float) -> float:
    """Return a percentile of the values of all rounds together."""
    return percentile(sorted(itertools.chain.from_iterable(rounds)), percent)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the least value that `percent` of all do not exceed; 0.0 when there is none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
