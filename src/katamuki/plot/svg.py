"""Small pictures as SVG markup: axes with ticks, curves, contours; for the page that replays a run.

Positions are tenths of a pixel at most, since a browser draws no finer; every text is escaped. Colours are classes,
which the page's style sheet fills for light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from katamuki.plot.braille import mark_label, ticks
from katamuki.records import Array
from katamuki.report.numbers import MINUS

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FARTHEST = 30_000.0  # pixels: beyond, browsers lose precision


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of numbers and the pixels of its ends; linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, values: Array | float) -> Array:
        """The pixels of some values, NaN for what has no place."""
        x, low, high = np.asarray(values, dtype=np.float64), self.low, self.high
        with np.errstate(all="ignore"):
            if self.log:
                x, low, high = np.where(x > 0.0, np.log10(x), np.nan), math.log10(low), math.log10(high)
            pixels = self.start + (x - low) / ((high - low) or 1.0) * (self.end - self.start)
        return np.clip(pixels, -FARTHEST, FARTHEST)

    def marks(self, count: int) -> list[tuple[float, str]]:
        """Round numbers on the axis with their labels."""
        if not self.log:
            found = ticks(self.low, self.high, count)
            return [(one, mark_label(one, found).replace("-", MINUS)) for one in found]
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        every = max(1, math.ceil((last - first + 1) / count))
        powers = range(first - first % every if every > 1 else first, last + 1, every)
        return [(10.0**k, _power(k)) for k in powers if first <= k <= last]


def apart(low: float, high: float, room: float = 0.0) -> tuple[float, float]:
    """The ends of an axis with some room, a share of their distance; what differs by rounding only gets more."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        half = abs(low) / 2 or 1.0
        return low - half, high + half
    return low - room * (high - low), high + room * (high - low)


def _power(k: int) -> str:
    return str(10**k) if 0 <= k <= 3 else "0.1" if k == -1 else "10" + str(k).translate(RAISED)


def frame(x: Axis, y: Axis, across: str, up: str, count: tuple[int, int] = (6, 5)) -> str:
    """The axes: ticks, grid lines, labels, the names across and up."""
    parts = []
    for value, label in x.marks(count[0]):
        at = px(x.at(value))
        parts.append(f'<path class="grid" d="M{at} {px(y.start)}V{px(y.end)}"/>')
        parts.append(f'<text x="{at}" y="{px(y.start + 15)}" text-anchor="middle">{escape(label)}</text>')
    for value, label in y.marks(count[1]):
        at = px(y.at(value))
        parts.append(f'<path class="grid" d="M{px(x.start)} {at}H{px(x.end)}"/>')
        parts.append(f'<text x="{px(x.start - 6)}" y="{px(y.at(value) + 4)}" text-anchor="end">{escape(label)}</text>')
    parts.append(f'<path class="axis" d="M{px(x.start)} {px(y.end)}V{px(y.start)}H{px(x.end)}"/>')
    if across:
        parts.append(
            f'<text class="name" x="{px(x.end)}" y="{px(y.start + 32)}" text-anchor="end">{escape(across)}</text>'
        )
    if up:
        parts.append(f'<text class="name" x="{px(x.start - 50)}" y="{px(y.end - 8)}">{escape(up)}</text>')
    return "".join(parts)


def px(value: Array | float) -> str:
    """A pixel to a tenth."""
    text = f"{float(value):.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def path(x: Array, y: Array) -> str:
    """The ``d`` of a curve through pixels, broken where one has no place; equal neighbours are left out."""
    parts, pen, before = [], "M", ""
    for one, other in zip(x.tolist(), y.tolist(), strict=True):
        if not (math.isfinite(one) and math.isfinite(other)):
            pen = "M"
            continue
        here = f"{px(one)} {px(other)}"
        if pen == "M" or here != before:
            parts.append(pen + here)
        pen, before = "L", here
    return "".join(parts)


def dots(x: Array, y: Array) -> str:
    """The ``d`` of dots: strokes of no length, which round line caps make visible."""
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    return "".join(f"M{px(a)} {px(b)}h0" for a, b in pairs if math.isfinite(a) and math.isfinite(b))


def bands(x: Axis, y: Axis, axes: Sequence[Array], height: Array, levels: Array) -> str:
    """Filled bands between contours, each a class: ``band0`` deepest."""
    from matplotlib.figure import Figure
    from matplotlib.path import Path

    drawn = Figure().subplots().contourf(*axes, height, levels, extend="both")
    parts = []
    for k, one in enumerate(drawn.get_paths()):
        corners = np.asarray(one.vertices, dtype=np.float64)
        if not len(corners):
            continue
        places = zip(
            x.at(corners[:, 0]).tolist(), y.at(corners[:, 1]).tolist(), np.asarray(one.codes).tolist(), strict=True
        )
        text, before = [], ""
        for a, b, code in places:
            here = f"{a:.0f} {b:.0f}"
            if code == Path.CLOSEPOLY:
                text.append("Z")
            elif code == Path.MOVETO:
                text.append("M" + here)
            elif here != before:
                text.append("L" + here)
            before = here
        parts.append(f'<path class="band" style="--depth:{k}" d="{"".join(text)}"/>')
    return "".join(parts)


def picture(width: int, height: int, title: str, inside: str, name: str) -> str:
    """An ``<svg>`` with a name for those who do not see it; what leaves its field is cut."""
    return (
        f'<svg id="{name}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{inside}</svg>"
    )


def field(x: Axis, y: Axis, name: str, inside: str) -> str:
    """What is cut at the ends of the axes."""
    place = f'x="{px(x.start)}" y="{px(y.end)}" width="{px(x.end - x.start)}" height="{px(y.start - y.end)}"'
    return (
        f'<clipPath id="{name}-field"><rect {place}/></clipPath><rect class="field" {place}/>'
        f'<g clip-path="url(#{name}-field)">{inside}</g>'
    )
