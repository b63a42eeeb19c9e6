"""Every row of the table: value and slope against strangers, kinks as PyTorch, NaN and infinity kept when compiled."""

from __future__ import annotations

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest

from katamuki import messages
from katamuki.backends.kernel import Kernel
from katamuki.backends.numpy_ import evaluate
from katamuki.graph import Builder, Graph, derivative
from katamuki.ops import TABLE
from random_formulas import torch_partials, values

NAMES = tuple("abc")
POINTS = [
    {"a": 0.3, "b": 1.7, "c": -0.6},
    {"a": 0.9, "b": -2.2, "c": 3.1},
    {"a": 1e-9, "b": 0.4, "c": 25.0},
    {"a": 0.7, "b": 0.2, "c": -1e-3},
]
SMOOTH = [name for name in TABLE if name != "powi"]


def graph_of(op: str) -> Graph:
    """One operation of parameters."""
    b = Builder()
    args = [b.leaf("parameter", name) for name in NAMES[: TABLE[op].arity]]
    return b.graph([b(op, *args)])


def ours(graph: Graph, point: dict[str, float]) -> list[float]:
    return [float(one[0]) for one in evaluate(derivative(graph), {}, point)]


@pytest.mark.parametrize("op", SMOOTH)
@pytest.mark.parametrize("point", POINTS, ids=range(len(POINTS)))
def test_the_value_agrees_with_mpmath(op: str, point: dict[str, float]) -> None:
    graph = graph_of(op)

    def leaf(kind: str, value: object) -> object:
        return mpmath.mpf(point[str(value)])

    with mpmath.workdps(40):
        scope = {"mp": mpmath.mp, "min": min, "max": max, "abs": abs}
        wanted = float(values(graph, "mpmath", leaf, scope)[graph.outputs[0]])
    assert ours(graph, point)[0] == pytest.approx(wanted, rel=1e-15 if op != "pow" else 4e-16, abs=0.0)


@pytest.mark.parametrize("op", SMOOTH)
@pytest.mark.parametrize("point", POINTS, ids=range(len(POINTS)))
def test_the_derivative_agrees_with_pytorch(op: str, point: dict[str, float]) -> None:
    graph = graph_of(op)
    if all(rule is None for rule in TABLE[op].pullback):
        assert ours(graph, point)[1:] == [0.0] * TABLE[op].arity
        return
    _, partials, _ = torch_partials(graph, point)
    assert ours(graph, point)[1:] == pytest.approx(partials, rel=2e-15, abs=1e-300)


@pytest.mark.parametrize("exponent", [*range(-16, 17), 17, 0.5, -0.5, 2.5])
def test_constant_powers_agree_with_pytorch(exponent: float) -> None:
    b = Builder()
    graph = b.graph([b("pow", b.leaf("parameter", "a"), float(exponent))])
    for a in (1.3, 0.2, -0.7):
        if exponent != int(exponent) and a < 0:
            continue
        value, partials, _ = torch_partials(graph, {"a": a})
        assert ours(graph, {"a": a}) == pytest.approx([value, *partials], rel=4e-15, abs=0.0)


INFINITE, NOTHING = math.inf, math.nan
KINKS = [
    ("abs", (0.0,)), ("sign", (0.0,)), ("sqrt", (0.0,)), ("cbrt", (8.0,)), ("log", (0.0,)), ("asin", (1.0,)),
    ("min", (2.0, 2.0)), ("max", (2.0, 2.0)), ("min", (-1.0, 2.0)), ("max", (-1.0, 2.0)), ("pow", (0.0, 2.0)),
    ("pow", (0.0, 1.0)), ("pow", (0.0, 0.0)), ("pow", (0.0, 0.5)), ("pow", (2.0, 0.0)), ("pow", (0.0, -1.0)),
    ("pow", (-2.0, 2.0)), ("where", (1.0, 2.0, 3.0)), ("where", (0.0, 2.0, 3.0)), ("where", (-2.0, 2.0, 3.0)),
    ("exp", (800.0,)), ("softplus", (800.0,)), ("softplus", (-800.0,)), ("sigmoid", (800.0,)), ("sigmoid", (-800.0,)),
    ("tanh", (400.0,)), ("erf", (30.0,)), ("erfc", (30.0,)), ("div", (1.0, 0.0)),
]  # fmt: skip


