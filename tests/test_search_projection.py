"""Variable projection against NumPy and SciPy: what is eliminated, within bounds and beyond a block of 256 rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from katamuki.search.projected import ROWS, Projected
from katamuki.search.projection import NO_START
from katamuki.search.recipe import Recipe, recipe_of
from searched import Array, Limits, problem

Columns = Callable[[Array, dict[str, float]], dict[str, Array]]


@dataclass(frozen=True)
class Case:
    """A formula and, as NumPy writes them, the columns of its linear parameters; what has none is ``rest``."""

    text: str
    columns: Columns
    nonlinear: dict[str, tuple[float, float]]  # and where their values lie
    rest: Columns = lambda x, p: {"": np.zeros_like(x)}


ONES = np.ones_like
CASES = {
    "decay": Case("a*exp(-b*x) + c", lambda x, p: {"a": np.exp(-p["b"] * x), "c": ONES(x)}, {"b": (0.1, 3.0)}),
    "two decays": Case(
        "a*exp(-b*x) + c*exp(-d*x)",
        lambda x, p: {"a": np.exp(-p["b"] * x), "c": np.exp(-p["d"] * x)},
        {"b": (0.1, 0.5), "d": (1.0, 4.0)},
    ),
    "wave and line": Case(
        "a*sin(f*x) + b*cos(f*x) + c + d*x",
        lambda x, p: {"a": np.sin(p["f"] * x), "b": np.cos(p["f"] * x), "c": ONES(x), "d": x},
        {"f": (1.0, 9.0)},
    ),
    "peak on a parabola": Case(
        "h*exp(-((x - m)/w)^2) + a + b*x + c*x^2",
        lambda x, p: {"h": np.exp(-(((x - p["m"]) / p["w"]) ** 2)), "a": ONES(x), "b": x, "c": x * x},
        {"m": (0.5, 3.5), "w": (0.2, 1.0)},
    ),
    "with a part of its own": Case(
        "exp(-k*x) + a*x/(k + x)",
        lambda x, p: {"a": x / (p["k"] + x)},
        {"k": (0.2, 2.0)},
        lambda x, p: {"": np.exp(-p["k"] * x)},
    ),
    "all linear": Case(
        "a + b*x + c*sqrt(x)", lambda x, p: {"a": ONES(x), "b": x, "c": np.sqrt(x)}, {}
    ),
    "none linear": Case("exp(-k*x)^m", lambda x, p: {}, {"k": (0.2, 2.0), "m": (0.5, 2.0)},
                        lambda x, p: {"": np.exp(-p["k"] * x * p["m"])}),
    "one column twice": Case(
        "a*exp(-b*x) + c*exp(-b*x) + d",
        lambda x, p: {"a": np.exp(-p["b"] * x), "c": np.exp(-p["b"] * x), "d": ONES(x)},
        {"b": (0.1, 3.0)},
    ),
    "a column of zeros": Case(
        "a*(x > 100) + b*exp(-k*x)",
        lambda x, p: {"a": np.zeros_like(x), "b": np.exp(-p["k"] * x)},
        {"k": (0.1, 3.0)},
    ),
}  # fmt: skip


def made(seed: int, n: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.01, 4.0, n))
    return x, rng.normal(size=n) + 2.0 * np.exp(-x) + rng.normal() * x


def points_of(case: Case, recipe: Recipe, count: int, seed: int) -> tuple[Array, list[dict[str, float]]]:
    """Points (count, all_p) with the nonlinear parameters somewhere in their ranges; linear ones far off."""
    rng = np.random.default_rng([seed, 7])
    found = np.full((count, len(recipe.all_names)), 123.0)
    said = [{name: float(rng.uniform(*ends)) for name, ends in case.nonlinear.items()} for _ in range(count)]
    for point, values in zip(found, said, strict=True):
        for name, value in values.items():
            point[recipe.where[name]] = value
    return found, said


def best(
    case: Case, x: Array, y: Array, weights: Array | None, values: dict[str, float], limits: Limits | None = None
) -> tuple[float, dict[str, float]]:
    """Σ w r² and the linear parameters by NumPy, within limits by SciPy."""
    root = np.ones_like(x) if weights is None else np.sqrt(weights)
    columns = case.columns(x, values)
    target = (y - case.rest(x, values)[""]) * root
    if not columns:
        return float(target @ target), {}
    matrix = np.stack([column * root for column in columns.values()], axis=1)
    if limits is None:
        solved = np.linalg.lstsq(matrix, target, rcond=1e-12)[0]
    else:
        low, high = np.array([limits.get(name, (-math.inf, math.inf)) for name in columns]).T
        solved, free = low.copy(), low < high  # SciPy wants room between bounds
        if free.any():
            rest = target - matrix[:, ~free] @ low[~free]
            solved[free] = lsq_linear(matrix[:, free], rest, (low[free], high[free]), method="bvls", tol=1e-14).x
    left = target - matrix @ solved
    return float(left @ left), dict(zip(columns, solved.tolist(), strict=True))


# --- elimination ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("n", "weighted"), [(40, False), (40, True), (257, True), (499, False)])
def test_the_linear_parameters_are_numpys_least_squares(name: str, n: int, weighted: bool) -> None:
    case, (x, y) = CASES[name], made(n, n)
    weights = np.random.default_rng(n).uniform(0.1, 5.0, n) if weighted else None
    here = problem(case.text, x, y, weights)
    recipe = recipe_of(here)
    points, said = points_of(case, recipe, 5, n)
    rss = Projected(here, recipe, {}, 0).project(points)
    assert set(recipe.linear) == set(case.columns(x, dict.fromkeys(case.nonlinear, 1.0)))
    for found, point, values in zip(rss, points, said, strict=True):
        expected, solved = best(case, x, y, weights, values)
        assert found == pytest.approx(expected, rel=1e-10)
        assert here.rss(point) == pytest.approx(expected, rel=1e-10)  # and the point holds what was found
        for one, value in values.items():
            assert point[recipe.where[one]] == value
        if name not in {"one column twice", "a column of zeros"}:  # there other values are as good
            for one, value in solved.items():
                assert point[here.names.index(one)] == pytest.approx(value, rel=1e-8, abs=1e-9)


def test_the_comparison_sees_a_wrong_column_and_wrong_weights() -> None:
    case, (x, y) = CASES["decay"], made(1, 40)
    weights = np.random.default_rng(1).uniform(0.1, 5.0, 40)
    here = problem(case.text, x, y, weights)
    points, (values,) = points_of(case, recipe_of(here), 1, 1)
    (rss,) = Projected(here, recipe_of(here), {}, 0).project(points)
    for wrong in (best(case, x, y, None, values), best(case, x, y, weights, {"b": values["b"] * 1.001})):
        assert rss != pytest.approx(wrong[0], rel=1e-10)


def test_a_fixed_linear_parameter_keeps_its_value() -> None:
    x, y = made(3, 60)
    here = problem("a*exp(-b*x) + c", x, y, fixed={"c": 0.75})
    points = np.array([[1.0, 0.8, 0.75]])
    (rss,) = Projected(here, recipe_of(here), {}, 0).project(points)
    column = np.exp(-0.8 * x)
    a = column @ (y - 0.75) / (column @ column)
    assert points[0].tolist() == pytest.approx([a, 0.8, 0.75], rel=1e-10)
    assert rss == pytest.approx(float(((y - 0.75 - a * column) ** 2).sum()), rel=1e-10)


def test_dependent_columns_of_a_bad_scale_are_no_worse_than_a_part_of_them() -> None:
    x, y = made(5, 50)
    here = problem("a*1e12*x + b*1e-12*x + c*exp(-k*x)", x, y)
    points = np.array([[1.0, 1.0, 1.0, 0.7]])
    (rss,) = Projected(here, recipe_of(here), {}, 0).project(points)
    matrix = np.stack([x, np.exp(-0.7 * x)], axis=1)
    left = y - matrix @ np.linalg.lstsq(matrix, y, rcond=None)[0]
    assert rss == pytest.approx(float(left @ left), rel=1e-9)


# Without columns that depend on each other: of those one stays where it is, whatever stops the other.
BOUNDED = [name for name in CASES if name not in {"none linear", "one column twice"}]


@settings(max_examples=70)
@given(st.sampled_from(BOUNDED), st.integers(0, 9999), st.data())
def test_within_bounds_the_linear_parameters_are_scipys_bounded_least_squares(
    name: str, seed: int, data: st.DataObject
) -> None:
    case, (x, y) = CASES[name], made(seed, 40)
    here = problem(case.text, x, y)
    recipe = recipe_of(here)
    limits: Limits = {}
    for one in recipe.linear:
        kind = data.draw(st.sampled_from(["none", "positive", "negative", "box", "far", "one value"]), label=one)
        inside = {"positive": (0.0, math.inf), "negative": (-math.inf, 0.0), "box": (-0.5, 0.75), "far": (3.0, 4.0)}
        limits |= {one: (0.25, 0.25)} if kind == "one value" else {one: inside[kind]} if kind in inside else {}
    points, (values,) = points_of(case, recipe, 1, seed)
    (rss,) = Projected(here, recipe, limits, 0).project(points)
    expected, _ = best(case, x, y, None, values, limits)
    assert rss == pytest.approx(expected, rel=1e-8)
    assert here.rss(points[0]) == pytest.approx(expected, rel=1e-8)
    for one, (low, high) in limits.items():
        assert low <= points[0][here.names.index(one)] <= high


def test_clipping_alone_would_not_do() -> None:
    case, (x, y) = CASES["peak on a parabola"], made(11, 40)
    values = {"m": 2.0, "w": 0.5}
    limits = dict.fromkeys("habc", (0.0, math.inf))
    expected, solved = best(case, x, y, None, values, limits)
    _, loose = best(case, x, y, None, values)
    clipped = sum(max(loose[one], 0.0) * column for one, column in case.columns(x, values).items())
    assert min(loose.values()) < 0.0
    assert float(((y - clipped) ** 2).sum()) > 1.01 * expected
    assert min(solved.values()) >= 0.0


def test_a_point_outside_the_domain_is_infinite_and_says_so() -> None:
    x, y = made(2, 30)
    here = problem("a*log(x - b) + c", x, y)
    projected = Projected(here, recipe_of(here), {}, 0)
    points = np.array([[1.0, 2.0, 1.0], [1.0, -1.0, 1.0], [1.0, math.nan, 1.0]])
    rss = projected.project(points.copy())
    assert np.isfinite(rss).tolist() == [False, True, False]
    assert rss[0] == math.inf
    ends = projected.descend(points, -1.0)
    assert (ends[:, 1] == NO_START).tolist() == [True, False, True]


# --- many rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [ROWS + 1, 777, 20_000])
def test_of_many_rows_one_of_each_equal_stretch_is_seen(n: int) -> None:
    x = np.arange(float(n))
    here = problem("a*exp(-b*x) + c", x, 3.0 * x, 2.0 + x)
    seen = Projected(here, recipe_of(here), {}, 5).problem
    assert seen.n == ROWS
    rows = seen.columns[0].astype(int)
    stretches = np.searchsorted(np.linspace(0, n, ROWS + 1).astype(int), rows, side="right") - 1
    assert stretches.tolist() == list(range(ROWS))
    assert np.array_equal(seen.y, 3.0 * x[rows])
    assert seen.weights is not None
    assert np.array_equal(seen.weights, 2.0 + x[rows])
    again, other = (Projected(here, recipe_of(here), {}, seed).problem for seed in (5, 6))
    assert np.array_equal(again.columns[0], seen.columns[0])
    assert n == ROWS + 1 or not np.array_equal(other.columns[0], seen.columns[0])


def test_up_to_500_rows_all_are_seen() -> None:
    x, y = made(0, ROWS)
    here = problem("a*exp(-b*x) + c", x, y)
    assert Projected(here, recipe_of(here), {}, 0).problem is here


def test_a_partial_start_is_completed_by_the_best_linear_values() -> None:
    case, (x, y) = CASES["decay"], made(4, 50)
    here = problem(case.text, x, y)
    projected = Projected(here, recipe_of(here), {}, 0)
    begin = np.array([7.0, 0.6, 9.0])
    _, solved = best(case, x, y, None, {"b": 0.6})
    assert projected.completed(begin, {"b"}).tolist() == pytest.approx([solved["a"], 0.6, solved["c"]], rel=1e-9)
    assert projected.completed(begin, {"b", "c"})[2] == 9.0
    assert begin.tolist() == [7.0, 0.6, 9.0]
