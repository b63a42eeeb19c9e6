"""The gradient of the loss by differences: a road that knows nothing of derivatives.

Central differences at h and h/2, extrapolated once (Richardson 1911): the error is of order h⁴. h moves the prediction
by about a thousandth of the response, so that rounding and the formula's curve leave some twelve digits. The loss is
evaluated with NumPy, all points in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from katamuki.backends.numpy_ import node_values
from katamuki.explain.step.record import Differences
from katamuki.graph import Graph
from katamuki.records import Array

MOVES = 1e-3  # of the response's size: how far the prediction moves
SHARE = 1e-2  # of a parameter: the farthest that it is moved
LEAST = 1e-7  # of a parameter: nearer, rounding is all there is
CHUNK = 8192
OFFSETS = np.array([1.0, -1.0, 0.5, -0.5])

SIDES: Mapping[str, Callable[..., Array]] = {  # operations with a kink or a jump, and the side that they are on
    **dict.fromkeys(("abs", "sign", "heaviside"), np.sign),
    **dict.fromkeys(("max", "min", "lt", "le", "gt", "ge", "eq", "ne"), lambda u, v: np.sign(u - v)),
}
Losses = Callable[[Array], Array]
Turns = Callable[[Array], bool]


def differences(losses: Losses, values: Array, slopes: Array, size: float, gradient: Array, summands: Array,
                names: tuple[str, ...], turns: Turns | None = None) -> Differences:  # fmt: skip
    """The gradient by central differences, and how far it is from the one given.

    Parameters
    ----------
    losses : function
        The loss at points (m, p) of the free parameters: (m,).
    values : (p,) float64
        Where.
    slopes : (p,) float64
        The typical size of ∂f/∂parameter, unit of y per unit of the parameter; 0 where unknown.
    size : float
        The typical size of y.
    gradient, summands : (p,) float64
        The gradient to compare with, and the sum of the sizes of its summands.
    names : tuple of str
        The parameters.
    turns : function, optional
        Whether a kink of the loss lies between points (m, p); without it none is looked for.

    Returns
    -------
    Differences
        By name; ``apart`` in units of ``summands``.

    Source
    ------
    Richardson 1911; Press et al. 2007, section 5.7.

    Example
    -------
    >>> one = np.array([1.0])
    >>> found = differences(lambda at: at[:, 0] ** 3, 2.0 * one, one, 1.0, 12.0 * one, 12.0 * one, ("a",))
    >>> round(found.values["a"], 9), found.apart < 1e-10
    (12.0, True)
    """
    p = len(values)
    with np.errstate(all="ignore"):
        h = np.where(slopes > 0.0, MOVES * size / slopes, MOVES)
        h = np.where(values != 0.0, np.clip(h, LEAST * np.abs(values), SHARE * np.abs(values)), h)
        points = np.repeat(values[None, :], 4 * p, axis=0)
        for k in range(p):
            points[4 * k : 4 * k + 4, k] += OFFSETS * h[k]
        lost = losses(points).reshape(p, 4)
        reach = np.array([points[4 * k : 4 * k + 4, k] for k in range(p)])
        coarse = (lost[:, 0] - lost[:, 1]) / (reach[:, 0] - reach[:, 1])
        fine = (lost[:, 2] - lost[:, 3]) / (reach[:, 2] - reach[:, 3])
        found = fine + (fine - coarse) / 3.0
        apart = np.abs(found - gradient) / np.where(summands > 0.0, summands, 1.0)
    worst = float(apart.max()) if p else 0.0
    by_name = dict(zip(names, found.tolist(), strict=True))
    kink = turns is not None and turns(np.concatenate([values[None, :], points]))
    return Differences(by_name, worst if math.isfinite(worst) else None, kink, {})


def losses_of(
    graph: Graph,
    columns: Mapping[str, Array],
    y: Array,
    w: Array | None,
    params: Mapping[str, float],
    free: tuple[str, ...],
) -> Losses:
    """The loss of a formula at many points of its free parameters at once."""

    def losses(points: Array) -> Array:
        total = np.zeros(len(points))
        several = {name: points[:, k : k + 1] for k, name in enumerate(free)}
        for start in range(0, len(y), CHUNK):
            part = slice(start, start + CHUNK)
            here = {name: columns[name][part] for name in graph.columns}
            values = node_values(graph, here, {**params, **several})  # type: ignore[dict-item]
            e = values[graph.outputs[0]] - y[part]
            square = e * e if w is None else w[part] * (e * e)
            total += np.broadcast_to(square, (len(points), square.shape[-1])).sum(axis=1)
        return total / len(y)

    return losses


def turns_of(
    graph: Graph,
    columns: Mapping[str, Array],
    params: Mapping[str, float],
    free: tuple[str, ...],
) -> Turns | None:
    """Whether some operation with a kink is on other sides at some of many points; None where the formula has none."""
    places = [k for k, node in enumerate(graph.nodes) if node.op in SIDES]
    if not places:
        return None

    def turns(points: Array) -> bool:
        several = {name: points[:, k : k + 1] for k, name in enumerate(free)}
        n = max((len(columns[name]) for name in graph.columns), default=1)
        for start in range(0, n, CHUNK):
            here = {name: columns[name][start : start + CHUNK] for name in graph.columns}
            values = node_values(graph, here, {**params, **several})  # type: ignore[dict-item]
            for k in places:
                node = graph.nodes[k]
                side = SIDES[node.op](*(values[a] for a in node.args))
                if np.ndim(side) == 2 and (side != side[:1]).any():
                    return True
        return False

    return turns
