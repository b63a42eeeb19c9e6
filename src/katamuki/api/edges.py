"""Edges of the loss that a descent ended on: a row where ``abs``, ``min``, ``max`` or a condition just changes sides.

On an edge the loss has a slope to either side and none between, so that its least may lie there with no gradient that
vanishes: of a broken stick, ``a + b*max(x - c, 0)``, in one data set of eight. What solvers of smooth problems then
call no minimum can be named: the part, the row, and the value that puts the edge there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from katamuki.backends import numpy_
from katamuki.graph import Graph, Node, depends, needed, text
from katamuki.problem import Problem
from katamuki.records import Array

NEAR = 1e-5  # of the larger side: a descent that came so near, and no further, stands on the edge
COMPARISONS = frozenset({"lt", "le", "gt", "ge"})
SIDES = COMPARISONS | {"abs", "min", "max"}


class Edge(NamedTuple):
    """A part of the formula that changes sides in a row, from 0, and the free parameters that decide where."""

    part: str
    row: int
    names: tuple[str, ...]


def edge(graph: Graph, columns: Mapping[str, Array], params: Mapping[str, float], free: tuple[str, ...]) -> Edge | None:
    """The first part that changes sides at these parameters in some row, by what free parameters move; None: no part.

    Example
    -------
    >>> from katamuki import formula
    >>> graph = formula.parse("y ~ a*max(x - c, 0)", ("x", "y")).graph
    >>> edge(graph, {"x": np.array([1.0, 2.0, 3.0])}, {"a": 5.0, "c": 2.0}, ("a", "c"))
    Edge(part='max(x - c, 0)', row=1, names=('c',))
    """
    moving = depends(graph, free)
    values = numpy_.node_values(graph, columns, params)
    for k in needed(graph.nodes, graph.outputs):
        node = graph.nodes[k]
        if node.op not in SIDES or moving.isdisjoint(node.args):
            continue
        one, other = values[node.args[0]], np.zeros(()) if node.op == "abs" else values[node.args[1]]
        with np.errstate(all="ignore"):
            near = np.atleast_1d(np.abs(one - other) <= NEAR * _size(graph, node, values))
        names = tuple(name for name in free if not depends(graph, [name]).isdisjoint(node.args))
        if len(near) > 1 and near.any() and not near.all():
            return Edge(_text(graph, k), int(np.argmax(near)), names)
    return None


def stands_on_edge(problem: Problem, values: Array) -> bool:
    """Whether a formula's loss has an edge at all parameters (all_p,)."""
    graph = problem.kernel.graph
    if graph is None or not problem.named:
        return False
    columns = dict(zip(problem.kernel.columns, problem.columns, strict=True))
    return edge(graph, columns, dict(zip(problem.names, values.tolist(), strict=True)), problem.free_names) is not None


def _size(graph: Graph, node: Node, values: list[Array]) -> Array:
    """How large what is compared is: of a difference, its parts."""
    parts = [a for arg in node.args for a in (graph.nodes[arg].args if graph.nodes[arg].op == "sub" else (arg,))]
    size: Array = np.max([np.abs(np.broadcast_to(values[a], np.shape(values[node.args[0]]))) for a in parts], axis=0)
    return size


def _text(graph: Graph, k: int) -> str:
    try:
        return text(graph, k)
    except OverflowError:
        return graph.nodes[k].op
