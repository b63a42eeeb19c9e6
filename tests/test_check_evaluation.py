"""The checker's slopes of all parameters in one evaluation: the numbers of one evaluation for each, or none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from katamuki.check import routes
from katamuki.check.evaluation import TOGETHER, Case, curvature, look
from katamuki.check.reading import read

X = np.linspace(0.1, 3.0, 12)
FORMULAS = [
    "y ~ A*exp(-0.5*((x - m)/s)^2) + c",
    "y ~ a*exp(-b*x) + c",
    "y ~ a*x^2 + b*x + c",
    "y ~ a*x^b + c",
    "y ~ b^(x/c) + a",
    "y ~ a*max(x - b, 0) + c*abs(x - b)",
    "y ~ (a if x < b else c)*log(b + x) + sqrt(c)",
    "y ~ min(a*x, b, c) + erf(b*x) + atan(c)*tanh(x)",
    "y ~ a + sin(b + 2*c)",
]


def case_of(formula: str, wide: bool = False, weighted: bool = True, n: int = 12) -> tuple[Case, Any]:
    _, right = read(formula)
    rng = np.random.default_rng(3)
    free = tuple(name for name in right.names if name != "x")
    root = rng.uniform(0.5, 2.0, n) if weighted else None
    case = Case(right, free, {}, {"x": np.resize(X, n)}, rng.normal(size=n), root)
    return case, rng.uniform(0.6, 1.7, (3, len(free))).astype(np.longdouble if wide else np.float64)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("formula", FORMULAS)
def test_slopes_together_are_slopes_one_by_one(formula: str, weighted: bool, wide: bool) -> None:
    case, points = case_of(formula, wide, weighted)
    assert case._together(points, slice(None)) is not None
    residuals, slopes = case.several(points)
    assert residuals.dtype == slopes.dtype == points.dtype
    for point, rest, slope in zip(points, residuals, slopes, strict=True):
        np.testing.assert_allclose(rest, case.residuals(point), rtol=0, atol=4e-16)
        np.testing.assert_allclose(slope, case._slopes(point, slice(None)), rtol=4e-16, atol=0)
        np.testing.assert_array_equal(case.jacobian(point), slope)


def test_a_wrong_slope_is_not_taken_for_a_right_one() -> None:
    case, points = case_of(FORMULAS[0])
    other = points * (1 + 1e-14)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(case.several(points)[1], case.several(other)[1], rtol=4e-16, atol=0)


def test_what_has_no_number_together_is_computed_one_by_one() -> None:
    """0·∞ of a parameter that stands still is no reason to know nothing of the one that moves."""
    _, right = read("y ~ a*x + b/x")
    case = Case(right, ("a", "b"), {}, {"x": np.array([0.0, 1.0])}, np.zeros(2), None)
    point = np.array([2.0, 3.0])
    with np.errstate(all="ignore"):
        assert case._together(point[None, :], slice(None)) is None
        found = case.jacobian(point)
    assert found[:, 0].tolist() == [0.0, 1.0]
    assert found[1, 1] == 1.0


def test_many_rows_take_no_more_room_than_before() -> None:
    case, _ = case_of(FORMULAS[0], n=TOGETHER)
    assert not case.together(1)
    few, _ = case_of(FORMULAS[0], n=20)
    assert few.together(8)


@pytest.mark.parametrize("formula", FORMULAS[:3])
def test_curvature_is_the_same_of_few_rows_and_of_many(formula: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, points = case_of(formula)
    here = look(case, points[0])
    bend, noise = curvature(case, here)
    p = len(case.free)
    unit, step = here.lengths, 1e-5
    for j in range(p):
        moved = [points[0] + sign * step * np.eye(p)[j] for sign in (1.0, -1.0)]
        plus, minus = (case.residuals(one) @ case.jacobian(one) for one in moved)
        np.testing.assert_allclose(bend[:, j], (minus - plus) / (2 * step) / unit / unit[j], atol=2e-5)
    monkeypatch.setattr(Case, "together", lambda *_: False)
    again, other = curvature(case, look(case, points[0]))
    np.testing.assert_allclose(again, bend, rtol=1e-7, atol=1e-9)
    assert other == pytest.approx(noise, rel=1e-12)


@pytest.mark.parametrize("together", [False, True])
def test_scipy_ends_where_its_least_squares_does(together: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.optimize import least_squares

    case, points = case_of("y ~ a*exp(-b*x) + c")
    case = Case(case.right, case.free, {}, case.columns, 2.0 * np.exp(-1.3 * X) + 0.5 + 0.01 * case.y, case.root)
    if not together:
        monkeypatch.setattr(Case, "together", lambda *_: False)
    ended = routes.end_of_scipy(case, points[0], {})
    options = {"ftol": routes.TIGHT, "xtol": routes.TIGHT, "gtol": routes.TIGHT, "max_nfev": routes.TRIES}
    options |= {"method": "lm", "x_scale": "jac"}
    theirs = least_squares(case.residuals, points[0], lambda v: -case.jacobian(v), **options)
    assert ended is not None
    np.testing.assert_allclose(ended.values, theirs.x, rtol=1e-12)


def test_fewer_rows_than_parameters_end_nowhere() -> None:
    case, points = case_of("y ~ a*exp(-b*x) + c", n=2)
    assert routes.end_of_scipy(case, points[0], {}) is None
