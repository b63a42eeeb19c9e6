"""Edges of the loss that a descent ended on: a row where ``abs``, ``min``, ``max`` or a condition just changes sides.

On an edge the loss has a slope to either side and none between, so that its least may lie there with no gradient that
vanishes: of a broken stick, ``a + b*max(x - c, 0)``, in one data set of five (a join of type two; Hudson 1966). Solvers
of smooth problems stall there, or before. Here such a descent is taken to the edge, and it is tested that the loss has
slopes towards it on both sides; error bars are made of both. A curve that jumps on an edge has no such minimum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from katamuki.api.claims import descent_at
from katamuki.backends import numpy_
from katamuki.data.cells import row
from katamuki.graph import Builder, Graph, Node, depends, derivative, is_linear, needed, text
from katamuki.problem import Problem
from katamuki.records import Array, Edge
from katamuki.search import SAME
from katamuki.solvers.levenberg_marquardt import Descent, minimise

NEAR = 1e-9  # of the larger side: it is on the edge
ASIDE = 1e-3  # of the way to the next edge: beside one
BESIDE = 1e-10  # of the same: so near that nothing changes but sides
CROSSINGS, FEWER = 12, 3  # of edges, at most; where one parameter is held on an edge already
CORNERS = 3  # parameters that may stand on edges at once
FEW = 65_536  # rows up to which a second parameter is looked for on an edge; a third up to FEW / 256
WORK, LEAST_WORK = 3e8, 1000.0  # evaluations times rows times (p + 1)² after which it is given up; evaluations at least
NEARLY = 1e-3  # of the sum of squares: how far above its least a descent may stall
LEVEL = 1e-9  # cosine between residuals and a column of J: the loss has no slope there
GRAIN = 64 * 2.0**-52  # of y: differences of predictions that are rounding
COMPARISONS = frozenset({"lt", "le", "gt", "ge"})
SIDES = COMPARISONS | {"abs", "min", "max"}
Limits = tuple[Array | float, Array | float]


class Purse:
    """How many evaluations are left: a search among many edges ends where they do, the same each time."""

    def __init__(self, problem: Problem) -> None:
        self.left = max(LEAST_WORK, WORK / (problem.n * (problem.p + 1) ** 2))

    def descent(self, problem: Problem, start: Array, lower: Array | float, upper: Array | float) -> Descent:
        """A descent, paid for."""
        found = minimise(problem, start, lower, upper)
        self.left -= found.evaluations
        return found


class Turn(NamedTuple):
    """A part of the formula that changes sides in a row, from 0, and the free parameters that decide where."""

    part: str
    row: int
    names: tuple[str, ...]


def edge(graph: Graph, columns: Mapping[str, Array], params: Mapping[str, float], free: tuple[str, ...]) -> Turn | None:
    """The first part that changes sides at these parameters in some row, by what free parameters move; None: no part.

    Example
    -------
    >>> from katamuki import formula
    >>> graph = formula.parse("y ~ a*max(x - c, 0)", ("x", "y")).graph
    >>> edge(graph, {"x": np.array([1.0, 2.0, 3.0])}, {"a": 5.0, "c": 2.0}, ("a", "c"))
    Turn(part='max(x - c, 0)', row=1, names=('c',))
    """
    for k, near in _sides(graph, columns, params, free):
        names = tuple(name for name in free if not depends(graph, [name]).isdisjoint(graph.nodes[k].args))
        return Turn(_text(graph, k), int(np.argmax(near)), names)
    return None


def corner(graph: Graph, free: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """The first part of a formula that may change sides as free parameters move, and which; None: it has none.

    Example
    -------
    >>> from katamuki import formula
    >>> corner(formula.parse("y ~ a*max(x - c, 0)", ("x", "y")).graph, ("a", "c"))
    ('max(x - c, 0)', ('c',))
    """
    for k in needed(graph.nodes, graph.outputs):
        node = graph.nodes[k]
        names = tuple(name for name in free if not depends(graph, [name]).isdisjoint(node.args))
        if node.op in SIDES and names:
            return _text(graph, k), names
    return None


def edges_of(
    graph: Graph,
    columns: Mapping[str, Array],
    params: Mapping[str, float],
    free: tuple[str, ...],
    held: Sequence[str],
    index: NDArray[np.int64] | None,
) -> tuple[Edge, ...]:
    """The edges that some parameters stand on, one each; ``index`` (n,) are the rows' numbers in the source, from 0."""
    found: dict[str, Edge] = {}
    for k, near in _sides(graph, columns, params, free):
        names = [name for name in free if not depends(graph, [name]).isdisjoint(graph.nodes[k].args)]
        if len(names) == 1 and names[0] in held:
            at = int(np.argmax(near))
            found.setdefault(names[0], Edge(names[0], _text(graph, k), row(at, index)))
    return tuple(found[name] for name in free if name in found)


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


