"""Which parameters enter a formula linearly, against second differences of its values and all sets tried one by one."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings

from katamuki.backends.numpy_ import evaluate
from katamuki.formula import parse
from katamuki.graph import Graph, derivative, is_linear
from katamuki.search.places import linear_parameters
from random_formulas import graphs

ROWS = 40


def graph(text: str) -> Graph:
    return parse(f"y ~ {text}", ["x", "z", "y"]).rhs


def affine(formula: Graph, names: tuple[str, ...], seeds: range = range(4)) -> bool:
    """Whether second differences along random directions of these parameters vanish, at random points."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        columns = {name: rng.uniform(0.5, 3.0, ROWS) for name in ("x", "z")}
        here = {name: float(rng.uniform(0.5, 3.0)) for name in formula.parameters}
        step = {name: float(rng.uniform(0.5, 1.5)) if name in names else 0.0 for name in formula.parameters}
        ways = [{name: here[name] + by * step[name] for name in here} for by in (-1.0, 0.0, 1.0)]
        low, middle, high = (evaluate(formula, columns, one)[0] for one in ways)
        size = np.abs(low) + np.abs(middle) + np.abs(high) + 1e-3
        bent = np.abs(low + high - 2.0 * middle) > 1e-9 * size
        if bool((bent & np.isfinite(size)).any()):
            return False
    return True


def subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return list(chain.from_iterable(combinations(names, k) for k in range(len(names) + 1)))


@pytest.mark.parametrize(
    ("text", "linear"),
    [
        ("a*exp(-b*x) + c", "ac"),
        ("exp(-b*x)*a - (c - d*z)/2", "acd"),
        ("exp(a + b*x)", ""),
        ("exp(a + b*x) + c", "c"),
        ("a*(b + c*x + d*z)", "bcd"),  # not a, which stands in the way of all three
        ("a*b*x + b*c + c*d", None),  # two of four, whichever
        ("a*b + c*d*x", None),
        ("(a + b)*(c + d*x + e*z)", "cde"),
        ("a*x/(k + x)", "a"),
        ("(a*x + b)/(1 + c*x + d*x^2)", "ab"),
        ("a if x < b else c", "ac"),
        ("a + b*(x > c)", "ab"),
        ("a*(x > b*c) + d", "ad"),
        ("a*x if a > 1 else b*x", "b"),  # a decides, too
        ("min(a, b*x) + c", "c"),
        ("abs(a*x - 2) + b", "b"),
        ("sign(a*x - 2) + b", "b"),
        ("a^2*x + b", "b"),
        ("a*sin(b*x) + c*cos(b*x) + d", "acd"),
        ("-(a - 2*(b - x*c))/3", "abc"),
        ("a*1e13*exp(-b/x)", "a"),
        ("x^a + b^2", ""),
    ],
)
def test_the_linear_parameters_are_the_largest_set_that_differences_allow(text: str, linear: str | None) -> None:
    formula = graph(text)
    found = linear_parameters(formula, formula.parameters)
    assert linear is None or "".join(sorted(found)) == linear
    assert affine(formula, found)
    largest = max(len(one) for one in subsets(formula.parameters) if affine(formula, one))
    assert len(found) == largest


def test_differences_see_a_parameter_that_is_not_linear() -> None:
    assert not affine(graph("a*exp(-b*x) + c"), ("a", "b"))
    assert not affine(graph("a*b"), ("a", "b"))
    assert not affine(graph("a if x < b else c"), ("a", "b"))
    assert affine(graph("a*b"), ("b",))


def test_fixed_parameters_stand_in_nobodys_way() -> None:
    formula = graph("a*b*x + b*c")
    assert set(linear_parameters(formula, ["b"])) == {"b"}
    assert set(linear_parameters(formula, ["a", "c"])) == {"a", "c"}
    assert set(linear_parameters(graph("exp(a + b*x) + c"), ["c", "a"])) == {"c"}


def test_what_moves_nothing_is_not_eliminated() -> None:
    formula = graph("0*a + b*x")
    found = linear_parameters(formula, formula.parameters)
    assert "b" in found
    assert affine(formula, found)


def test_linear_parameters_keep_the_order_they_are_given_in() -> None:
    formula = graph("c*x + a*exp(-k*x) + b")
    assert linear_parameters(formula, ["a", "b", "c", "k"]) == ("a", "b", "c")
    assert linear_parameters(formula, ["k", "c", "b", "a"]) == ("c", "b", "a")


@settings(max_examples=80)
@given(graphs())
def test_no_further_parameter_can_be_linear_with_those_that_are_found(formula: Graph) -> None:
    free = formula.parameters
    found = linear_parameters(formula, free)
    slopes = derivative(formula)
    still = {
        name for name, k in zip(free, slopes.outputs[1:], strict=True) if slopes.nodes[k].value == 0.0
    }  # their slope is 0 whatever the values
    assert not still & set(found)
    assert affine(formula, found, range(2))
    assert is_linear(formula, found)
    more = [name for name in free if name not in found and name not in still]
    assert [name for name in more if is_linear(formula, (*found, name))] == []
