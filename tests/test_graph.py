"""Graphs: shared nodes, the derivative as a graph, branches that poison nothing, linearity, text."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from katamuki.backends.kernel import Kernel
from katamuki.backends.numpy_ import evaluate
from katamuki.formula import parse
from katamuki.graph import (
    Builder,
    Graph,
    NotFinite,
    depends,
    derivative,
    is_linear,
    text,
)

COLUMNS = ["x", "y", "z"]


def graph_of(right: str) -> Graph:
    return parse(f"y ~ {right}", COLUMNS).rhs


def partials(right: str) -> dict[str, str]:
    slopes = derivative(graph_of(right))
    return {name: text(slopes, k) for name, k in zip(slopes.parameters, slopes.outputs[1:], strict=True)}


def test_equal_parts_are_one_node() -> None:
    graph = graph_of("a*exp(-b*x) + c*exp(-b*x)")
    assert sum(node.op == "exp" for node in graph.nodes) == 1


def test_zero_and_minus_zero_are_two_constants() -> None:
    b = Builder()
    assert b.leaf("constant", 0.0) != b.leaf("constant", -0.0)


def test_arguments_stand_before_their_operation() -> None:
    for graph in (graph_of("a*sin(b*x)**2 - x/(1 + a)"), derivative(graph_of("a*sin(b*x)**2 - x/(1 + a)"))):
        assert all(a < k for k, node in enumerate(graph.nodes) for a in node.args)


def test_the_derivative_keeps_the_order_of_columns_and_parameters() -> None:
    graph = graph_of("b*x + a*z")
    slopes = derivative(graph)
    assert (slopes.columns, slopes.parameters) == (graph.columns, graph.parameters) == (("x", "z"), ("b", "a"))
    assert len(slopes.outputs) == 3


@pytest.mark.parametrize(
    ("right", "wanted"),
    [
        ("a*x + b", {"a": "x", "b": "1"}),
        ("a*exp(b*x)", {"a": "exp(b*x)", "b": "a*exp(b*x)*x"}),
        ("(x - a)**2", {"a": "-(2*(x - a))"}),
        ("a + b*0", {"a": "1", "b": "0"}),
        ("sign(a)", {"a": "0"}),
        ("a if x > 0 else b*x", {"a": "1 if x > 0 else 0", "b": "0 if x > 0 else x"}),
        ("a*x**2/2", {"a": "0.5*x**2"}),
    ],
)
def test_a_derivative_reads_as_on_paper(right: str, wanted: dict[str, str]) -> None:
    slopes, point = derivative(graph_of(right)), {"a": 0.7, "b": -1.2}
    x = {"x": np.array([-1.5, 0.5, 2.0])}
    found = evaluate(slopes, x, point)[1:]
    for name, values in zip(slopes.parameters, found, strict=True):
        said = parse(f"y ~ q*({wanted[name]})", COLUMNS).rhs
        (expected,) = evaluate(said, x, {**point, "q": 1.0})
        np.testing.assert_allclose(values, expected, rtol=1e-15)


def test_no_logarithm_of_a_negative_number_for_a_constant_exponent() -> None:
    slopes = derivative(graph_of("(x - 3)**2.5 + (x - a)**2 + a**x"))
    assert not any(node.op == "log" for node in slopes.nodes)
    assert any(node.op == "log" for node in derivative(graph_of("x**a")).nodes)


@pytest.mark.parametrize(
    "right",
    [
        "log(a*x) if x > 0 else a*x",
        "a*x if x <= 0 else log(a*x)",
        "a*(sqrt(a*x) if x > 0 else 0)",
        "(log(a*x) if x > 1 else 0) + (2*log(a*x) if x > 2 else 0) + a",
        "(log(a*x) if x > 1 else a) if x > 0 else a**2",
        "max(log(a*x) if x > 0 else -9, a)",
    ],
)
def test_a_branch_that_is_not_taken_poisons_nothing(right: str) -> None:
    graph = graph_of(right)
    x = np.array([-2.0, -0.0, 0.0, 0.5, 1.0, 1.5, 3.0])
    value, slope = evaluate(derivative(graph), {"x": x}, {"a": 1.3})
    above = evaluate(graph, {"x": x}, {"a": 1.3 + 1e-6})[0]
    below = evaluate(graph, {"x": x}, {"a": 1.3 - 1e-6})[0]
    assert np.isfinite(value).all()
    np.testing.assert_allclose(slope, (above - below) / 2e-6, rtol=1e-8, atol=1e-8)
    compiled = Kernel(graph).evaluate([x], np.array([1.3]), len(x), True)
    np.testing.assert_allclose(compiled, [value, slope], rtol=1e-15)


def test_a_product_with_zero_of_data_stays() -> None:
    value, slope = evaluate(derivative(graph_of("a*(0*x)")), {"x": np.array([1.0, math.inf])}, {"a": 1.0})
    assert slope[0] == 0.0
    assert math.isnan(slope[1])
    assert math.isnan(value[1])


@pytest.mark.parametrize(
    ("right", "names", "linear"),
    [
        ("a*x + b", "ab", True),
        ("a*x**2 + b*x + c", "abc", True),
        ("a*exp(x) + b/x - c", "abc", True),
        ("(a + b)*x/3", "ab", True),
        ("a if x > 1 else b*x", "ab", True),
        ("-(a - 2*b)/x", "ab", True),
        ("a*b*x", "ab", False),
        ("a*b*x", "a", True),
        ("a*exp(-b*x) + c", "abc", False),
        ("a*exp(-b*x) + c", "ac", True),
        ("a**2*x", "a", False),
        ("abs(a*x)", "a", False),
        ("sign(a*x) + b", "ab", False),
        ("b*(x > a)", "ab", False),
        ("b*(x > a)", "b", True),
        ("b if a > x else 2*b", "ab", False),
        ("max(a*x, 0)", "a", False),
        ("x**a", "a", False),
        ("1/(a*x)", "a", False),
    ],
)
def test_linearity_is_seen_from_the_structure(right: str, names: str, linear: bool) -> None:
    assert is_linear(graph_of(right), tuple(names)) is linear


def test_what_depends_on_what() -> None:
    graph = graph_of("a*exp(-b*x) + c*z")
    said = {text(graph, k) for k in depends(graph, parameters=["b"])}
    assert said == {"b", "-b", "-b*x", "exp(-b*x)", "a*exp(-b*x)", "a*exp(-b*x) + c*z"}
    assert {text(graph, k) for k in depends(graph, columns=["z"])} == {"z", "c*z", "a*exp(-b*x) + c*z"}


def test_nothing_is_recursive() -> None:
    b = Builder()
    node = a = b.leaf("parameter", "a")
    for _ in range(20_000):
        node = b("sin", b("add", node, a))
    slopes = derivative(b.graph([node]))
    (value, slope) = evaluate(slopes, {}, {"a": 0.3})
    assert len(slopes.nodes) > sys.getrecursionlimit() * 10
    assert np.isfinite([value[0], slope[0]]).all()


def test_a_shared_graph_that_is_long_as_text_is_an_error() -> None:
    b = Builder()
    node = b.leaf("parameter", "a")
    for _ in range(100):
        node = b("mul", node, node)
    with pytest.raises(OverflowError):
        text(b.graph([node]), 100)


def test_constants_are_folded_and_must_be_finite() -> None:
    graph = graph_of("a*(2*3 + sin(0))")
    assert text(graph, graph.outputs[0]) == "a*6"
    with pytest.raises(NotFinite):
        Builder()("div", 1.0, 0.0)


def test_a_derivative_whose_constant_part_is_not_finite_is_left_to_the_data() -> None:
    value, slope = evaluate(derivative(graph_of("0**a")), {"x": np.array([1.0])}, {"a": 2.0})
    assert (value[0], slope[0]) == (0.0, 0.0)  # as PyTorch


@pytest.mark.parametrize("right", ["(x/c)**b", "(c*x)**b", "(x*c)**b", "d + (a - d)/(1 + (x/c)**b)", "((x - a)/c)**b"])
@pytest.mark.parametrize("power", [0.3, 1.0, 1.7])
def test_a_scale_inside_a_power_has_a_slope_where_the_column_is_zero(right: str, power: float) -> None:
    """This used to be ∞·0: a dose of zero, and an exponent below one."""
    graph = graph_of(right)
    at = {name: {"a": -0.5, "b": power, "c": 2.5, "d": 0.4}[name] for name in graph.parameters}
    x = {"x": np.array([0.0, 1e-3, 0.7, 4.0])}
    found = dict(zip(graph.parameters, evaluate(derivative(graph), x, at)[1:], strict=True))
    step = 1e-6
    high, low = (evaluate(graph, x, at | {"c": at["c"] + one})[0] for one in (step, -step))
    np.testing.assert_allclose(found["c"], (high - low) / (2 * step), rtol=1e-6, atol=1e-9)
