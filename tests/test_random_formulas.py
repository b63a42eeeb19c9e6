"""Exact derivatives of random formulas, against PyTorch and against 60-digit differences; compiled against NumPy.

Tolerances are in units of the formula's own condition, Σ |∂f/∂node · node| over its nodes: what one rounding of each
node can do to the value.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_formulas import COLUMNS, PARAMETERS, graphs, mpmath_partials, point_of, torch_partials

from katamuki.backends.kernel import BLOCK, SCOPE, SIGNATURE, compile_source, rows_source
from katamuki.backends.numpy_ import evaluate
from katamuki.formula import parse
from katamuki.graph import Builder, Graph, derivative, text

TOLERANCE = 1e-13


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
    rows = compile_source(rows_source(graph), "rows", SIGNATURE, SCOPE)
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
    worst = 0.0
    for first in range(0, 200, 20):
        graph = joined(sample[first : first + 20])
        fast, slow = compiled(graph, columns, params), np.array(evaluate(graph, columns, params))
        k = 0
        for one in sample[first : first + 20]:
            count = 1 + len(one.parameters)
            for row in range(11):
                point = {**params, **{name: float(columns[name][row]) for name in COLUMNS}}
                _, _, condition = torch_partials(one, point)
                worst = max(worst, np.abs(fast - slow)[k : k + count, row].max() / condition)
            k += count
    assert worst <= 1e-14
    assert worst > 0.0
