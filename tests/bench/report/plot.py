"""Two diagrams as one SVG, without a library: latency by rate, and CPU per event by stage. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

_COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#a463f2", "#9c6b4e", "#9498a0")
_WIDTH, _HEIGHT, _HALF = 960, 380, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 44, 84
_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
_STYLE = "font: 12px system-ui, sans-serif; fill: #333"
_DECADES = (0.1, 1, 10, 100, 1000, 10_000)
_TICKS = 5


@dataclass(frozen=True, slots=True)
class _Area:
    """Where one diagram is drawn, and up to which values."""

    left: float
    most_x: float
    least_y: float
    most_y: float
    is_logarithmic: bool

    def x(self, value: float) -> float:
        return self.left + _LEFT + value / self.most_x * (_HALF - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        part = (self._scaled(value) - self._scaled(self.least_y)) / (
            self._scaled(self.most_y) - self._scaled(self.least_y)
        )
        return _HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, self.least_y)) if self.is_logarithmic else value


def svg(lines: Mapping[str, Sequence[Point]], bars: Mapping[str, Mapping[str, float]]) -> str:
    """Return the picture.

    Args:
        lines: by candidate, (requests per second, 99th percentile in ms).
        bars: by candidate, µs of CPU per event by stage.
    """
    parts = [
        f'<svg {_NAMESPACE} viewBox="0 0 {_WIDTH} {_HEIGHT}" style="{_STYLE}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        *(_lines(lines) if lines else ()),
        *(_bars(bars) if bars else ()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _lines(lines: Mapping[str, Sequence[Point]]) -> Iterator[str]:
    points = [point for line in lines.values() for point in line]
    low, high = min(y for _, y in points), max(y for _, y in points)
    area = _Area(
        left=0,
        most_x=_rounded_up(max(x for x, _ in points)),
        least_y=max([decade for decade in _DECADES if decade <= low], default=_DECADES[0]),
        most_y=min([decade for decade in _DECADES if decade > high], default=_DECADES[-1]),
        is_logarithmic=True,
    )
    yield _text(area.left + _LEFT, 24, "99th percentile of the answer (ms) by requests per second")
    for decade in _DECADES:
        if area.least_y <= decade <= area.most_y:
            yield from _rule(area, decade)
    for number in range(_TICKS + 1):
        value = area.most_x * number / _TICKS
        yield _text(area.x(value), _HEIGHT - _BOTTOM + 18, f"{value:,.0f}", anchor="middle")
    for colour, line in zip(_COLOURS, lines.values(), strict=False):
        ordered = [(area.x(x), area.y(y)) for x, y in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in ordered)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, y in ordered:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
    yield from _legend(area, list(lines))


def _bars(bars: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    highest = max(sum(parts.values()) for parts in bars.values())
    area = _Area(
        left=_HALF,
        most_x=len(bars),
        least_y=0,
        most_y=_rounded_up(highest),
        is_logarithmic=False,
    )
    yield _text(area.left + _LEFT, 24, "CPU per event by stage (µs)")
    for number in range(_TICKS + 1):
        yield from _rule(area, area.most_y * number / _TICKS)
    stages = list(next(iter(bars.values())))
    for number, (name, parts) in enumerate(bars.items()):
        below = 0.0
        for colour, stage in zip(_COLOURS, stages, strict=False):
            top, bottom = area.y(below + parts[stage]), area.y(below)
            below += parts[stage]
            yield (
                f'<rect x="{area.x(number + 0.2):.1f}" y="{top:.1f}"'
                f' width="{area.x(0.6) - area.x(0):.1f}" height="{bottom - top:.1f}"'
                f' fill="{colour}"><title>{escape(stage)}: {parts[stage]:.0f} µs</title></rect>'
            )
        middle = area.x(number + 0.5)
        yield _text(middle, area.y(below) - 5, f"{below:.0f}", anchor="middle")
        yield _text(middle, _HEIGHT - _BOTTOM + 18, name, anchor="middle")
    yield from _legend(area, stages)


def _rule(area: _Area, value: float) -> Iterator[str]:
    y = area.y(value)
    yield (
        f'<line x1="{area.left + _LEFT}" x2="{area.left + _HALF - _RIGHT}" y1="{y:.1f}"'
        f' y2="{y:.1f}" stroke="#ddd"/>'
    )
    yield _text(area.left + _LEFT - 6, y + 4, f"{value:,g}", anchor="end")


def _legend(area: _Area, names: Sequence[str]) -> Iterator[str]:
    for number, (colour, name) in enumerate(zip(_COLOURS, names, strict=False)):
        x = area.left + _LEFT + number % 2 * 200
        y = _HEIGHT - _BOTTOM + 34 + number // 2 * 16
        yield f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>'
        yield _text(x + 15, y + 9, name)


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _rounded_up(value: float) -> float:
    """Return the next value that divides an axis into round parts."""
    unit = 10.0 ** math.floor(math.log10(value))
    return min(
        factor * unit for factor in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if factor * unit >= value
    )
