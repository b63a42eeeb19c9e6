"""A picture of characters: the curve in braille dots or ASCII, the data as "o", with labelled axes.

Braille patterns hold 2 × 4 dots in a cell (Unicode block U+2800), which is fine enough for a curve. The ticks are
steps of 1, 2 or 5 times a power of ten.
"""

from __future__ import annotations

import math

import numpy as np

from katamuki import messages
from katamuki.plot.drawn import Fitted, Series, series
from katamuki.records import Array

DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column and row of a cell
POINT = "o"
MARGIN = 0.04  # of the range of y, free above and below
MANY = 5000  # points beyond which a seeded sample is drawn, for speed only


def terminal(fit: Fitted, width: int = 72, height: int = 11, unicode: bool = True, lang: str = "en") -> str:
    """Data and curve as lines of characters.

    Parameters
    ----------
    fit : Fitted
        A fit.
    width, height : int
        Cells of the whole picture and rows of its field, no unit.
    unicode : bool
        Whether braille and box characters may be used; ASCII otherwise.
    lang : str
        The language of the line that says what is drawn, where that is not data over the predictor.

    Returns
    -------
    str
        ``height`` + 2 lines, one more with several predictors, without a newline at the end.

    Example
    -------
    >>> import katamuki as km
    >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
    >>> print(terminal(fit, width=30, height=5, unicode=False))
    10 +                    o   .o
       |             o  ..o.:''''
       |     o   .o..:'o'      o
       |  o..:''''
     5 +o''    o
       +--------------------------
          5            10
    """
    found = series(fit, points=4 * width, through_rows=True)
    picture = draw(found, width, height, unicode)
    if found.name is not None:
        return picture
    return messages.sentence("plot.against", lang, name=found.response) + "\n" + picture


def draw(found: Series, width: int = 72, height: int = 11, unicode: bool = True) -> str:
    """The picture of a series; see :func:`terminal`."""
    x, y = _sample(found.x, found.y)
    low_x, high_x = _range(np.concatenate([x, found.curve_x]), 0.0)
    low_y, high_y = _range(np.concatenate([y, found.curve_y[np.isfinite(found.curve_y)]]), MARGIN)
    marks = ticks(low_y, high_y, max(2, height // 2))
    labels = {mark: mark_label(mark, marks) for mark in marks}
    margin = max(map(len, labels.values())) + 1
    cells = width - margin - 1

    def column(value: float) -> float:
        return (value - low_x) / (high_x - low_x) * cells

    def row(value: float) -> float:
        return (high_y - value) / (high_y - low_y) * height

    field = [[" "] * cells for _ in range(height)]
    _curve(field, found, column, row, unicode)
    for one, other in zip(x, y, strict=True):
        field[_inside(row(other), height)][_inside(column(one), cells)] = POINT
    side, tick, corner, floor = ("│", "┤", "└", "─") if unicode else ("|", "+", "+", "-")
    named = {_inside(row(mark), height): label for mark, label in labels.items()}
    lines = []
    for k, line in enumerate(field):
        edge = f"{named[k]:>{margin - 1}} {tick}" if k in named else " " * margin + side
        lines.append((edge + "".join(line)).rstrip())
    lines.append(" " * margin + corner + floor * cells)
    lines.append(_below(found, low_x, high_x, margin + 1, cells, column))
    return "\n".join(lines)


def _sample(x: Array, y: Array) -> tuple[Array, Array]:
    if len(x) <= MANY:
        return x, y
    kept = np.random.default_rng(0).choice(len(x), MANY, replace=False)
    return x[kept], y[kept]


def _range(values: Array, margin: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = (high - low) * margin if low < high else abs(low) / 2 or 1.0
    return low - room, high + room


def _inside(value: float, count: int) -> int:
    return min(count - 1, max(0, int(value)))


def _curve(field: list[list[str]], found: Series, column, row, unicode: bool) -> None:  # type: ignore[no-untyped-def]
    """Put the curve into the field, 2 × 4 dots a cell."""
    height, cells = len(field), len(field[0])
    dots = np.zeros((height, cells), dtype=np.int64)
    xs = np.union1d(np.linspace(found.curve_x[0], found.curve_x[-1], 8 * cells), found.curve_x)
    ys = np.interp(xs, found.curve_x, found.curve_y)
    before = None
    for x, y in zip(xs, ys, strict=True):
        if not math.isfinite(y):
            before = None
            continue
        i, j = int(2 * column(x)), int(4 * row(y))
        steep = range(min(before, j), max(before, j) + 1) if before is not None and abs(before - j) > 1 else (j,)
        for dot in steep:
            if 0 <= i < 2 * cells and 0 <= dot < 4 * height:
                dots[dot // 4, i // 2] |= DOTS[i % 2][dot % 4]
        before = j
    for k in range(height):
        for m in range(cells):
            if dots[k, m]:
                field[k][m] = chr(0x2800 + int(dots[k, m])) if unicode else _ascii(int(dots[k, m]))


def _ascii(dots: int) -> str:
    """The sign that stands where a cell's dots are: high, middle, low, or both."""
    high, low = dots & 0x1B, dots & 0xE4
    return ":" if high and low else "'" if high else "."


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers between two ends, about ``count`` of them, steps of 1, 2 or 5 times a power of ten.

    Example
    -------
    >>> ticks(4.26, 10.84, 5)
    [6.0, 8.0, 10.0]
    """
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((s * power for s in (1, 2, 5) if s * power >= rough * 0.999), 10 * power)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)] or [low]


def mark_label(mark: float, marks: list[float]) -> str:
    """How a mark is written: as many decimals as its neighbours ask for."""
    step = marks[1] - marks[0] if len(marks) > 1 else abs(mark) or 1.0
    largest = max(map(abs, marks))
    if largest >= 1e6 or 0 < largest < 1e-3:
        return f"{mark:.3g}"
    text = f"{mark:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _below(found: Series, low: float, high: float, margin: int, cells: int, column) -> str:  # type: ignore[no-untyped-def]
    """The labels under the field, left out where they would touch."""
    marks = ticks(low, high, max(2, cells // 8))
    line = [" "] * (margin + cells)
    end = 0
    for mark in marks:
        text = mark_label(mark, marks)
        at = min(margin + _inside(column(mark), cells) - (len(text) - 1) // 2, len(line) - len(text))
        if at > end or end == 0:
            line[at : at + len(text)] = text
            end = at + len(text)
    return "".join(line).rstrip()
