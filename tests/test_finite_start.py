"""What start would give a formula a value: intervals by hand, suggestions evaluated by Python's own arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katamuki import formula
from katamuki.api.finite_start import Found, Needed, finite_start
from katamuki.backends import numpy_
from katamuki.graph import derivative

X = np.linspace(0.5, 6.0, 12)


def asked(text: str, bounds: dict[str, tuple[float, float]] | None = None, **start: float) -> Found:
    graph = formula.parse(text, ("x", "y")).graph
    params = dict.fromkeys(graph.parameters, 1.0) | start
    return finite_start(graph, {"x": X}, params, graph.parameters, bounds or {})


@pytest.mark.parametrize(
    ("text", "start", "moved"),
    [
        ("y ~ a*log(b - x)", {}, {"b"}),
        ("y ~ a*log(b - x) + c*log(d - x)", {}, {"b", "d"}),
        ("y ~ log(a*x + b) + sqrt(c - a*x)", {"b": -9.0}, {"a", "c"}),
        ("y ~ a/(x - b)", {"b": 6.0}, {"b"}),
        ("y ~ a*exp(b*x*1000)", {}, {"b"}),
        ("y ~ a*asin(b*x)", {}, {"b"}),
        ("y ~ a*log(1 - b^2*x)", {}, {"b"}),
        ("y ~ a*cosh(1e4*b*x)", {"b": -1.0}, {"b"}),
    ],
)
def test_what_is_found_has_a_value_and_slopes_in_every_row(text: str, start: dict[str, float], moved: set[str]) -> None:
    found = asked(text, **start).start
    assert found is not None
    assert found.keys() == moved
    graph = formula.parse(text, ("x", "y")).graph
    params = dict.fromkeys(graph.parameters, 1.0) | start | found
    assert all(np.isfinite(one).all() for one in numpy_.evaluate(derivative(graph), {"x": X}, params))
    names = {one: getattr(math, one) for one in ("log", "sqrt", "exp", "asin", "cosh")}
    right = text.partition("~")[2].strip().replace("^", "**")
    assert all(math.isfinite(eval(right, names, params | {"x": x})) for x in X.tolist())  # Python raises otherwise


def test_an_overflow_is_mended_on_the_side_where_it_was_and_not_by_nothing() -> None:
    assert 0 < asked("y ~ a*exp(b*x*1000)").start["b"] <= 1 / 6000  # type: ignore[index]
    assert -1 / 6e4 <= asked("y ~ a*cosh(1e4*b*x)", b=-1.0).start["b"] < 0  # type: ignore[index]


def test_bounds_that_stand_against_it_are_met_by_what_is_needed() -> None:
    assert asked("y ~ a*sqrt(b - 7)*x", {"b": (0, 4)}) == Found(None, Needed("b", 7.0, math.inf))
    assert asked("y ~ a*log(b - x)", {"b": (0, 6)}) == Found(None, Needed("b", 6.0, math.inf))
    assert 6.0 < asked("y ~ a*log(b - x)", {"b": (0, 6.001)}).start["b"] < 6.001  # type: ignore[index]


def test_rows_that_contradict_each_other_leave_an_empty_interval() -> None:
    found = asked("y ~ sqrt(b*(x - 3.2) - 1)")
    assert found.start is None
    name, low, high = found.needed  # type: ignore[misc]
    away = X - 3.2
    assert (name, low) == ("b", pytest.approx((1.0 / away[away > 0]).max()))
    assert high == pytest.approx((1.0 / away[away < 0]).min())


@pytest.mark.parametrize("text", ["y ~ a*log(x - 20) + b", "y ~ a*log(-exp(b*x))", "y ~ a*log(0*b*x)"])
def test_where_nothing_helps_nothing_is_suggested(text: str) -> None:
    assert asked(text).start is None


@given(
    slope=st.floats(0.01, 100) | st.floats(-100, -0.01),
    offset=st.floats(-1e6, 1e6),
    start=st.floats(-1e3, 1e3),
)
def test_any_line_under_a_logarithm_is_lifted_above_0(slope: float, offset: float, start: float) -> None:
    graph = formula.parse(f"y ~ log(b + {slope!r}*x + {offset!r})", ("x", "y")).graph
    params = {"b": start}
    had = bool((start + slope * X + offset > 0).all())
    found = finite_start(graph, {"x": X}, params, ("b",), {}).start
    if had:
        assert found is None
    else:
        assert found is not None
        assert (found["b"] + slope * X + offset > 0).all()


def test_of_many_rows_some_are_looked_at_and_all_are_evaluated_before_anything_is_said() -> None:
    graph = formula.parse("y ~ a/(x - b)", ("x", "y")).graph
    x = np.full(100_000, 1.0)
    x[[0, 1]] = -5.0, 9.0

    def found() -> Found:
        return finite_start(graph, {"x": x}, {"a": 1.0, "b": 1.0}, ("a", "b"), {})

    assert found().start == {"b": 1.1}
    x[55_555] = 1.1  # neither an end nor among the thousand rows
    assert found().start is None
