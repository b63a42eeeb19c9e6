"""A graph evaluated with NumPy, node by node: slow, obvious, the stranger of the compiled kernel.

It also says where a formula has no value: which part of it, in which rows, and what that part needs. It reports; it
changes no number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from katamuki.graph import LEAVES, Builder, Graph, Node, Span, derivative, is_linear, text
from katamuki.messages import Phrase
from katamuki.ops import SIGN, TABLE
from katamuki.records import Array

UNROUNDED = frozenset({"neg", "abs", "sign", "heaviside", "min", "max", "lt", "le", "gt", "ge", "eq", "ne", "where"})
FLIPPED = {">": "<", ">=": "<=", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Bad:
    """Where a formula has no value: words for a message, and the facts behind them.

    ``text`` is the part; ``rows`` says how many rows and shows the first; ``domain`` what the part needs, if known;
    ``row`` counts from 1; ``count`` rows are bad; ``span`` is the part's place in the formula, ``node`` in the graph.
    """

    text: str | Phrase
    rows: Phrase
    domain: Phrase | None
    row: int
    count: int
    span: Span | None
    node: int


def evaluate(graph: Graph, columns: Mapping[str, Array], params: Mapping[str, float]) -> tuple[Array, ...]:
    """The outputs of a graph, row by row.

    Parameters
    ----------
    graph : Graph
        What to evaluate.
    columns : mapping of str to (n,) float64
        Data; names that the graph does not use are ignored, but say how many rows there are.
    params : mapping of str to float
        A value for each parameter of the graph.

    Returns
    -------
    tuple of (n,) float64
        One array per output; NaN and infinity where there is no finite value.

    Source
    ------
    IEEE 754 arithmetic as NumPy does it; warnings are silenced, since NaN is the answer.

    Example
    -------
    >>> b = Builder()
    >>> graph = b.graph([b("mul", b.leaf("parameter", "a"), b.leaf("column", "x"))])
    >>> evaluate(graph, {"x": np.array([1.0, 2.0])}, {"a": 3.0})
    (array([3., 6.]),)
    """
    n = rows_of(columns)
    values = node_values(graph, columns, params)
    return tuple(np.array(np.broadcast_to(values[k], (n,)), dtype=np.float64) for k in graph.outputs)


def shaken(
    graph: Graph,
    columns: Mapping[str, Array],
    params: Mapping[str, float],
    draw: np.random.Generator,
    exact: bool = False,
) -> Array:
    """The outputs (k, n) with every operation's result moved by a unit in its last place: up, down, or not at all.

    A result of 0 stays: it is exact. With ``exact``, so does what double-double computes.
    """

    def moved(node: Node, value: Array) -> Array:
        if node.op in UNROUNDED or (exact and in_double_double(graph, node)):
            return value
        return np.asarray(value + np.spacing(value) * (draw.integers(-1, 2, value.shape, np.int8) * (value != 0.0)))

    values, out = node_values(graph, columns, params, moved), np.empty((len(graph.outputs), rows_of(columns)))
    for k, output in enumerate(graph.outputs):
        out[k] = values[output]
    return out


def in_double_double(graph: Graph, node: Node) -> bool:
    """Whether sums in double-double compute this operation with 31 digits."""
    whole = node.op != "powi" or graph.nodes[node.args[1]].value >= 0.0  # type: ignore[operator]
    return whole and bool(TABLE[node.op].sources.get("dd"))


def node_values(
    graph: Graph,
    columns: Mapping[str, Array],
    params: Mapping[str, float],
    after: Callable[[Node, Array], Array] | None = None,
) -> list[Array]:
    """The value of every node: (n,), or () where it is the same in all rows; ``after`` may change an operation's."""
    values: list[Array] = []
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            if node.op == "column":
                values.append(np.asarray(columns[str(node.value)], dtype=np.float64))
            elif node.op == "parameter":
                values.append(np.asarray(params[str(node.value)], dtype=np.float64))
            elif node.op == "constant":
                values.append(np.asarray(node.value, dtype=np.float64))
            else:
                found = TABLE[node.op].value(*(values[a] for a in node.args))
                found = np.asarray(found, dtype=np.float64)
                values.append(found if after is None else after(node, found))
    return values


def rows_of(columns: Mapping[str, Array]) -> int:
    """How many rows the columns have; 1 where there are none."""
    return next((len(one) for one in columns.values()), 1)