def beyond(
    problem: Problem,
    descent: Descent,
    lower: Array | float,
    upper: Array | float,
    corners: int = CORNERS,
    purse: Purse | None = None,
) -> Descent:
    """Where a descent that stalled beside edges leads: to a minimum between them, or onto the edge of least loss.

    One parameter at a time is held on the nearest edges that it decides, and just beside them, the others fitted, up to
    ``corners`` on edges at once. Where the loss is least on an edge itself the descent has converged, its values are
    exactly there, and ``edges`` names them; where it jumps there the ending stays "stalled".
    """
    graph, at = problem.kernel.graph, descent
    if graph is None or not problem.compiled:
        return descent
    purse = purse or Purse(problem)
    for turn in range(CROSSINGS if corners == CORNERS else FEWER):
        candidates = [(k, one) for k, places in _edges(problem, graph, at.values, turn) for one in places]
        found = _lowest(problem, at, candidates, (lower, upper), corners, purse)
        if found is None or purse.left < 0.0:
            return at
        k, held, place = found
        sides = [held.values[k] + sign * place.width for sign in (-1.0, 1.0)]
        aside = [_held(problem, held.values, k, one, (lower, upper), corners, held.rss, purse) for one in sides]
        down = min((one for one in aside if one is not None), key=lambda one: one.rss, default=None)
        if down is None or not down.rss < held.rss:
            there = _on_edges(problem, at, held, ((k, BESIDE / ASIDE * place.width), *held.edges))
            return there if there.edges else _beside(problem, there, aside, (lower, upper))
        little = BESIDE / ASIDE * place.width
        gap = (
            (place.at + little, place.above - little) if down is aside[1] else (place.below + little, place.at - little)
        )
        at, stopped = _between(problem, down.values, k, gap, (lower, upper), purse)
        if at.ending != "stalled":
            return at if at.ending == "interrupted" or (at.ending == "converged" and at.rss <= descent.rss) else descent
        if not (stopped or at.rss < held.rss):
            return at
    return at


def _between(
    problem: Problem, start: Array, k: int, gap: tuple[float, float], limits: Limits, purse: Purse
) -> tuple[Descent, bool]:
    """The descent with the k-th of all parameters kept between two edges; "stalled" where it stops at one: said, too.

    Between edges the loss is smooth: no step is tempted over them.
    """
    lower, upper = (np.broadcast_to(one, (problem.p,)).astype(np.float64) for one in limits)
    here = problem.free == k
    within = max(float(lower[here][0]), gap[0]), min(float(upper[here][0]), gap[1])
    lower[here], upper[here] = within
    found = purse.descent(problem, start, lower, upper)
    stopped = found.ending in {"converged", "stalled"} and found.values[k] in gap
    return (replace(found, ending="stalled") if stopped else found), stopped


def _on_edges(problem: Problem, at: Descent, held: Descent, edges: tuple[tuple[int, float], ...]) -> Descent:
    """The descent that stalled at ``at``, taken to where the loss is least on edges.

    ``held`` is the minimum with the parameters of ``edges`` held there. The triangle is that of the mean of JᵀJ to both
    sides. The trace is that of the descent, and one step more, which no rule made: its damping is NaN.
    """
    p, values, here = problem.p, held.values, descent_at(problem, held.values)
    away = np.zeros(problem.all_p)
    for k, width in edges:
        away[k] = max(width, 8.0 * float(np.spacing(abs(values[k]))))
    beside = [problem.triangle(values + sign * away, exact=True) for sign in (-1.0, 1.0)]
    triangles = [one[1:].reshape(p + 1, p + 1) for one in beside]
    on = np.isin(problem.free, [k for k, _ in edges])
    left, right = (_cosines(one, held.rss)[on] for one in triangles)
    if not ((left > LEVEL).all() and (right < -LEVEL).all() and _meets(problem, values, away)):
        return replace(here, ending="stalled", evaluations=at.evaluations)
    rows = np.concatenate([at.rows, here.rows])
    rows[-2, 2 * p : 3 * p] = values[problem.free] - at.values[problem.free]
    rows[-2, 3 * p + 1 :] = np.nan, 1.0
    stuck = np.zeros(p)  # at bounds
    stuck[problem.free != edges[0][0]] = held.held
    triangle = np.linalg.qr(np.concatenate(triangles) / np.sqrt(2.0), mode="r")
    more = {"evaluations": at.evaluations, "edges": edges}
    return replace(here, triangle=triangle, rss=held.rss, rows=rows, held=stuck, **more)  # type: ignore[arg-type]


