"""The readable twin of the kernel, and where a formula has no value."""

from __future__ import annotations

import numpy as np
import pytest

from katamuki.backends.numpy_ import Bad, evaluate, first_bad
from katamuki.formula import parse
from katamuki.graph import derivative

X = np.array([10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0])


def bad(right: str, x: np.ndarray = X, **params: float) -> Bad | None:
    model = parse(f"y ~ {right}", ["x", "y"])
    return first_bad(model.rhs, {"x": x}, {name: params.get(name, 1.0) for name in model.parameters})


def test_every_output_has_a_value_in_every_row() -> None:
    graph = derivative(parse("y ~ a + b", ["x", "y"]).rhs)
    assert [one.tolist() for one in evaluate(graph, {"x": np.ones(2)}, {"a": 1.0, "b": 2.0})] == [
        [3, 3],
        [1, 1],
        [1, 1],
    ]


def test_values_agree_with_plain_numpy() -> None:
    (found,) = evaluate(parse("y ~ a*exp(-b*x) + c", ["x", "y"]).rhs, {"x": X}, {"a": 2.0, "b": 0.3, "c": -1.0})
    np.testing.assert_array_equal(found, 2.0 * np.exp(-0.3 * X) + -1.0)


def test_the_part_the_rows_and_what_it_needs_are_said() -> None:
    found = bad("a*log(x-20) + b")
    assert found is not None
    assert found.text == "log(x - 20)"
    assert str(found.rows) == "all 11 rows (row 1: log(-10))"
    assert str(found.domain) == "log needs x > 20; the data have x from 4 to 14"
    assert (found.row, found.count) == (1, 11)
    assert found.span == (6, 15)


@pytest.mark.parametrize(
    ("right", "part", "rows", "domain"),
    [
        ("a*log(20 - 2*x)", "log(20 - 2*x)", "5 of 11 rows (first in row 1: log(0))", "log needs x < 10"),
        ("a*sqrt(x - 4.5)", "sqrt(x - 4.5)", "row 8 (sqrt(-0.5))", "sqrt needs x >= 4.5"),
        ("a/(x - 8)", "a/(x - 8)", "row 2 (1/0)", "a quotient needs x != 8"),
        ("a*(x - 8)**-2", "(x - 8)**-2", "row 2 (0**(-2))", "x != 8"),
        ("a*(x - 8)**1.5", "(x - 8)**1.5", "4 of 11 rows (first in row 7: (-2)**1.5)", "whole exponent"),
        ("exp(900*a*x/x)", "exp(900*a*x/x)", "all 11 rows (row 1: exp(900))", "beyond the largest number"),
        ("asin(a*x)", "asin(a*x)", "all 11 rows (row 1: asin(10))", "between -1 and 1"),
        ("log(-a*x) + exp(x)", "log(-a*x)", "all 11 rows (row 1: log(-10))", "log needs -a*x > 0"),
        ("a*log1p(-x/7)", "log1p(-x/7)", "8 of 11", "log1p needs x < 7"),
    ],
)
def test_each_kind_of_hole_has_its_words(right: str, part: str, rows: str, domain: str) -> None:
    found = bad(right)
    assert found is not None
    assert found.text == part
    assert str(found.rows).startswith(rows)
    assert domain in str(found.domain)


def test_the_part_is_shown_as_typed() -> None:
    model = parse("y ~ a*log(x-20)", ["x", "y"])
    found = first_bad(model.rhs, {"x": X}, {"a": 1.0}, model.text)
    assert found is not None
    assert found.text == "log(x-20)"


def test_a_finite_formula_has_no_bad_part() -> None:
    assert bad("a*exp(-b*x)") is None


def test_a_branch_that_is_not_taken_does_not_count() -> None:
    assert bad("a*(log(x - 20) if x > 20 else x)") is None
    found = bad("a*(log(x - 20) if x > 20 else 1/(x - 8))")
    assert found is not None
    assert found.text == "1/(x - 8)"


def test_a_hole_of_the_derivative_is_found_too() -> None:
    model = parse("y ~ sqrt(a*x)", ["x", "y"])
    assert first_bad(model.rhs, {"x": np.array([0.0, 1.0])}, {"a": 1.0}) is None
    found = first_bad(derivative(model.rhs), {"x": np.array([0.0, 1.0])}, {"a": 1.0})
    assert found is not None
    assert found.row == 1
