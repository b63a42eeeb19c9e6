"""The formula and its loss as a tape: every node with its values forward and the gradient that comes back, row by row.

A node is *shared* if it depends on no column: it has one value for all rows, and receives the sum over all rows of what
its uses send back. That sum is what PyTorch's broadcasting does and does not show. The loss is L = Σ w (ŷ − y)² / n.
Method: Griewank & Walther 2008, section 3.2. It evaluates with NumPy, in chunks of rows, and keeps the arrays of a few
rows only; it shares the rules of operations with the compiled kernels, but no code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.numpy_ import node_values
from katamuki.explain.graph.sketch import PREDICTION, Sketch, adjoint_name
from katamuki.explain.subject import Subject
from katamuki.graph import Graph
from katamuki.records import Array

KEPT = 2000  # rows whose numbers are kept one by one; sums are over all rows
CHUNK = 65536


@dataclass(frozen=True, slots=True)
class TapeNode:
    """One node: a parameter, a column, a constant, an operation of the formula, or a part of the loss.

    ``op``: "parameter", "column", "constant", a row of ``ops.TABLE``, or of the loss: "error", "square", "mean".
    ``value`` is (rows,), or () where the node is ``shared``. ``adjoint`` is ∂L/∂node: (rows,) for each row's own, ()
    where the node is shared (the sum over all rows) or is L; None where no gradient flows. ``rule`` is the operation on
    the names of its arguments; None for leaves and the loss.
    """

    name: str
    op: str
    args: tuple[int, ...]
    shared: bool
    value: Array
    adjoint: Array | None
    rule: Graph | None


@dataclass(frozen=True, slots=True)
class Flow:
    """What one use of a node sends back to it: the user's gradient times the operation's own derivative.

    ``source`` is the user, ``target`` the argument (places among the tape's nodes). ``value`` is (rows,), () where both
    are shared; ``total`` its sum over all rows where the target is shared and the source is not, else NaN. ``rule``,
    ``sign``, ``factor`` and ``part`` are those of :class:`katamuki.explain.graph.sketch.Way`.
    """

    source: int
    target: int
    rule: Graph
    value: Array
    total: float
    sign: int
    factor: str | None
    part: int


@dataclass(frozen=True, slots=True)
class Tape:
    """All nodes in the order of evaluation, and the flows in the order of the backward sweep.

    ``prediction``, ``response``, ``error``, ``square``, ``loss`` and ``weight`` (None without weights) are places of
    nodes. ``n`` counts all rows; arrays hold those named in ``rows`` (counted from 1). ``sums`` holds Σ e and Σ s over
    all rows, by the names of these nodes.
    """

    nodes: tuple[TapeNode, ...]
    flows: tuple[Flow, ...]
    prediction: int
    response: int
    error: int
    square: int
    loss: int
    weight: int | None
    n: int
    rows: Sequence[int]
    sums: Mapping[str, float]
    sketch: Sketch | None = field(default=None, repr=False, compare=False)

    def place(self, name: str) -> int:
        """Where the node of a name stands."""
        return next(k for k, node in enumerate(self.nodes) if node.name == name)

    def number(self, k: int, row: int) -> float:
        """A node's value in a row (counted from 1)."""
        value = self.nodes[k].value
        return float(value if value.ndim == 0 else value[self.rows.index(row)])

    def back(self, k: int, row: int) -> float:
        """A node's gradient in a row; of a shared node the sum."""
        adjoint = self.nodes[k].adjoint
        assert adjoint is not None  # callers look at nodes that a gradient reaches
        return float(adjoint if adjoint.ndim == 0 else adjoint[self.rows.index(row)])

    def share(self, flow: Flow, row: int) -> float:
        """What a flow carries: of a row, or of all rows where it is a sum or both its ends are shared."""
        if not math.isnan(flow.total):
            return flow.total
        return self.carried(flow, row)

    def carried(self, flow: Flow, row: int) -> float:
        """What a flow carries in a row, before any sum."""
        return float(flow.value if flow.value.ndim == 0 else flow.value[self.rows.index(row)])

    def gradient(self, name: str) -> float:
        """∂L/∂parameter, summed over all rows; 0 where the formula does not depend on it."""
        found = [node for node in self.nodes if node.op == "parameter" and node.name == name]
        return 0.0 if not found or found[0].adjoint is None else float(found[0].adjoint)


class _Sweep:
    """Forward and backward over the rows of one chunk."""

    def __init__(
        self,
        sketch: Sketch,
        columns: Mapping[str, Array],
        y: Array,
        w: Array | None,
        params: Mapping[str, float],
        n: int,
    ) -> None:
        graph = sketch.graph
        self.sketch, self.y, self.w = sketch, y, w
        self.values = node_values(graph, columns, params)
        self.named = {sketch.names[k]: value for k, value in enumerate(self.values)}
        with np.errstate(all="ignore"):
            self.error = self.values[sketch.out] - y
            self.square = self.error * self.error if w is None else w * (self.error * self.error)
            self.back_square = np.full(len(y), 1.0 / n)
            twice = 2.0 * self.error if w is None else w * (2.0 * self.error)
            self.back_error = self.back_square * twice
        self.adjoints: dict[int, Array] = {}
        self.flows: dict[int, Array] = {}
        if sketch.out in sketch.varying:
            self._arrive(sketch.out, self.back_error)
        for place, way in enumerate(sketch.ways):
            if way.source in sketch.varying:
                value = self._flow(place)
                if way.target in sketch.varying:
                    self._arrive(way.target, value)

    def _arrive(self, k: int, value: Array) -> None:
        self.adjoints[k] = self.adjoints[k] + value if k in self.adjoints else value

    def _flow(self, place: int) -> Array:
        way = self.sketch.ways[place]
        upstream = self.adjoints[way.source]
        value = evaluated(way.rule, {**self.named, adjoint_name(self.sketch.names[way.source]): upstream})
        if way.decided:  # a branch that is not taken sends nothing, not even NaN
            value = np.where(upstream == 0.0, 0.0, value)
        self.flows[place] = value = np.broadcast_to(value, self.error.shape)
        return value


def evaluated(rule: Graph, operands: Mapping[str, Array]) -> Array:
    """The first output of an expression over names."""
    return node_values(rule, {}, operands)[rule.outputs[0]]  # type: ignore[arg-type]


def record(
    sketch: Sketch,
    columns: Mapping[str, Array],
    y: Array,
    w: Array | None,
    params: Mapping[str, float],
    rows: Sequence[int] | None = None,
    like: Tape | None = None,
) -> Tape:
    """Evaluate a sketch: all sums over all rows, arrays for some rows.

    Parameters
    ----------
    sketch : Sketch
        The structure.
    columns : mapping of str to (n,) float64
        Data of the right side.
    y, w : (n,) float64
        The response and the weights (None: all 1).
    params : mapping of str to float
        Every parameter of the formula.
    rows : sequence of int, optional
        Which rows (from 1) keep their numbers; by default the first 2000.
    like : Tape, optional
        A tape of the same point: its sums are taken, and no other row is looked at.

    Returns
    -------
    Tape
        Values and gradients.

    Example
    -------
    >>> from katamuki.graph import Builder
    >>> b = Builder()
    >>> sketch = Sketch(b.graph([b("mul", b.leaf("parameter", "a"), b.leaf("column", "x"))]), "y", ["a"], ())
    >>> tape = record(sketch, {"x": np.array([1.0, 2.0])}, np.array([2.0, 5.0]), None, {"a": 2.0})
    >>> tape.number(tape.loss, 1), tape.gradient("a")
    (0.5, -2.0)
    """
    n = len(y)
    rows = range(1, min(n, KEPT) + 1) if rows is None else rows

    def sweep(part: slice | NDArray[np.int64]) -> _Sweep:
        here = {name: columns[name][part] for name in sketch.graph.columns}
        return _Sweep(sketch, here, y[part], None if w is None else w[part], params, n)

    shown = sweep(slice(0, len(rows)) if isinstance(rows, range) else np.array(rows, dtype=np.int64) - 1)
    if like is not None:
        totals = np.array([flow.total for flow in like.flows])
        back = like.nodes[like.prediction].adjoint
        sums = np.array([like.sums[sketch.error], like.sums[sketch.square], 0.0 if back is None else back.sum()])
        return _tape(sketch, shown, n, rows, totals, sums)
    totals, sums = np.zeros(len(sketch.ways)), np.zeros(3)
    whole = len(rows) == n
    for one in [shown] if whole else (sweep(slice(at, at + CHUNK)) for at in range(0, n, CHUNK)):
        sums += one.error.sum(), one.square.sum(), one.back_error.sum()
        for place, value in one.flows.items():
            totals[place] += value.sum()
    return _tape(sketch, shown, n, rows, totals, sums)


def _tape(sketch: Sketch, shown: _Sweep, n: int, rows: Sequence[int], totals: Array, sums: Array) -> Tape:
    """The records, after the sums have come back through what all rows share."""
    flows, adjoints = _shared(sketch, shown, totals, float(sums[2]))
    nodes = []
    for k, node in enumerate(sketch.graph.nodes):
        shared = k not in sketch.varying
        value = shown.values[k] if shared else np.broadcast_to(shown.values[k], (len(rows),))
        nodes.append(TapeNode(sketch.names[k], node.op, node.args, shared, value, adjoints.get(k), sketch.rules[k]))
    response = len(nodes)
    nodes.append(TapeNode(sketch.response, "column", (), False, shown.y, None, None))
    weight = None
    if shown.w is not None:
        weight = len(nodes)
        nodes.append(TapeNode(sketch.weight, "column", (), False, shown.w, None, None))
    error, square = len(nodes), len(nodes) + 1
    pair = (sketch.out, response)
    nodes.append(TapeNode(sketch.error, "error", pair, False, shown.error, shown.back_error, None))
    parts = (error,) if weight is None else (error, weight)
    nodes.append(TapeNode(sketch.square, "square", parts, False, shown.square, shown.back_square, None))
    loss = np.asarray(sums[1] / n)
    nodes.append(TapeNode(sketch.loss, "mean", (square,), True, loss, np.asarray(1.0), None))
    by_name = {sketch.error: float(sums[0]), sketch.square: float(sums[1])}
    places = (sketch.out, response, error, square, square + 1, weight)
    return Tape(tuple(nodes), tuple(flows), *places, n, rows, by_name, sketch)


def _shared(sketch: Sketch, shown: _Sweep, totals: Array, back: float) -> tuple[list[Flow], dict[int, Array]]:
    """Flows and gradients with the sums over all rows, carried on through nodes that depend on no column."""
    adjoints = dict(shown.adjoints)
    flows = []
    if sketch.out not in sketch.varying:
        adjoints[sketch.out] = np.asarray(back)
    for place, way in enumerate(sketch.ways):
        varies = way.source in sketch.varying
        sums = varies and way.target not in sketch.varying
        if varies:
            value = shown.flows[place]
        else:
            upstream = adjoints[way.source]
            value = evaluated(way.rule, {**shown.named, adjoint_name(sketch.names[way.source]): upstream})
            if way.decided:
                value = np.where(upstream == 0.0, 0.0, value)
        total = float(totals[place]) if sums else float("nan")
        if sums or not varies:
            one = np.asarray(total) if sums else value
            adjoints[way.target] = adjoints[way.target] + one if way.target in adjoints else one
        flows.append(Flow(way.source, way.target, way.rule, value, total, way.sign, way.factor, way.part))
    return flows, adjoints


def opaque(prediction: Array, y: Array, w: Array | None, response: str, rows: Sequence[int] | None = None) -> Tape:
    """The tape of a model that is no formula: prediction, error, square and loss, and nothing behind the prediction.

    Example
    -------
    >>> opaque(np.array([1.0, 2.0]), np.array([0.0, 0.0]), None, "y").sums
    {'e': 3.0, 's': 5.0}
    """
    n = len(y)
    with np.errstate(all="ignore"):
        error = prediction - y
        square = error * error if w is None else w * (error * error)
        back = (2.0 / n) * (error if w is None else w * error)
    rows = range(1, min(n, KEPT) + 1) if rows is None else rows
    here = np.array(rows, dtype=np.int64) - 1
    nodes = [TapeNode(PREDICTION, "model", (), False, prediction[here], back[here], None)]
    nodes.append(TapeNode(response, "column", (), False, y[here], None, None))
    weight = None
    if w is not None:
        weight = len(nodes)
        nodes.append(TapeNode("w", "column", (), False, w[here], None, None))
    at = len(nodes)
    nodes.append(TapeNode("e", "error", (0, 1), False, error[here], back[here], None))
    parts = (at,) if weight is None else (at, weight)
    nodes.append(TapeNode("s", "square", parts, False, square[here], np.full(len(here), 1.0 / n), None))
    nodes.append(TapeNode("L", "mean", (at + 1,), True, np.asarray(square.sum() / n), np.asarray(1.0), None))
    sums = {"e": float(error.sum()), "s": float(square.sum())}
    return Tape(tuple(nodes), (), 0, 1, at, at + 1, at + 2, weight, n, rows, sums)


def predicted(subject: Subject, free: Sequence[float]) -> Array:
    """The predictions (n,) of any model at values of its free parameters."""
    problem = subject.problem()
    found: Array = subject.y - problem.residuals(problem.full(np.array(free, dtype=np.float64)))
    return found
