"""Rows in which a formula, or its derivative, has no value: a condition that leaves out these and no others.

The bad rows are compared with the others, column by column: where all of them lie on one side, ``dose > 0`` parts
them. A curve of doses, 1/(1 + (ec50/dose)^h), is also said as dose^h/(dose^h + ec50^h), which keeps its rows. What is
suggested was tried: the condition on the data, the formula at the values that failed. Own method. It compares single
columns with single numbers, no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from katamuki.backends import numpy_
from katamuki.graph import LEAVES, Builder, Graph, derivative, text
from katamuki.records import Array

Mask = NDArray[np.bool_]
TESTS = {">": np.greater, "<": np.less, "!=": np.not_equal}


class Kept(NamedTuple):
    """Which rows stay: the column that says so, and the condition as it is typed."""

    name: str
    text: str


def rows_without(graph: Graph, columns: Mapping[str, Array], params: Mapping[str, float]) -> Mask:
    """The rows (n,) in which an output of a graph has no finite value."""
    values = numpy_.evaluate(graph, columns, params)
    return np.asarray(~np.isfinite(np.array(values)).all(axis=0))


def typed_parts(graph: Graph, formula: str) -> set[str]:
    """The parts of a formula as they stand in it, by their places; as they are printed where they have none."""
    found = set[str]()
    for k, node in enumerate(graph.nodes):
        if node.span is not None:
            found.add(" ".join(formula[slice(*node.span)].split()))
        else:
            try:
                found.add(text(graph, k, 200))
            except OverflowError:
                continue
    return found


def condition(columns: Mapping[str, Array], names: Sequence[str], bad: Mask, least: int) -> Kept | None:
    """The condition on one column that holds in the good rows only, if at least ``least`` rows are good.

    Example
    -------
    >>> dose = np.array([0.0, 0.0, 1.0, 10.0])
    >>> condition({"dose": dose}, ["dose"], dose == 0.0, 2)
    Kept(name='dose', text='dose > 0')
    """
    if not bad.any() or np.count_nonzero(~bad) < max(least, 1):
        return None
    for name in names:
        out, kept = columns[name][bad], columns[name][~bad]
        low, high = float(out.min()), float(out.max())
        tried = [(">", 0.0), ("<", 0.0), (">", high), ("<", low)]
        tried += [("!=", low)] * (low == high)
        for relation, limit in tried:
            test = TESTS[relation]
            if bool(test(kept, limit).all()) and not bool(test(out, limit).any()):
                shown = name if name.isidentifier() else f"`{name}`"
                return Kept(name, f"{shown} {relation} {repr(limit + 0.0).removesuffix('.0')}")
    return None


def rewritten(graph: Graph, columns: Mapping[str, Array], params: Mapping[str, float]) -> tuple[str, str] | None:
    """A part c/(1 + (e/x)^h), and the same as c·x^h/(x^h + e^h), which has a value and slopes where x is 0.

    Example
    -------
    >>> from katamuki import formula
    >>> graph = formula.parse("y ~ c/(1 + (e/x)^h)", ("x", "y")).rhs
    >>> rewritten(graph, {"x": np.array([0.0, 1.0])}, {"c": 1.0, "e": 2.0, "h": 1.5})
    ('c/(1 + (e/x)**h)', 'c*x**h/(x**h + e**h)')
    """
    for k, node in enumerate(graph.nodes):
        found = _quotient_to_a_power(graph, k)
        if found is None:
            continue
        above, column, exponent = found
        b, place = Builder(), dict[int, int]()
        for i, one in enumerate(graph.nodes):
            if one.op in LEAVES:
                place[i] = b.leaf(one.op, one.value)  # type: ignore[arg-type]
            elif i == k:
                rising, middle = (b("pow", place[base], place[exponent]) for base in (column, above))
                place[i] = b("div", b("mul", place[node.args[0]], rising), b("add", rising, middle))
            else:
                place[i] = b(one.op, *(place[a] for a in one.args))
        power = graph.nodes[exponent].value
        tried = {**params, power: abs(params[power])} if isinstance(power, str) and power in params else params
        whole = derivative(b.graph([place[graph.outputs[0]]]))
        if not rows_without(whole, columns, tried).any():
            try:
                part = b.graph([place[k]])
                return text(graph, k, 200), text(part, part.outputs[0], 200)
            except OverflowError:
                return None
    return None


def _quotient_to_a_power(graph: Graph, k: int) -> tuple[int, int, int] | None:
    """The nodes e, x and h of a node c/(1 + (e/x)^h) where x is a column."""
    nodes = graph.nodes
    if nodes[k].op != "div" or nodes[nodes[k].args[1]].op != "add":
        return None
    parts = nodes[nodes[k].args[1]].args
    for one, other in (parts, parts[::-1]):
        if nodes[one].value != 1.0 or nodes[other].op not in {"pow", "powi"}:
            continue
        base, exponent = nodes[other].args
        if nodes[base].op == "div" and nodes[nodes[base].args[1]].op == "column":
            return (*nodes[base].args, exponent)  # type: ignore[return-value]
    return None
