"""How far the phase of a formula's sines advances from row to row: the fact behind ALIAS.

On evenly spaced rows a phase that advances by more than half a cycle cannot be told from one that advances by less
(Nyquist 1928; Shannon 1949). The phase is whatever stands in sin, cos or tan; where it does not advance evenly, its
median step counts. Not looked at: phases of several columns, and rows that are not evenly spaced, where no such limit
holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from katamuki.backends import numpy_
from katamuki.graph import LEAVES, Graph, needed
from katamuki.ops import TABLE

if TYPE_CHECKING:
    from katamuki.records import Array

PERIODS = {"sin": 2 * math.pi, "cos": 2 * math.pi, "tan": math.pi}
ROWS = 4096  # rows that are looked at where the two in the middle are suspicious, equal or in no order
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
            nodes = needed(graph.nodes, (phase,))
            names = {str(graph.nodes[k].value) for k in nodes if graph.nodes[k].op == "column"}
            if len(names) == 1:
                (name,) = names
                x, period = columns[name], PERIODS[node.op]
                if _is_suspicious(graph, nodes, x, params, period):
                    part = part_of(graph, phase)
                    advance = _advance(part, np.unique(x[:ROWS]), name, params) / period
                    if advance > HALF:
                        found.append((graph.nodes[phase].span, advance))
    return found


def part_of(graph: Graph, output: int) -> Graph:
    """The graph of one node: those that it needs, and no column beside."""
    wanted = needed(graph.nodes, (output,))
    place = {k: i for i, k in enumerate(wanted)}
    nodes = (graph.nodes[k] for k in wanted)
    return replace(
        graph,
        nodes=tuple(replace(node, args=tuple(place[k] for k in node.args)) for node in nodes),
        outputs=(place[output],),
    )


def _is_suspicious(graph: Graph, nodes: list[int], x: Array, params: Mapping[str, float], period: float) -> bool:
    """Whether the phase advances far between the two rows in the middle; plain numbers, since most fits are small."""
    middle = len(x) // 2
    if len(x) < 2 or x[middle - 1] == x[middle]:
        return True
    ends = []
    with np.errstate(all="ignore"):
        for at in (x[middle - 1], x[middle]):
            values: dict[int, Any] = {}
            for k in nodes:
                node = graph.nodes[k]
                if node.op == "column":
                    values[k] = at
                elif node.op in LEAVES:
                    values[k] = np.float64(params[str(node.value)] if node.op == "parameter" else node.value)
                else:
                    values[k] = TABLE[node.op].value(*(values[one] for one in node.args))
            ends.append(values[nodes[-1]])
    return not abs(float(ends[1]) - float(ends[0])) <= HALF * period


def _advance(part: Graph, x: Array, name: str, params: Mapping[str, float]) -> float:
    """The median change of the output from one x to the next; 0 where these are not evenly spaced."""
    spacing = np.diff(x)
    if len(x) < 3 or np.ptp(spacing) > EVEN * abs(spacing[0]):
        return 0.0
    (values,) = numpy_.evaluate(part, {name: x}, params)
    return float(np.median(np.abs(np.diff(values))))
