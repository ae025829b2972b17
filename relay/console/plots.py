"""Plots as numbers: the points of lines in an SVG, which a template draws. Pure."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from relay.console.watching.history import KEPT_S, Sample

WIDTH, HEIGHT = 600, 120
_POINTS = 240
_GAP_S = 60.0
_SPANS_S = (240.0, 600.0, 1800.0, 3600.0, KEPT_S)
SPARK_WIDTH, SPARK_HEIGHT = 120, 18

Value = Callable[[Sample], float | None]
Writer = Callable[[float | None], str]


class Quantity(NamedTuple):
    """What a plot shows: a title, a unit, how a value is written, the least it is tall."""

    title: str
    unit: str
    write: Writer
    min_top: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotLine:
    """A line: its name, its latest value as text, its class, and the path of its SVG."""

    name: str
    latest: str
    css_class: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot; `top` is the value at its upper edge, as text."""

    quantity: Quantity
    top: str
    lines: Sequence[PlotLine]
    is_empty: bool


def span_s(samples: Sequence[Sample], now: float) -> float:
    """Return how far back plots go: to the oldest sample, and some; from 4 minutes to 2 hours."""
    age_s = now - samples[0].at if samples else 0.0
    return next((span for span in _SPANS_S if span >= age_s), KEPT_S)


def plot(
    quantity: Quantity,
    samples: Sequence[Sample],
    lines: Sequence[tuple[str, Value]],
    now: float,
) -> Plot:
    """Return a plot of the last minutes, up to two hours.

    Args:
        quantity: what it shows.
        samples: the oldest first.
        lines: a name, and what to read of a sample.
        now: seconds since 1970: its right edge.
    """
    series = [list(_averages(samples, value, now)) for _, value in lines]
    values = [value for points in series for _, value in points if value is not None]
    top = nice_ceiling(max([*values, quantity.min_top]))
    drawn = [
        PlotLine(
            name=name,
            latest=quantity.write(value(samples[-1]) if samples else None),
            css_class=f"line-{index}",
            path=_path(points, top),
        )
        for index, ((name, value), points) in enumerate(zip(lines, series, strict=True))
    ]
    return Plot(quantity=quantity, top=quantity.write(top), lines=drawn, is_empty=not values)


def _averages(
    samples: Sequence[Sample], value: Value, now: float
) -> Iterable[tuple[float, float | None]]:
    """Yield a position from 0 to 1 and an average for each of 240 parts that has samples."""
    reach_s = span_s(samples, now)
    part_s = reach_s / _POINTS
    parts: dict[int, list[float]] = {}
    for sample in samples:
        found = value(sample)
        if found is not None and 0 <= now - sample.at <= reach_s:
            parts.setdefault(int((now - sample.at) // part_s), []).append(found)
    before: int | None = None
    for index in sorted(parts, reverse=True):
        if before is not None and (before - index) * part_s > _GAP_S:
            yield 0.0, None
        before = index
        yield 1 - (index + 0.5) / _POINTS, sum(parts[index]) / len(parts[index])


def _path(points: Iterable[tuple[float, float | None]], top: float) -> str:
    """Return the points as the path of an SVG; None lifts the pen."""
    words, letter = [], "M"
    for position, value in points:
        if value is None:
            letter = "M"
            continue
        y = HEIGHT - value / top * (HEIGHT - 2) - 1
        words.append(f"{letter}{position * WIDTH:.1f} {y:.1f}")
        letter = "L"
    if len(words) == 1:  # a line needs two ends to be seen
        words.append("h2")
    return " ".join(words)


def nice_ceiling(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, ... that is not below value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.9999))


def sparkline(values: Sequence[float]) -> str:
    """Return small bars, one for each value, as the path of an SVG."""
    top = max([*values, 1.0])
    step = SPARK_WIDTH / max(len(values), 1)
    bars = []
    for index, value in enumerate(values):
        if value > 0:
            height = max(1.0, value / top * SPARK_HEIGHT)
            width = step - 0.5
            bar = f"M{index * step:.1f} {SPARK_HEIGHT}v-{height:.1f}h{width:.1f}v{height:.1f}z"
            bars.append(bar)
    return " ".join(bars)
