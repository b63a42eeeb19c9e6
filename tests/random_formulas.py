"""Random formulas over the whole table, inside every operation's domain, and strangers that evaluate them.

Formulas are built as graphs; hypothesis chooses every part. The strangers read the table's own text for PyTorch and for
mpmath, so that a new row is tested by existing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from katamuki.graph import Builder, Graph
from katamuki.ops import TABLE

PARAMETERS = ("a", "b", "c")
COLUMNS = ("x", "z")
CONSTANTS = (0.5, 2.0, 3.0, -1.5, 0.1)
UNARY = sorted(name for name, op in TABLE.items() if op.arity == 1)
BINARY = sorted(name for name, op in TABLE.items() if op.arity == 2 and name != "powi")
BOUNDED = {"exp", "expm1", "sinh", "cosh", "tan"}


@st.composite
def graphs(draw: st.DrawFn, depth: int = 4) -> Graph:
    """A formula with at least one parameter."""
    builder = Builder()
    first = builder("mul", builder.leaf("parameter", "a"), _part(draw, builder, depth))
    return builder.graph([builder(draw(st.sampled_from(["add", "sub", "mul"])), first, _part(draw, builder, depth))])


def _part(draw: st.DrawFn, b: Builder, depth: int) -> int:
    kind = draw(st.integers(0, 9)) if depth else 0
    if kind <= 2:
        return _leaf(draw, b)
    if kind == 3:
        return b("pow", _positive(b, _part(draw, b, depth - 1)), float(draw(st.integers(-3, 5))))
    if kind == 4:
        condition = b(draw(st.sampled_from(["lt", "le", "gt", "ge"])), _leaf(draw, b), _leaf(draw, b))
        return b("where", condition, _part(draw, b, depth - 1), _part(draw, b, depth - 1))
    if kind <= 6:
        return _unary(b, draw(st.sampled_from(UNARY)), _part(draw, b, depth - 1))
    p, q = _part(draw, b, depth - 1), _part(draw, b, depth - 1)
    op = draw(st.sampled_from(BINARY))
    if op == "pow":
        return b("pow", _positive(b, p), b("tanh", q))
    return b(op, p, _positive(b, q) if op == "div" else q)


def _leaf(draw: st.DrawFn, b: Builder) -> int:
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return b.leaf("constant", draw(st.sampled_from(CONSTANTS)))
    if kind <= 3:
        return b.leaf("parameter", draw(st.sampled_from(PARAMETERS)))
    return b.leaf("column", draw(st.sampled_from(COLUMNS)))


def _positive(b: Builder, k: int) -> int:
    """1 + 1.5·sigmoid: between 1 and 2.5."""
    return b("add", 1.0, b("mul", 1.5, b("sigmoid", k)))


def _unary(b: Builder, op: str, k: int) -> int:
    if TABLE[op].domain is not None or op == "cbrt":  # the slope of the cube root is infinite at 0
        k = b("tanh", k) if op in {"asin", "acos"} else _positive(b, k)
        k = b("mul", k, 0.9)
    elif op in BOUNDED:
        k = b("tanh", k)
    return b(op, k)


def values(graph: Graph, backend: str, leaves: Callable[[str, Any], Any], scope: dict[str, Any]) -> list[Any]:
    """Every node's value, by the text that the table has for a backend."""
    found: list[Any] = []
    for node in graph.nodes:
        if node.op in {"column", "parameter", "constant"}:
            found.append(leaves(node.op, node.value))
        else:
            names = {f"_{i}": found[a] for i, a in enumerate(node.args)}
            found.append(eval(TABLE[node.op].sources[backend].format(*names), dict(scope, **names)))
    return found


def torch_partials(graph: Graph, point: dict[str, float]) -> tuple[float, list[float], float]:
    """PyTorch's value, its partials by the graph's parameters, and Σ |∂f/∂node · node| over the nodes."""
    import torch

    def leaf(op: str, value: Any) -> Any:
        number = value if op == "constant" else point[value]
        return torch.tensor(float(number), dtype=torch.float64, requires_grad=True)

    nodes = values(graph, "torch", leaf, {"torch": torch})
    out = nodes[graph.outputs[0]]
    movable = [one for one in nodes if one.requires_grad]
    slopes = torch.autograd.grad(out, movable, allow_unused=True)
    by_node = {id(one): 0.0 if slope is None else float(slope) for one, slope in zip(movable, slopes, strict=True)}
    leaves = {node.value: k for k, node in enumerate(graph.nodes) if node.op == "parameter"}
    partials = [by_node[id(nodes[leaves[name]])] for name in graph.parameters]
    condition = sum(abs(by_node.get(id(one), 0.0) * float(one.detach())) for one in nodes)
    return float(out.detach()), partials, condition


def mpmath_partials(graph: Graph, point: dict[str, float]) -> tuple[float, list[float]]:
    """The value and partials by central differences in 60 digits."""
    import mpmath

    step = mpmath.mpf(10) ** -20

    def at(moved: str | None, by: Any) -> Any:
        def leaf(op: str, value: Any) -> Any:
            if op == "constant":
                return mpmath.mpf(value)
            return mpmath.mpf(point[value]) + (by if value == moved else 0)

        return values(graph, "mpmath", leaf, {"mp": mpmath.mp, "min": min, "max": max, "abs": abs})[graph.outputs[0]]

    with mpmath.workdps(60):
        value = float(at(None, 0))
        return value, [float((at(name, step) - at(name, -step)) / (2 * step)) for name in graph.parameters]


def point_of(seed: int, names: Sequence[str] = (*PARAMETERS, *COLUMNS)) -> dict[str, float]:
    """A value for each name between 0.5 and 2, either sign, far from kinks by chance."""
    rng = np.random.default_rng(seed)
    return {name: float(rng.uniform(0.5, 2.0) * rng.choice([-1.0, 1.0])) for name in names}
