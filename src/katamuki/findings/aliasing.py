"""How far the phase of a formula's sines advances from row to row: the fact behind ALIAS.

On evenly spaced rows a phase that advances by more than half a cycle cannot be told from one that advances by less
(Nyquist 1928; Shannon 1949). The phase is whatever stands in sin, cos or tan, so chirps and sums are seen too. Not
looked at: phases of several columns, and rows that are not evenly spaced, where no such limit holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from katamuki.backends import numpy_

if TYPE_CHECKING:
    from katamuki.graph import Graph
    from katamuki.records import Array

PERIODS = {"sin": 2 * math.pi, "cos": 2 * math.pi, "tan": math.pi}
FEW = 8  # rows that are looked at first
ROWS = 4096  # rows that are looked at where those few are suspicious
EVEN = 1e-6  # of the spacing
HALF = 0.5 + 1e-6


def phase_steps(
    graph: Graph, columns: Mapping[str, Array], params: Mapping[str, float]
) -> list[tuple[tuple[int, int] | None, float]]:
    """Where a phase advances by more than half a cycle per row: its span in the formula, and the cycles per row.

    Parameters
    ----------
    graph : Graph
        The model's right side.
    columns : mapping
        Its data columns, (n,) each.
    params : mapping
        All its parameters.

    Returns
    -------
    list of (span, float)
        Empty where nothing is wrong or nothing can be said.
    """
    found = []
    for node in graph.nodes:
        if node.op in PERIODS:
            phase = node.args[0]
            names = _columns_of(graph, phase)
            if len(names) == 1:
                advance = _advance(graph, phase, columns[names[0]], names[0], params) / PERIODS[node.op]
                if advance > HALF:
                    found.append((node.span, advance))
    return found


def _columns_of(graph: Graph, output: int) -> list[str]:
    """The columns that a node depends on."""
    names, waiting, seen = set(), [output], set()
    while waiting:
        k = waiting.pop()
        if k in seen:
            continue
        seen.add(k)
        node = graph.nodes[k]
        if node.op == "column":
            names.add(str(node.value))
        waiting.extend(node.args)
    return sorted(names)


def _advance(graph: Graph, phase: int, x: Array, name: str, params: Mapping[str, float]) -> float:
    """The median change of a phase from one x to the next; 0 where x is not evenly spaced."""
    part = replace(graph, outputs=(phase,))
    step = 0.0
    for rows in (FEW, ROWS):
        few = x[:rows]
        if len(few) < 3:
            return 0.0
        spacing = np.diff(few)
        if not (spacing > 0).all():
            few = np.unique(few)
            spacing = np.diff(few)
        if len(few) < 3 or np.ptp(spacing) > EVEN * abs(spacing[0]):
            return 0.0
        (values,) = numpy_.evaluate(part, {name: few}, params)
        steps = np.abs(np.diff(np.broadcast_to(values, few.shape)))
        step = float(np.median(steps))
        if step <= HALF * math.pi:
            return 0.0
    return step
