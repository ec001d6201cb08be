"""Plots as SVG, readable on light and on dark pages, and without a library for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 170, 44, 52
_TICKS = 6
_MANY_DECADES = 1000
_COLORS = ("#d1495b", "#2e86ab", "#e58f00", "#3b8f5a", "#8e6bbf", "#7a7f87", "#b0643c", "#1f9e9e")
_KNOWN = (
    "bridge-sse", "bridge-ws", "bridge-socketio", "nchan-sse", "node-socketio", "floor-each",
    "aiohttp-sse", "floor-batch",
)  # fmt: skip
"""Each of these has the same color in all plots."""

_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #333 }
  .title { font-size: 14px; font-weight: 600 }
  .grid { stroke: #8888; stroke-width: 0.5 }
  .frame { stroke: #888; fill: none }
  .line { fill: none; stroke-width: 2 }
  @media (prefers-color-scheme: dark) { text { fill: #ccc } }
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """One side of a plot.

    Attributes:
        label: What is on it, with its unit.
        logarithmic: Whether equal steps are equal ratios.
    """

    label: str
    logarithmic: bool = False

    def scale(self, values: Iterable[float]) -> Scale:
        """Return a scale on which all values have a place."""
        positive = [one for one in values if one > 0 or not self.logarithmic]
        low, high = (min(positive), max(positive)) if positive else (1.0, 10.0)
        if self.logarithmic:
            return Scale(low / 1.15, high * 1.15, True)
        return Scale(min(0.0, low), high * 1.08 or 1.0, False)


@dataclass(frozen=True, slots=True)
class Scale:
    """Where values are on an axis.

    Attributes:
        low: What is at its beginning.
        high: What is at its end.
        logarithmic: See :class:`Axis`.
    """

    low: float
    high: float
    logarithmic: bool

    def place(self, value: float) -> float:
        """Return where a value is, from 0 to 1."""
        if not self.logarithmic:
            return (value - self.low) / (self.high - self.low)
        return math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        """Return round values to be marked."""
        if not self.logarithmic:
            return _even_ticks(self.low, self.high)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 2, 5) if self.high / self.low < _MANY_DECADES else (1,)
        found = [step * 10.0**decade for decade in decades for step in steps]
        return [one for one in found if self.low <= one <= self.high]


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines over two axes.

    Attributes:
        title: What they show.
        x: To the right.
        y: Upwards.
    """

    title: str
    x: Axis
    y: Axis

    def svg(self, lines: Mapping[str, Points]) -> str:
        """Return the drawing; a line's name is in the legend."""
        across = self.x.scale(x for points in lines.values() for x, _ in points)
        up = self.y.scale(y for points in lines.values() for _, y in points)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'role="img" aria-label="{escape(self.title)}">',
            f"<style>{_STYLE}</style>",
            _text(_LEFT, 24, self.title, "start", "title"),
            *self._grid(across, up),
        ]
        for number, (name, points) in enumerate(lines.items()):
            parts += _line(name, points, number, across, up)
        return "\n".join([*parts, "</svg>", ""])

    def _grid(self, across: Scale, up: Scale) -> list[str]:
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        parts = [
            f'<rect class="frame" x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" '
            f'height="{bottom - _TOP}"/>'
        ]
        for value in across.ticks():
            x = _x(across, value)
            parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>')
            parts.append(_text(x, bottom + 18, tick_text(value), "middle"))
        for value in up.ticks():
            y = _y(up, value)
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
            parts.append(_text(_LEFT - 8, y + 4, tick_text(value), "end"))
        parts.append(_text((_LEFT + right) / 2, _HEIGHT - 12, self.x.label, "middle"))
        middle = (_TOP + bottom) / 2
        parts.append(
            f'<text transform="translate(16 {middle:.0f}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y.label)}</text>"
        )
        return parts


def tick_text(value: float) -> str:
    """Return a value as it is written at an axis: ``1.5M``, ``200k``, ``0.05``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _line(name: str, points: Points, number: int, across: Scale, up: Scale) -> list[str]:
    place = _KNOWN.index(name) if name in _KNOWN else number
    color = _COLORS[place % len(_COLORS)]
    dashes = "" if name.startswith("bridge") else ' stroke-dasharray="6 4"'
    shown = [
        (_x(across, x), _y(up, y))
        for x, y in sorted(points)
        if (x > 0 or not across.logarithmic) and (y > 0 or not up.logarithmic)
    ]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in shown)
    legend_x, legend_y = _WIDTH - _RIGHT + 14, _TOP + 12 + 20 * number
    parts = [
        f'<path class="line" stroke="{color}"{dashes} d="M{legend_x} {legend_y}h22"/>',
        _text(legend_x + 28, legend_y + 4, name, "start"),
    ]
    if path:
        parts.append(f'<path class="line" stroke="{color}"{dashes} d="M{path}"/>')
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in shown]
    return parts


def _x(scale: Scale, value: float) -> float:
    return _LEFT + scale.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(scale: Scale, value: float) -> float:
    return _HEIGHT - _BOTTOM - scale.place(value) * (_HEIGHT - _TOP - _BOTTOM)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


def _even_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * one for one in (1, 2, 2.5, 5, 10) if size * one >= rough)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]
