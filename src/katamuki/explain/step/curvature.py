"""The loss's exact second derivatives: H = (2/n) Σ w (∂f ∂fᵀ + e ∂²f), e = f − y.

The second derivatives of f come from differentiating the derivative graph again, not from Gauss–Newton's J alone, so
that half of ΔᵀHΔ is what the bend of the surface really adds to a step. Rows are taken in chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from katamuki.backends.numpy_ import evaluate
from katamuki.graph import Builder, Graph, derivative
from katamuki.records import Array

CHUNK = 65536
MOST = 24  # parameters up to which all second derivatives are held; the bend along a step needs none of them
MOVE = "Δ"  # before a parameter's name: how far it moves


@lru_cache(maxsize=32)
def slopes(graph: Graph, free: tuple[str, ...]) -> Graph:
    """∂f/∂p for the free parameters, in their order."""
    whole = derivative(graph)
    places = [whole.outputs[1 + graph.parameters.index(name)] for name in free]
    return Builder(whole.nodes).graph(places, graph)


@lru_cache(maxsize=32)
def second(graph: Graph, free: tuple[str, ...]) -> tuple[Graph, ...]:
    """For each free parameter i: ∂²f/∂i∂j for all free j."""
    first = slopes(graph, free)
    return tuple(slopes(Builder(first.nodes).graph([out], graph), free) for out in first.outputs)


@lru_cache(maxsize=32)
def along(graph: Graph, free: tuple[str, ...]) -> Graph:
    """∂f·Δ and Δᵀ∂²fΔ, with a parameter Δp beside each free p."""
    once = _directional(graph, free)
    twice = _directional(once, free)
    b = Builder(once.nodes)
    one = once.outputs[0]
    two = _copied(b, twice)
    return replace(b.graph([one, two]), columns=graph.columns, parameters=once.parameters)


def _directional(graph: Graph, free: tuple[str, ...]) -> Graph:
    """Σ ∂f/∂p·Δp."""
    rates = slopes(graph, free)
    b = Builder(rates.nodes, simplify=True)
    total = b.leaf("constant", 0.0)
    for name, out in zip(free, rates.outputs, strict=True):
        total = b("add", total, b("mul", out, b.leaf("parameter", MOVE + name)))
    known = tuple(dict.fromkeys((*graph.parameters, *(MOVE + name for name in free))))
    return replace(b.graph([total]), columns=graph.columns, parameters=known)


def _copied(b: Builder, graph: Graph) -> int:
    """The first output of a graph, its nodes added to a builder."""
    place: list[int] = []
    for node in graph.nodes:
        if node.op in {"column", "parameter", "constant"}:
            place.append(b.leaf(node.op, node.value))  # type: ignore[arg-type]
        else:
            place.append(b(node.op, *(place[a] for a in node.args)))
    return place[graph.outputs[0]]


def hessian(
    graph: Graph,
    columns: Mapping[str, Array],
    y: Array,
    w: Array | None,
    params: Mapping[str, float],
    free: tuple[str, ...],
    linear: bool = False,
) -> Array:
    """H (p, p) of Σ w (f − y)² / n at a point.

    Parameters
    ----------
    graph : Graph
        f.
    columns : mapping of str to (n,) float64
        Data.
    y, w : (n,) float64
        Response and weights (None: 1).
    params : mapping of str to float
        All parameters.
    free : tuple of str
        Those to differentiate by.
    linear : bool
        f is linear in them: its second derivatives are 0 and are not made.

    Returns
    -------
    (p, p) float64
        Unit of the loss per product of two parameters.

    Source
    ------
    Seber & Wild 1989, section 2.1.2.

    Example
    -------
    >>> b = Builder()
    >>> line = b.graph([b("mul", b.leaf("parameter", "a"), b.leaf("column", "x"))])
    >>> hessian(line, {"x": np.array([1.0, 2.0])}, np.zeros(2), None, {"a": 1.0}, ("a",))
    array([[5.]])
    """
    p, n = len(free), len(y)
    total = np.zeros((p, p))
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        here = {name: columns[name][part] for name in graph.columns} or {"": y[part]}
        j = np.array(evaluate(slopes(graph, free), here, params))
        weighted = j if w is None else j * w[part]
        total += weighted @ j.T
        if not linear:
            (f,) = evaluate(graph, here, params)
            e = f - y[part] if w is None else w[part] * (f - y[part])
            for i, rates in enumerate(second(graph, free)):
                total[i] += np.array(evaluate(rates, here, params)) @ e
    return 2.0 / n * total


def bend(
    graph: Graph,
    columns: Mapping[str, Array],
    y: Array,
    w: Array | None,
    params: Mapping[str, float],
    move: Mapping[str, float],
) -> float:
    """½ΔᵀHΔ for a step Δ of the free parameters, without making H.

    Example
    -------
    >>> b = Builder()
    >>> line = b.graph([b("mul", b.leaf("parameter", "a"), b.leaf("column", "x"))])
    >>> bend(line, {"x": np.array([1.0, 2.0])}, np.zeros(2), None, {"a": 1.0}, {"a": 2.0})
    10.0
    """
    free = tuple(move)
    rates = along(graph, free)
    moves = {MOVE + name: value for name, value in move.items()}
    n, total = len(y), 0.0
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        here = {name: columns[name][part] for name in graph.columns} or {"": y[part]}
        one, two = evaluate(rates, here, {**params, **moves})
        (f,) = evaluate(graph, here, params)
        each = one * one + (f - y[part]) * two
        total += float((each if w is None else w[part] * each).sum())
    return total / n


def sizes(
    graph: Graph,
    columns: Mapping[str, Array],
    y: Array,
    w: Array | None,
    params: Mapping[str, float],
    free: tuple[str, ...],
) -> tuple[Array, Array]:
    """For each free parameter the root mean square of √w ∂f, and (2/n) Σ w |e ∂f|, the size of its gradient's summands.

    Example
    -------
    >>> b = Builder()
    >>> line = b.graph([b("mul", b.leaf("parameter", "a"), b.leaf("column", "x"))])
    >>> sizes(line, {"x": np.array([3.0, -4.0])}, np.zeros(2), None, {"a": 1.0}, ("a",))
    (array([3.53553391]), array([25.]))
    """
    n, squares, summands = len(y), np.zeros(len(free)), np.zeros(len(free))
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        here = {name: columns[name][part] for name in graph.columns} or {"": y[part]}
        (f,) = evaluate(graph, here, params)
        j = np.array(evaluate(slopes(graph, free), here, params))
        root = np.ones(len(f)) if w is None else np.sqrt(w[part])
        squares += ((j * root) ** 2).sum(axis=1)
        summands += np.abs(j * root * root * (f - y[part])).sum(axis=1)
    return np.sqrt(squares / n), 2.0 / n * summands