def first_bad(
    graph: Graph, columns: Mapping[str, Array], params: Mapping[str, float], formula: str | None = None
) -> Bad | None:
    """The part of a formula that first has no finite value although its inputs have.

    Parameters
    ----------
    graph : Graph
        The formula, or its derivative.
    columns : mapping of str to (n,) float64
        Finite data.
    params : mapping of str to float
        Where to look.
    formula : str, optional
        The text that was typed, so that the part is shown as typed.

    Returns
    -------
    Bad or None
        None where all outputs are finite in all rows. Branches that are not taken do not count.

    Example
    -------
    >>> b = Builder()
    >>> graph = b.graph([b("log", b("sub", b.leaf("column", "x"), 20.0))])
    >>> bad = first_bad(graph, {"x": np.array([10.0, 14.0])}, {})
    >>> bad.text, str(bad.rows), str(bad.domain)
    ('log(x - 20)', 'all 2 rows (row 1: log(-10))', 'log needs x > 20; the data have x from 10 to 14')
    """
    n = rows_of(columns)
    values = [np.broadcast_to(one, (n,)) for one in node_values(graph, columns, params)]
    finite = [np.isfinite(one) for one in values]
    for out in graph.outputs:
        if not finite[out].all():
            row = int(np.argmin(finite[out]))
            found = _described(graph, _culprit(graph, values, out, row), row, out, values, columns)
            return found if formula is None or found.span is None else replace(found, text=_typed(formula, found.span))
    return None


def _culprit(graph: Graph, values: list[Array], out: int, row: int) -> int:
    """From an output back to the node that is not finite in a row although its inputs are."""
    k = out
    while True:
        node = graph.nodes[k]
        args = node.args
        if node.op == "where":
            args = (args[0], args[1] if values[args[0]][row] != 0.0 else args[2])
        bad = [a for a in args if not np.isfinite(values[a][row])]
        if not bad:
            return k
        k = bad[0]


def _described(graph: Graph, k: int, row: int, out: int, values: list[Array], columns: Mapping[str, Array]) -> Bad:
    node = graph.nodes[k]
    bad = ~np.isfinite(values[k]) & ~np.isfinite(values[out])
    for a in node.args:
        bad &= np.isfinite(values[a])
    count, n = int(bad.sum()), len(bad)
    example = _example(node, [float(values[a][row]) for a in node.args])
    key = "formula.rows_all" if count == n else "formula.rows_some" if count > 1 else "formula.rows_one"
    rows = Phrase(key, count=count, n=n, row=row + 1, example=example)
    domain = _domain(graph, node, row, example, values, columns)
    return Bad(_text(graph, k), rows, domain, row + 1, count, node.span, k)


def _typed(formula: str, span: Span) -> str:
    """A part of the formula as it was typed, on one line."""
    part = " ".join(formula[slice(*span)].split())
    return part if len(part) <= 200 else part[:199] + "…"


def _text(graph: Graph, k: int) -> str | Phrase:
    try:
        return text(graph, k, 200)
    except OverflowError:
        return Phrase("formula.long_part", op=graph.nodes[k].op)


def _example(node: Node, numbers: list[float]) -> str:
    """The operation with a row's numbers: "log(-10)"."""
    if node.op in LEAVES:
        return str(node.value)
    op = TABLE[node.op]
    said = [f"{one:.6g}" for one in numbers]
    if op.binding <= SIGN or not op.callable:
        said = [f"({one})" if one.startswith("-") else one for one in said]
    return op.sources["python"].format(*said)


def _domain(
    graph: Graph, node: Node, row: int, example: str, values: list[Array], columns: Mapping[str, Array]
) -> Phrase | None:
    """What the operation needs, said of the data where it can be."""
    if node.op in LEAVES:
        return None
    domain = TABLE[node.op].domain
    inputs = [values[a][row] for a in node.args]
    with np.errstate(all="ignore"):
        outside = domain is not None and not bool(np.all(domain.allowed(*inputs)))
    if domain is None or not outside:
        return Phrase("formula.overflows", example=example)
    k = node.args[domain.index]
    op = node.op if TABLE[node.op].callable else Phrase(TABLE[node.op].words)
    if domain.relation is not None:
        solved = _solved(graph, k, domain.relation, domain.limit)
        if solved is not None:
            name, relation, limit = solved
            data = columns[name]
            return Phrase(
                "formula.needs_column", op=op, name=name, relation=relation, limit=f"{limit:.6g}",
                low=f"{data.min():.6g}", high=f"{data.max():.6g}",
            )  # fmt: skip
    return Phrase(domain.words, op=op, what=_text(graph, k))


def _solved(graph: Graph, k: int, relation: str, limit: float) -> tuple[str, str, float] | None:
    """``node relation limit`` solved for the only column that the node depends on, where it is linear in it."""
    part = Builder(graph.nodes).graph([k])
    if part.parameters or len(part.columns) != 1:
        return None
    (name,) = part.columns
    nodes = tuple(replace(one, op="parameter") if one.op == "column" else one for one in part.nodes)
    swapped = Graph(nodes, part.outputs, (), (name,))
    if not is_linear(swapped, [name]):
        return None
    offset, slope = (float(one[0]) for one in evaluate(derivative(swapped), {}, {name: 0.0}))
    if not slope:
        return None
    return name, FLIPPED[relation] if slope < 0 else relation, (limit - offset) / slope
