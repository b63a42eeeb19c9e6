"""Edges of the loss that a descent ended on: a row where ``abs``, ``min``, ``max`` or a condition just changes sides.

On an edge the loss has a slope to either side and none between, so that its least may lie there with no gradient that
vanishes: of a broken stick, ``a + b*max(x - c, 0)``, in one data set of eight. What solvers of smooth problems then
call no minimum can be named: the part, the row, and the value that puts the edge there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from katamuki.api.claims import descent_at
from katamuki.backends import numpy_
from katamuki.graph import Builder, Graph, Node, depends, derivative, is_linear, needed, text
from katamuki.problem import Problem
from katamuki.records import Array
from katamuki.search import SAME
from katamuki.solvers.levenberg_marquardt import Descent, minimise

NEAR = 1e-9  # of the larger side: it is on the edge
ASIDE = 1e-3  # of the way to the next edge: beside one
CROSSINGS = 8  # of edges, at most
COMPARISONS = frozenset({"lt", "le", "gt", "ge"})
SIDES = COMPARISONS | {"abs", "min", "max"}
Limits = tuple[Array | float, Array | float]


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
    for k, near in _sides(graph, columns, params, free):
        names = tuple(name for name in free if not depends(graph, [name]).isdisjoint(graph.nodes[k].args))
        return Edge(_text(graph, k), int(np.argmax(near)), names)
    return None


def rows_on_edges(
    graph: Graph, columns: Mapping[str, Array], params: Mapping[str, float], free: tuple[str, ...]
) -> NDArray[np.bool_]:
    """Where some part changes sides (n,): slopes there are those of either side, as rounding has it."""
    found = np.zeros(numpy_.rows_of(columns), dtype=bool)
    for _, near in _sides(graph, columns, params, free):
        found |= near
    return found


def _sides(
    graph: Graph, columns: Mapping[str, Array], params: Mapping[str, float], free: tuple[str, ...]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Nodes that free parameters move over an edge, each with the rows (n,) that stand on it: some, and not all."""
    moving = depends(graph, free)
    values = numpy_.node_values(graph, columns, params)
    for k in needed(graph.nodes, graph.outputs):
        node = graph.nodes[k]
        if node.op not in SIDES or moving.isdisjoint(node.args):
            continue
        one, other = values[node.args[0]], np.zeros(()) if node.op == "abs" else values[node.args[1]]
        with np.errstate(all="ignore"):
            near = np.atleast_1d(np.abs(one - other) <= NEAR * _size(graph, node, values))
        if len(near) > 1 and near.any() and not near.all():
            yield k, near


def beyond(problem: Problem, descent: Descent, lower: Array | float, upper: Array | float) -> Descent:
    """Where a descent that stalled beside edges leads: to a minimum between them, or onto the edge of least loss.

    One parameter at a time is held on the nearest edges that it decides, and just beside them, the others fitted. Where
    the loss is least on the edge itself, the ending stays "stalled" and the values are exactly there.
    """
    graph, at = problem.kernel.graph, descent
    if graph is None or not problem.compiled or problem.p < 2:
        return descent
    for _ in range(CROSSINGS):
        found = _lowest(problem, at, [(k, one) for k, places in _edges(problem, graph, at.values) for one in places],
                        (lower, upper))  # fmt: skip
        if found is None:
            return at
        k, held, width = found
        aside = [_held(problem, held.values, k, held.values[k] + sign * width, (lower, upper)) for sign in (-1.0, 1.0)]
        down = min((one for one in aside if one is not None), key=lambda one: one.rss, default=None)
        if down is None or not down.rss < held.rss:
            return replace(descent_at(problem, held.values), ending="stalled", evaluations=at.evaluations)
        at = minimise(problem, down.values, lower, upper)
        if at.ending != "stalled":
            return at if at.ending == "converged" and at.rss <= descent.rss else descent
    return at


def stands_on_edge(problem: Problem, descent: Descent) -> bool:
    """Whether a descent that stalled ended on an edge."""
    graph = problem.kernel.graph
    if descent.ending != "stalled" or graph is None or not problem.compiled:
        return False
    columns = dict(zip(problem.kernel.columns, problem.columns, strict=True))
    params = dict(zip(problem.names, descent.values.tolist(), strict=True))
    return edge(graph, columns, params, problem.free_names) is not None


def _edges(problem: Problem, graph: Graph, values: Array) -> Iterator[tuple[int, list[tuple[float, float]]]]:
    """For parameters by their places: the nearest edge on either side that they decide, and how far to look beside it.

    Only what is linear in a parameter, and moves with no other free one, has edges at known places.
    """
    columns = dict(zip(problem.kernel.columns, problem.columns, strict=True))
    named = dict(zip(problem.names, values.tolist(), strict=True))
    for k in needed(graph.nodes, graph.outputs):
        node = graph.nodes[k]
        if node.op not in SIDES:
            continue
        b = Builder(graph.nodes)
        side = b.graph([node.args[0] if node.op == "abs" else b("sub", *node.args[:2])])
        moving = [name for name in problem.free_names if name in side.parameters]
        if len(moving) != 1 or not is_linear(side, moving):
            continue
        offset, *slopes = numpy_.evaluate(derivative(side), columns, {**named, moving[0]: 0.0})
        with np.errstate(all="ignore"):
            places = -offset / slopes[side.parameters.index(moving[0])]
        places = np.unique(np.broadcast_to(places, (problem.n,)))
        places = places[np.isfinite(places)]
        here = problem.names.index(moving[0])
        near = int(np.searchsorted(places, values[here]))
        about = range(max(near - 2, 0), min(near + 2, len(places)))
        gaps = np.diff(places)
        if len(places) > 1:
            yield here, [(float(places[j]), ASIDE * float(gaps[max(j - 1, 0) : j + 1].min())) for j in about]


def _lowest(
    problem: Problem, at: Descent, candidates: Sequence[tuple[int, tuple[float, float]]], limits: Limits
) -> tuple[int, Descent, float] | None:
    """The edge of least loss: its parameter's place, the descent held there, and how far to look beside it."""
    best: tuple[int, Descent, float] | None = None
    for k, (place, width) in candidates:
        found = _held(problem, at.values, k, place, limits)
        if found is not None and found.rss <= (at.rss * (1.0 + SAME) if best is None else best[1].rss):
            best = k, found, width
    return best


def _held(problem: Problem, values: Array, k: int, place: float, limits: Limits) -> Descent | None:
    """The minimum over the other free parameters where the k-th of all stands at a place; None: there is none."""
    kept = problem.free != k
    lower, upper = (np.broadcast_to(one, (problem.p,)) for one in limits)
    if not lower[~kept][0] < place < upper[~kept][0]:
        return None
    given = dict(zip(problem.names, values.tolist(), strict=True)) | {problem.names[k]: place}
    free = tuple(name for name in problem.free_names if name != problem.names[k])
    part = Problem(problem.kernel, problem.columns, problem.y, problem.weights, given, free)
    found = minimise(part, part.values, lower[kept], upper[kept])
    return found if found.ending == "converged" else None


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