@pytest.mark.parametrize(("op", "at"), KINKS)
def test_kinks_ties_and_ends_are_those_of_pytorch(op: str, at: tuple[float, ...]) -> None:
    point = dict(zip(NAMES, at, strict=False))
    graph = graph_of(op)
    value, partials, _ = torch_partials(graph, point)
    np.testing.assert_allclose(ours(graph, point), [value, *partials], rtol=2e-15, atol=0.0)


@pytest.mark.parametrize("a", [0.0, -1.0, 2.0])
@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, -1.0])
def test_whole_powers_at_zero_are_those_of_pytorch(a: float, exponent: float) -> None:
    import torch

    b = Builder()
    graph = b.graph([b("pow", b.leaf("parameter", "a"), exponent)])
    base = torch.tensor(a, dtype=torch.float64, requires_grad=True)
    out = base**exponent
    out.backward()
    np.testing.assert_allclose(ours(graph, {"a": a}), [float(out.detach()), float(base.grad)], rtol=1e-15)


def test_a_wrong_derivative_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, "abs", replace(TABLE["abs"], pullback=(lambda b, a, n, u: u,)))
    with pytest.raises(AssertionError):
        test_kinks_ties_and_ends_are_those_of_pytorch("abs", (0.0,))
    monkeypatch.setitem(TABLE, "exp", replace(TABLE["exp"], pullback=(lambda b, a, n, u: b("mul", u, a[0]),)))
    with pytest.raises(AssertionError):
        test_the_derivative_agrees_with_pytorch("exp", POINTS[0])


def test_compiled_operations_keep_nan_and_infinity() -> None:
    """Every row at every pair of special numbers: the kernel's text against NumPy."""
    special = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, INFINITE, -INFINITE, NOTHING, 1e-310, 1e300])
    x, z = (one.ravel() for one in np.meshgrid(special, special))
    b = Builder()
    args = [b.leaf("column", "x"), b.leaf("column", "z"), b("mul", b.leaf("column", "x"), b.leaf("column", "z"))]
    powers = [b("pow", args[0], float(k)) for k in (-3, -1, 0, 1, 2, 5)]
    rows = [b(name, *args[: TABLE[name].arity]) for name in SMOOTH] + powers
    for k, node in enumerate(rows):
        graph = b.graph([node])
        values_ = [x if name == "x" else z for name in graph.columns]
        found = Kernel(graph).evaluate(values_, np.zeros(0), len(x))
        (wanted,) = evaluate(graph, {"x": x, "z": z}, {})
        label = SMOOTH[k] if k < len(SMOOTH) else "powi"
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted), err_msg=label)
        np.testing.assert_allclose(found, wanted, rtol=1e-15, atol=1e-308, err_msg=label)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_row_is_whole(name: str) -> None:
    op = TABLE[name]
    assert op.name == name
    assert len(op.pullback) == op.arity
    assert op.guards == () or len(op.guards) == op.arity
    assert {"python", "kernel", "torch", "sql", "latex", "dd", "mpmath"} <= set(op.sources)
    for text in op.sources.values():
        text.format(*"pqr"[: op.arity], inf="inf", nan="nan")
    assert messages.sentence(op.words)
    if op.domain is not None:
        assert messages.sentence(op.domain.words, op="f", what="x")
    assert op.reference


@pytest.mark.parametrize("name", sorted(name for name, op in TABLE.items() if op.domain is not None))
def test_the_domain_is_where_numpy_has_a_finite_value(name: str) -> None:
    op = TABLE[name]
    grid = np.array([-3.0, -2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0])
    args = np.meshgrid(*[grid] * op.arity)
    if name == "powi":
        args = [args[0].ravel(), np.full(args[0].size, -2.0)]
    with np.errstate(all="ignore"):
        finite = np.isfinite(op.value(*args))
        allowed = np.asarray(op.domain.allowed(*args))  # type: ignore[union-attr]
    np.testing.assert_array_equal(np.broadcast_to(allowed, finite.shape), finite)
