"""Exact derivatives of random formulas, against PyTorch and against 60-digit differences; compiled against NumPy.

Tolerances are in units of the formula's own condition, Σ |∂f/∂node · node| over its nodes: what one rounding of each
node can do to the value.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katamuki.backends.kernel import BLOCK, SCOPE, compile_source, rows_source
from katamuki.backends.native import ROWS
from katamuki.backends.numpy_ import evaluate
from katamuki.formula import parse
from katamuki.graph import Builder, Graph, derivative, is_linear, text
from katamuki.ops import TABLE
from random_formulas import COLUMNS, PARAMETERS, graphs, mpmath_partials, point_of, torch_partials

TOLERANCE = 1e-13
SMALLEST = 2.3e-308  # below it numbers have fewer digits


def ours(graph: Graph, point: dict[str, float]) -> list[float]:
    columns = {name: np.array([point[name]]) for name in COLUMNS}
    return [float(one[0]) for one in evaluate(derivative(graph), columns, point)]


def furthest(found: list[float], wanted: list[float]) -> float:
    return max((abs(p - q) for p, q in zip(found, wanted, strict=True)), default=0.0)


@settings(max_examples=2000)
@given(graphs(), st.integers(0, 2**32 - 1))
def test_derivatives_agree_with_pytorch_and_with_60_digits(graph: Graph, seed: int) -> None:
    point = point_of(seed)
    found = ours(graph, point)
    value, partials, condition = torch_partials(graph, point)
    assert math.isfinite(condition)
    assert furthest(found, [value, *partials]) <= TOLERANCE * condition
    exact, slopes = mpmath_partials(graph, point)
    assert furthest(found, [exact, *slopes]) <= TOLERANCE * condition


def joined(parts: list[Graph]) -> Graph:
    """Several formulas' values and partials as the outputs of one graph, so that they are compiled together."""
    builder = Builder(simplify=True)
    outputs: list[int] = []
    for graph in parts:
        slopes = derivative(graph)
        place: list[int] = []
        for node in slopes.nodes:
            if node.args:
                place.append(builder(node.op, *(place[a] for a in node.args)))
            else:
                place.append(builder.leaf(node.op, node.value))
        outputs += [place[k] for k in slopes.outputs]
    return builder.graph(outputs)


def compiled(graph: Graph, columns: dict[str, np.ndarray], params: dict[str, float]) -> np.ndarray:
    """The outputs of a graph by a compiled kernel, (outputs, rows)."""
    rows = compile_source(rows_source(graph), "rows", ROWS, SCOPE)
    arrays = [np.ascontiguousarray(columns[name]) for name in graph.columns]
    pointers = np.array([one.ctypes.data for one in arrays] or [0], dtype=np.int64)
    values = np.array([params[name] for name in graph.parameters])
    n = len(next(iter(columns.values())))
    block = np.empty((len(graph.outputs), BLOCK))
    rows(pointers.ctypes.data, values.ctypes.data, 0, n, block.ctypes.data, block[1:].ctypes.data, 1)
    return block[:, :n]


def test_two_hundred_compiled_formulas_agree_with_numpy() -> None:
    found: list[Graph] = []
    collect = settings(max_examples=250, derandomize=True)(given(graphs())(lambda graph: found.append(graph)))
    collect()
    sample = list({text(one, one.outputs[0]): one for one in found}.values())[:200]
    assert len(sample) == 200
    rng = np.random.default_rng(7)
    columns = {name: rng.uniform(0.5, 2.0, 11) * rng.choice([-1.0, 1.0], 11) for name in COLUMNS}
    params = dict(zip(PARAMETERS, (0.7, -1.3, 1.9), strict=True))
    differ = 0
    for first in range(0, 200, 20):
        graph = joined(sample[first : first + 20])
        fast, slow = compiled(graph, columns, params), np.array(evaluate(graph, columns, params))
        k = 0
        for one in sample[first : first + 20]:
            count = 1 + len(one.parameters)
            for row in (0, 5, 10):  # in vector registers, and in the rest of the loop
                point = {**params, **{name: float(columns[name][row]) for name in COLUMNS}}
                _, _, condition = torch_partials(one, point)
                apart = np.abs(fast - slow)[k : k + count, row].max()
                assert apart <= 1e-14 * condition + SMALLEST
                differ += apart > 0.0
            k += count
    assert differ  # libmvec rounds otherwise than libm somewhere: these really are two programs


def test_a_wrong_rule_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = parse("y ~ a*sin(b*x)", ["x", "y"]).rhs
    point = {"a": 1.3, "b": 0.7, "x": 1.9, "z": 1.0}
    _, partials, condition = torch_partials(graph, point)
    assert furthest(ours(graph, point)[1:], partials) <= TOLERANCE * condition
    wrong = replace(TABLE["sin"], pullback=(lambda b, a, n, u: b("mul", u, b("cos", b("mul", a[0], 1.0 + 1e-12))),))
    monkeypatch.setitem(TABLE, "sin", wrong)
    assert furthest(ours(graph, point)[1:], partials) > TOLERANCE * condition


def canonical(graph: Graph) -> tuple[object, ...]:
    """A graph without the order in which its nodes were made: each node by its parts, numbered by first visit."""
    numbers: dict[tuple[object, ...], int] = {}
    of: list[int] = []
    for node in graph.nodes:
        key = (node.op, tuple(of[a] for a in node.args), repr(node.value))
        of.append(numbers.setdefault(key, len(numbers)))
    order: dict[int, int] = {}
    lines: list[object] = []
    stack = [graph.outputs[0]]
    while stack:
        k = stack.pop()
        if k not in order:
            order[k] = len(order)
            lines.append((graph.nodes[k].op, repr(graph.nodes[k].value), len(graph.nodes[k].args)))
            stack.extend(reversed(graph.nodes[k].args))
        else:
            lines.append(order[k])
    return tuple(lines)


@settings(max_examples=600)
@given(graphs(depth=5))
def test_printing_and_reading_again_gives_the_same_graph(graph: Graph) -> None:
    said = text(graph, graph.outputs[0])
    again = parse(f"y ~ {said}", [*COLUMNS, "y"]).rhs
    assert canonical(again) == canonical(graph)
    assert text(again, again.outputs[0]) == said


def test_the_comparison_of_graphs_sees_a_difference() -> None:
    one, two = (parse(f, ["x", "y"]).rhs for f in ("y ~ a - (x - b)", "y ~ a - x - b"))
    assert canonical(one) != canonical(two)
    assert canonical(one) == canonical(parse("y ~ a-((x)-b)", ["x", "y"]).rhs)


@settings(max_examples=300)
@given(graphs(depth=3), st.integers(0, 2**32 - 1))
def test_linear_means_that_moving_the_parameters_moves_the_value_in_proportion(graph: Graph, seed: int) -> None:
    point, other = point_of(seed), point_of(seed + 1)
    for names in [(name,) for name in graph.parameters] + [graph.parameters]:
        if is_linear(graph, names):
            moved = {**point, **{name: other[name] for name in names}}
            middle = {**point, **{name: 0.5 * (point[name] + other[name]) for name in names}}
            p, q, m = (ours(graph, one)[0] for one in (point, moved, middle))
            _, _, condition = torch_partials(graph, point)
            _, _, condition_moved = torch_partials(graph, moved)
            assert abs(0.5 * (p + q) - m) <= 1e-13 * (condition + condition_moved)