def _cosines(triangle: Array, rss: float) -> Array:
    """Between the residuals and each column of J (p,): the loss falls with a parameter where it is positive."""
    r, qtr = triangle[:-1, :-1], triangle[:-1, -1]
    length = np.sqrt((r * r).sum(axis=0) * rss)
    return np.asarray(r.T @ qtr / np.where(length > 0.0, length, 1.0))


def _beside(problem: Problem, there: Descent, aside: Sequence[Descent | None], limits: Limits) -> Descent:
    """A minimum just beside an edge that is none, where the loss is level to one side: what is open there is told."""
    for one in aside:
        found = None if one is None else minimise(problem, one.values, *limits)
        if found is not None and found.ending == "converged" and found.rss <= there.rss * (1.0 + SAME):
            return found
    return there


def _meets(problem: Problem, values: Array, away: Array) -> bool:
    """Whether the curve is one there: it moves half as far on half the way, where a jump stays what it is."""
    here = problem.residuals(values)
    grain = GRAIN * float(np.abs(problem.y).max())
    for sign in (-1.0, 1.0):
        whole, half = (
            float(np.abs(problem.residuals(values + share * sign * away) - here).max()) for share in (1.0, 0.5)
        )
        if not half <= 0.75 * whole + grain:
            return False
    return True


def stands_on_edge(problem: Problem, descent: Descent) -> bool:
    """Whether a descent that stalled ended on an edge."""
    graph = problem.kernel.graph
    if descent.ending != "stalled" or graph is None or not problem.compiled:
        return False
    columns = dict(zip(problem.kernel.columns, problem.columns, strict=True))
    params = dict(zip(problem.names, descent.values.tolist(), strict=True))
    return edge(graph, columns, params, problem.free_names) is not None


class Place(NamedTuple):
    """Where a parameter puts an edge, how far to look beside it, and the next edges on either side."""

    at: float
    width: float
    below: float
    above: float


def _edges(problem: Problem, graph: Graph, values: Array, turn: int) -> Iterator[tuple[int, list[Place]]]:
    """For parameters by their places: the nearest edges on either side that they decide, in later turns farther ones.

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
        near, farther = int(np.searchsorted(places, values[here])), 2 << turn
        about = [near - 2, near - 1, near, near + 1]
        if turn:
            about = [near - farther, *about, near + farther]
        if len(places) > 1:
            yield here, [_place(places, j) for j in about if 0 <= j < len(places)]


def _place(places: Array, j: int) -> Place:
    """The j-th of some edges among its neighbours."""
    at = float(places[j])
    below = float(places[j - 1]) if j else -np.inf
    above = float(places[j + 1]) if j + 1 < len(places) else np.inf
    return Place(at, ASIDE * min(at - below, above - at), below, above)


def _lowest(
    problem: Problem, at: Descent, candidates: Sequence[tuple[int, Place]], limits: Limits, corners: int, purse: Purse
) -> tuple[int, Descent, Place] | None:
    """The edge of least loss: its parameter's place among all, the descent held there, and where it is."""
    best: tuple[int, Descent, Place] | None = None
    for k, place in candidates:
        most = at.rss * (1.0 + SAME) if best is None else best[1].rss
        found = _held(problem, at.values, k, place.at, limits, corners, most, purse)
        if found is not None and found.rss <= most:
            best = k, found, place
    return best


def _held(
    problem: Problem, values: Array, k: int, place: float, limits: Limits, corners: int, most: float, purse: Purse
) -> Descent | None:
    """The minimum over the other free parameters where the k-th of all stands at a place; None: there is none.

    It may stand on an edge of another parameter, which is looked for where it may come as low as ``most``.
    """
    kept = problem.free != k
    lower, upper = (np.broadcast_to(one, (problem.p,)) for one in limits)
    if purse.left < 0.0 or not lower[~kept][0] < place < upper[~kept][0]:
        return None
    given = dict(zip(problem.names, values.tolist(), strict=True)) | {problem.names[k]: place}
    if not kept.any():
        there = replace(descent_at(problem, np.array([given[name] for name in problem.names])), held=np.zeros(0))
        return there if np.isfinite(there.rss) else None
    free = tuple(name for name in problem.free_names if name != problem.names[k])
    part = Problem(problem.kernel, problem.columns, problem.y, problem.weights, given, free)
    found = purse.descent(part, part.values, lower[kept], upper[kept])
    further = corners > 1 and problem.n * 256 ** (CORNERS - corners) <= FEW
    if found.ending == "stalled" and further and found.rss <= most * (1.0 + NEARLY):
        found = beyond(part, found, lower[kept], upper[kept], corners - 1, purse)
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
