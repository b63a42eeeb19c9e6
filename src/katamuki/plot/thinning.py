"""Which rows of a long trace are drawn: as many as an eye can tell apart, and always the extremes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from katamuki.records import Array

BINS = 800  # columns of a curve that are told apart
POINTS = 3000  # corners of a path that are drawn
FINE = 1 / 800  # of the picture's width: a shorter move is not seen
WINDOW = 3  # key steps kept on each side of an event
LAST = 8  # and at the end

Index = NDArray[np.int64]


def outline(x: Array, y: Array, bins: int = BINS) -> Index:
    """The rows of a curve that show: of each of ``bins`` columns the first, the least, the largest and the last.

    Parameters
    ----------
    x, y : (n,) float64
        The curve, x ascending; rows that are not finite are left out.
    bins : int
        Columns of the picture, no unit.

    Returns
    -------
    (m,) int64
        Rows, ascending.

    Source
    ------
    Jugel et al. 2014, M4: a visualization-oriented time series data aggregation, VLDB 7(10).

    Example
    -------
    >>> outline(np.arange(1000.0), np.sin(np.arange(1000.0)), 10).size
    39
    """
    rows = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if len(rows) <= 4 * bins:
        return rows
    ends = np.linspace(x[rows[0]], x[rows[-1]], bins + 1)[1:-1]
    column = np.searchsorted(ends, x[rows], side="right")
    first = np.flatnonzero(np.diff(column, prepend=-1))
    last = np.append(first[1:], len(rows)) - 1
    order = np.lexsort((y[rows], column))
    kept = np.concatenate([first, last, order[first], order[last]])
    return np.unique(rows[kept])


def corners(x: Array, y: Array, width: float, height: float, points: int = POINTS) -> Index:
    """The rows of a path in the plane that show in a picture of this width and height, first and last included.

    A row is left out where the path stays in a cell that an eye cannot split; of what is left, at most ``points`` rows,
    the early ones closer together.

    Example
    -------
    >>> corners(np.linspace(0.0, 1.0, 10_001), np.zeros(10_001), 1.0, 1.0).size
    801
    """
    rows = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if len(rows) <= points // 4:
        return rows
    across, up = np.floor(x[rows] / (FINE * (width or 1.0))), np.floor(y[rows] / (FINE * (height or 1.0)))
    moved = (np.diff(across, prepend=np.nan) != 0) | (np.diff(up, prepend=np.nan) != 0)
    moved[-1] = True
    found: Index = rows[moved]
    if len(found) > points:
        found = found[geometric(len(found), points)]
    return found


def geometric(count: int, most: int) -> Index:
    """At most ``most`` of the rows 0 to count − 1: all of the first, ever fewer later, the last.

    Example
    -------
    >>> geometric(1000, 10)
    array([  0,   1,   4,   9,  21,  45,  99, 214, 463, 999])
    """
    if count <= most:
        return np.arange(count)
    return np.asarray(np.unique(np.round(np.geomspace(1, count, most)).astype(np.int64)) - 1)


def key_rows(index: Index, events: Iterable[int], most: int = 500) -> Index:
    """The rows of a trace that a replay shows: geometric, with windows round events, and the last ones.

    Parameters
    ----------
    index : (rows,) int64
        Steps taken before each row, as in ``Trace.index``.
    events : iterable of int
        Steps, counted from 1.
    most : int
        Rows at most, no unit.

    Returns
    -------
    (m,) int64
        Rows, ascending; all of them where they are no more than ``most``.

    Example
    -------
    >>> key_rows(np.arange(6001), [1183], 500).size <= 500
    True
    """
    rows = len(index)
    if rows <= most:
        return np.arange(rows)
    wanted = {0, *range(max(0, rows - LAST), rows)}
    places = [min(rows - 1, int(np.searchsorted(index, step - 1))) for step in events][: most // 4]
    wanted.update(places)
    for row in places:
        near = set(range(max(0, row - WINDOW), min(rows, row + WINDOW + 1)))
        if len(wanted | near) <= most // 2:
            wanted |= near
    fixed, count = np.array(sorted(wanted), dtype=np.int64), most - len(wanted)
    found = fixed
    for more in range(count, 4 * count, max(1, count // 8)):  # early rows coincide: ask for more until it is full
        between = np.round(np.geomspace(1, rows, more)).astype(np.int64) - 1
        both = np.union1d(fixed, between)
        if len(both) > most:
            break
        found = both
    return found
