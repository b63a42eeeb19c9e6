"""A claim whose model is a plain function is judged by differences of that function alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

import katamuki as km
from katamuki.check import judge
from katamuki.check.closure import closure_case
from katamuki.records import Array, Solution

X = np.linspace(-2.5, 2.5, 12)
Y = 2.0 * X + 0.1 * np.cos(3.0 * X)
CENTRED = Y - Y.mean()


def line(values: Array) -> Array:
    return values[0] * X + values[1]


def claimed(y: Array) -> Solution:
    return km.fit("y ~ a*x + b", {"x": X, "y": y}, start={"a": 1.0, "b": 1.0}, solver="lm").solution


def test_a_parameter_that_is_zero_but_for_rounding_is_seen() -> None:
    # This used to be FAIL: a thousandth of 5e-16 moves no prediction, and the column of b counted as dependent.
    claim = claimed(CENTRED)
    assert abs(claim.params["b"]) < 1e-14
    found = judge(claim, {"x": X, "y": CENTRED}, None, line)
    assert (found.verdict, found.facts["rank"]) == ("PASS", 2)
    assert min(found.stderr_digits.values()) >= 4.0
    moved = dataclasses.replace(claim, params=claim.params | {"b": 1e-5})
    assert judge(moved, {"x": X, "y": CENTRED}, None, line).verdict == "FAIL"


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1.0, 1e6])
def test_slopes_do_not_depend_on_the_unit_of_a_parameter(size: float) -> None:
    def model(values: Array) -> Array:
        return values[0] * np.exp(-values[1] / size * (X + 3.0))

    y = 3.0 * np.exp(-0.4 * (X + 3.0)) + 0.01 * np.sin(7.0 * X)
    start = {"a": 2.0, "b": 0.5 * size}
    claim = km.fit(f"y ~ a*exp(-b/{size!r}*(x + 3))", {"x": X, "y": y}, start=start).solution
    assert judge(claim, {"x": X, "y": y}, None, model).verdict == "PASS"


def test_a_weak_parameter_is_not_moved_to_where_the_model_has_no_value() -> None:
    def model(values: Array) -> Array:
        return 10.0 + values[0] * X + 1e-6 * np.log(values[1]) * X**2

    y = 10.0 + 2.0 * X + 1e-6 * np.log(1e-3) * X**2 + 1e-9 * np.sin(7.0 * X)
    text = "y ~ 10 + a*x + 1e-6*log(b)*x**2"
    claim = km.fit(text, {"x": X, "y": y}, start={"a": 2.0, "b": 2e-3}).solution
    found: Callable[[Solution], str] = lambda one: judge(one, {"x": X, "y": y}, None, model).verdict  # noqa: E731
    assert found(claim) == "PASS"
    assert found(dataclasses.replace(claim, params=claim.params | {"b": claim.params["b"] * 1.1})) == "FAIL"


def test_slopes_that_are_asked_for_again_are_not_computed_again() -> None:
    calls = [0]

    def counted(values: Array) -> Array:
        calls[0] += 1
        return line(values)

    claim = claimed(Y)
    case = closure_case(claim, {"x": X, "y": Y}, None, counted)
    here = np.array([claim.params["a"], claim.params["b"]])
    first = case.jacobian(here)
    np.testing.assert_allclose(first, np.column_stack([X, np.ones_like(X)]), rtol=1e-9, atol=1e-9)
    for k in range(20):
        case.whole(here * (2.0 + k))
    before = calls[0]
    np.testing.assert_array_equal(case.jacobian(here, slice(3, 7)), first[3:7])
    assert calls[0] == before
    case.jacobian(here + 1.0)
    assert calls[0] > before
