"""What start would give a formula a value, where the one that was tried does not.

The part that has no value says what it needs: log a positive argument, exp one that does not overflow. Where that
argument is linear in a free parameter, each row bounds the parameter, and all rows together leave an interval, which
the parameter's bounds may cut; elsewhere values near the start and of every size are tried. A parameter is moved there,
the formula is evaluated again, and the next part without a value is mended in the same way. What is suggested was
evaluated in every row, slopes included. Own method. It looks for any value at all, not for a good one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from katamuki.backends import numpy_
from katamuki.graph import Builder, Graph, derivative, is_linear
from katamuki.ops import TABLE
from katamuki.records import Array

SEEN = 1000  # rows that are looked at while parts are mended; the end is evaluated in all
ROUNDS = 12  # parts that are mended one after the other
LARGEST = 1.0  # |argument| of a part that overflows, after mending
GROWING = frozenset({"exp", "expm1", "sinh", "cosh"})  # overflow for a large argument
NEAR = (1.1, 0.9, 2.0, 0.5)  # times the value that was tried
SIZES = (*(sign * 10.0**k for k in (0, -1, 1, -2, 2, -3, 3, -6, 6) for sign in (1.0, -1.0)), 0.0)
Bounds = Mapping[str, tuple[float, float]]


class Needed(NamedTuple):
    """What one parameter must be for a part of the formula to have a value in all rows: more than ``low``, less than
    ``high``. ``low`` above ``high``: rows contradict each other."""

    name: str
    low: float
    high: float


class Found(NamedTuple):
    """``start``: the parameters to move and their values, where that helps; else ``needed`` may say what is missing."""

    start: dict[str, float] | None
    needed: Needed | None = None


def finite_start(
    graph: Graph, columns: Mapping[str, Array], params: Mapping[str, float], free: tuple[str, ...], bounds: Bounds
) -> Found:
    """A start with a value, as near to one without as the parts that have none allow.

    Parameters
    ----------
    graph : Graph
        The formula's right side.
    columns : mapping of str to (n,) float64
        Data.
    params : mapping of str to float
        The start without a value.
    free : tuple of str
        The parameters that may move.
    bounds : mapping
        Bounds by name.

    Returns
    -------
    Found

    Source
    ------
    Own; see the module.

    Example
    -------
    >>> from katamuki import formula
    >>> graph = formula.parse("y ~ a*log(b - x)", ("x", "y")).graph
    >>> finite_start(graph, {"x": np.array([0.0, 10.0])}, {"a": 1.0, "b": 1.0}, ("a", "b"), {}).start
    {'b': 20.0}
    """
    slopes, some = derivative(graph), _some_rows(columns)
    values, moved = dict(params), list[str]()
    for _ in range(ROUNDS):
        bad = numpy_.first_bad(slopes, some, values)
        if bad is None:
            found = moved and numpy_.first_bad(slopes, columns, values) is None
            return Found({name: values[name] for name in free if name in moved} if found else None)
        order = sorted(free, key=moved.count)
        change, needed = _mended(slopes, bad.node, some, values, order, bounds)
        if change is None:
            return Found(None, needed)
        name, values[name] = change[0], change[1]
        moved.append(name)
    return Found(None)


def _some_rows(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Rows from first to last, and those in which a column is smallest or largest: what is tried often, fast."""
    n = numpy_.rows_of(columns)
    ends = [int(at(one)) for one in columns.values() for at in (np.argmin, np.argmax)]
    rows = np.unique(np.concatenate([np.linspace(0, n - 1, min(n, SEEN)).astype(np.int64), ends]).astype(np.int64))
    return {name: one[rows] for name, one in columns.items()}


def _mended(
    graph: Graph, k: int, columns: Mapping[str, Array], values: Mapping[str, float], free: Sequence[str], bounds: Bounds
) -> tuple[tuple[str, float] | None, Needed | None]:
    """A parameter and a value with which a node has values in all rows; or what stands against it."""
    blocked: Needed | None = None
    part = Builder(graph.nodes).graph([k])
    for needed in _intervals(graph, k, columns, values, free):
        name = needed.name
        low, high = bounds.get(name, (-math.inf, math.inf))
        low, high = max(low, needed.low), min(high, needed.high)
        if low < high:
            value = _within(low, high, values[name])
            if _has_values(part, columns, {**values, name: value}):
                return (name, value), None
        blocked = blocked or needed
    for name in (one for one in free if one in part.parameters):
        low, high = bounds.get(name, (-math.inf, math.inf))
        for value in (*(float(f"{values[name] * factor:.4g}") for factor in NEAR), *SIZES, low, high):
            if low <= value <= high and math.isfinite(value) and _has_values(part, columns, {**values, name: value}):
                return (name, value), None
    return None, blocked


def _has_values(part: Graph, columns: Mapping[str, Array], values: Mapping[str, float]) -> bool:
    return bool(np.isfinite(numpy_.evaluate(part, columns, values)[0]).all())


def _intervals(
    graph: Graph, k: int, columns: Mapping[str, Array], values: Mapping[str, float], free: Sequence[str]
) -> Iterator[Needed]:
    """For each free parameter in which the argument of a node is linear, what the node needs of it."""
    node = graph.nodes[k]
    domain = TABLE[node.op].domain
    if node.op in GROWING:
        argument, least, most = node.args[0], -LARGEST, LARGEST
    elif domain is not None and domain.relation in {">", ">="}:
        argument, least, most = node.args[domain.index], domain.limit, math.inf
    else:
        return
    inner = Builder(graph.nodes).graph([argument])
    for name in free:
        if name not in inner.parameters or not is_linear(inner, [name]):
            continue
        offset, *partials = numpy_.evaluate(derivative(inner), columns, {**values, name: 0.0})
        slope = partials[inner.parameters.index(name)]
        with np.errstate(all="ignore"):
            ends = (least - offset) / slope, (most - offset) / slope
        rising, falling, level = slope > 0, slope < 0, slope == 0
        if bool((level & ~((offset > least) & (offset < most))).any()):
            continue  # rows on which this parameter has no say
        low = max(_largest(ends[0][rising]), _largest(ends[1][falling]))
        high = min(-_largest(-ends[1][rising]), -_largest(-ends[0][falling]))
        yield Needed(name, low, high)


def _largest(values: Array) -> float:
    return float(values.max(initial=-math.inf))


def _within(low: float, high: float, near: float) -> float:
    """A short number between two ends, of the sign of another where that can be."""
    if low < 0.0 < high:  # a parameter that is 0 often leaves others without effect
        low, high = (0.0, high) if near >= 0.0 else (low, 0.0)
    if low < 1.0 < high:
        return 1.0
    if math.isfinite(low) and math.isfinite(high):
        return _short((low + high) / 2, low, high)
    end, away = (low, 1.0) if math.isfinite(low) else (high, -1.0)
    return _short(end + away * max(abs(end), 1.0), low, high)


def _short(value: float, low: float, high: float) -> float:
    """The number with the fewest digits that is near another and between two ends."""
    for digits in range(1, 17):
        near = float(f"{value:.{digits}g}")
        if low < near < high:
            return near
    return value
