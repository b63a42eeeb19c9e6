"""ALIAS for many curves: phases that advance more than half a cycle from one row to the next.

All curves are looked at together between their two rows in the middle, as :mod:`katamuki.findings.aliasing` looks at
one; the few that are suspicious go through that itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.backends import numpy_
from katamuki.findings.aliasing import HALF, PERIODS, part_of, phase_steps
from katamuki.graph import Graph, needed
from katamuki.many.curves import Curves
from katamuki.records import Array

Places = NDArray[np.int64]


def phases(graph: Graph) -> list[tuple[Graph, str, float]]:
    """The phases of one column in a formula: the part that computes each, its column, its period.

    Parameters
    ----------
    graph : Graph
        The model's right side.

    Returns
    -------
    list of (Graph, str, float)
        Empty for most formulas.
    """
    found = []
    for node in graph.nodes:
        if node.op in PERIODS:
            parts = needed(graph.nodes, (node.args[0],))
            names = {str(graph.nodes[k].value) for k in parts if graph.nodes[k].op == "column"}
            if len(names) == 1:
                found.append((part_of(graph, node.args[0]), names.pop(), PERIODS[node.op]))
    return found


def aliased(graph: Graph, curves: Curves, values: Array, chosen: Places) -> Places:
    """Those of the chosen curves of which ALIAS is to be said.

    Parameters
    ----------
    graph : Graph
        The model's right side; its columns are those of the curves, in this order.
    curves : Curves
        The rows.
    values : (b, all_p) float64
        All parameters of every curve.
    chosen : (m,) int64
        Curves to look at.

    Returns
    -------
    (at most m,) int64
        Numbers of curves.
    """
    suspicious = np.zeros(len(chosen), dtype=bool)
    sizes = np.diff(curves.offsets)[chosen]
    begins = np.zeros(len(chosen), dtype=np.int64) if curves.shared else curves.offsets[:-1][chosen]
    for part, name, period in phases(graph):
        x = curves.columns[graph.columns.index(name)]
        middle = begins + sizes // 2
        before, after = x[np.maximum(middle - 1, begins)], x[middle]
        params: dict[str, Any] = dict(zip(graph.parameters, values[chosen].T, strict=True))
        with np.errstate(all="ignore"):
            (one,), (other,) = (numpy_.evaluate(part, {name: rows}, params) for rows in (before, after))
        suspicious |= (sizes < 2) | (before == after) | ~(np.abs(other - one) <= HALF * period)
    found = [k for k in chosen[suspicious].tolist() if _is_aliased(graph, curves, values[k], k)]
    return np.array(found, dtype=np.int64)


def _is_aliased(graph: Graph, curves: Curves, values: Array, k: int) -> bool:
    """The single fit's own test."""
    rows = slice(None) if curves.shared else slice(int(curves.offsets[k]), int(curves.offsets[k + 1]))
    columns = {name: one[rows] for name, one in zip(graph.columns, curves.columns, strict=True)}
    return bool(phase_steps(graph, columns, dict(zip(graph.parameters, values.tolist(), strict=True))))
