"""The numbers of ``km.fit`` against strangers, and laws that hold whatever the data.

Strangers: ``scipy.optimize.curve_fit``, lmfit, ``numpy.polyfit``, and formulas written out here. Digits: strangers that
iterate with numeric derivatives share 6 in values and 4 in errors; algebra shares 10 or more.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import duckdb
import lmfit
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit, least_squares, lsq_linear

import katamuki as km

Columns = dict[str, np.ndarray]


def noisy(model: Callable[..., Any], truth: dict[str, float], seed: int, n: int = 60) -> Columns:
    """Rows with known, different sigmas round a curve."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.2, 5.0, n))
    sigma = rng.uniform(0.02, 0.08, n)
    return {"x": x, "y": model(x, **truth) + sigma * rng.standard_normal(n), "s": sigma}


PROBLEMS: list[tuple[str, Callable[..., Any], dict[str, float]]] = [
    ("y ~ a*x + b", lambda x, a, b: a * x + b, {"a": 0.7, "b": -2.0}),
    ("y ~ a*exp(-b*x) + c", lambda x, a, b, c: a * np.exp(-b * x) + c, {"a": 3.0, "b": 0.9, "c": 0.5}),
    ("y ~ a*x/(b + x)", lambda x, a, b: a * x / (b + x), {"a": 4.0, "b": 1.3}),
    (
        "y ~ h*exp(-((x - m)/w)^2) + p*x",
        lambda x, h, m, w, p: h * np.exp(-(((x - m) / w) ** 2)) + p * x,
        {"h": 2.0, "m": 2.2, "w": 0.8, "p": 0.3},
    ),
    ("y ~ a*sin(w*x + f)", lambda x, a, w, f: a * np.sin(w * x + f), {"a": 1.5, "w": 1.8, "f": 0.4}),
    ("y ~ a*tanh(b*(x - c))", lambda x, a, b, c: a * np.tanh(b * (x - c)), {"a": 2.0, "b": 1.1, "c": 2.5}),
]


def errors_of(fit: km.Fit) -> list[float]:
    return [float(error) for error in fit.stderr.values() if error is not None]


def same(found: Any, wanted: Any, digits: int, floor: float = 0.0) -> None:
    np.testing.assert_allclose(found, wanted, rtol=10.0**-digits, atol=floor)


# --- strangers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("formula", "model", "truth"), PROBLEMS)
def test_values_and_covariances_are_curve_fits(
    formula: str, model: Callable[..., Any], truth: dict[str, float], seed: int, known: bool
) -> None:
    data = noisy(model, truth, seed)
    fit = km.fit(formula, data, start=truth, sigma="s", sigma_is="known" if known else "relative")
    place = {"p0": [truth[name] for name in fit.free], "xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    values, covariance = curve_fit(
        lambda x, *p: model(x, **dict(zip(fit.free, p, strict=True))),
        data["x"], data["y"], sigma=data["s"], absolute_sigma=known, **place,
    )  # fmt: skip
    same([fit.params[name] for name in fit.free], values, 6)
    same(fit.covariance, covariance, 4, 1e-4 * np.diag(covariance).min())
    wrong = curve_fit(
        lambda x, *p: model(x, **dict(zip(fit.free, p, strict=True))),
        data["x"], data["y"], sigma=data["s"], absolute_sigma=not known, **place,
    )[1]  # fmt: skip
    with pytest.raises(AssertionError):
        same(fit.covariance, wrong, 4, 1e-4 * np.diag(covariance).min())


@pytest.mark.parametrize(("formula", "model", "truth"), PROBLEMS[1:4])
def test_weights_and_criteria_are_lmfits(formula: str, model: Callable[..., Any], truth: dict[str, float]) -> None:
    data = noisy(model, truth, 3)
    weights = 1.0 / data["s"] ** 2
    fit = km.fit(formula, data, start=truth, weights=weights)
    other = lmfit.Model(model).fit(data["y"], x=data["x"], weights=1.0 / data["s"], **truth)
    same([fit.params[name] for name in truth], [other.params[name].value for name in truth], 5)
    same([fit.stderr[name] for name in truth], [other.params[name].stderr for name in truth], 3)
    same(fit.rss, other.chisqr, 9)
    same(fit.loss, other.chisqr / len(weights), 9)
    assert (fit.n, fit.dof) == (other.ndata, other.nfree)


@pytest.mark.parametrize("degree", [1, 2, 4])
def test_polynomials_are_polyfits(degree: int) -> None:
    data = noisy(lambda x, a: a * np.cos(x), {"a": 3.0}, degree)
    names = "abcde"[: degree + 1]
    formula = "y ~ " + " + ".join(f"{name}*x^{degree - k}" for k, name in enumerate(names))
    values, covariance = np.polyfit(data["x"], data["y"], degree, w=1.0 / data["s"], cov=True)
    unscaled = np.polyfit(data["x"], data["y"], degree, w=1.0 / data["s"], cov="unscaled")[1]
    relative = km.fit(formula, data, sigma="s", sigma_is="relative")
    same(list(relative.params.values()), values, 9)
    same(relative.covariance, covariance, 8)
    same(km.fit(formula, data, sigma="s", sigma_is="known").covariance, unscaled, 8)


def test_every_number_of_a_weighted_line_is_the_textbooks() -> None:
    data = noisy(lambda x, a, b: a * x + b, {"a": 0.7, "b": -2.0}, 4, n=15)
    x, y, w, n = data["x"], data["y"], 1.0 / data["s"] ** 2, 15
    total, mean_x, mean_y = w.sum(), (w * x).sum() / w.sum(), (w * y).sum() / w.sum()
    sxx = (w * (x - mean_x) ** 2).sum()
    a = (w * (x - mean_x) * (y - mean_y)).sum() / sxx
    b = mean_y - a * mean_x
    rss = (w * (y - a * x - b) ** 2).sum()
    errors = np.sqrt([1 / sxx, 1 / total + mean_x**2 / sxx])
    known = km.fit("y ~ a*x + b", data, sigma="s", sigma_is="known")
    relative = km.fit("y ~ a*x + b", data, sigma=data["s"] * 7.0, sigma_is="relative")
    weighted = km.fit("y ~ a*x + b", data, weights=w)
    for fit in (known, relative, weighted):
        same([fit.params["a"], fit.params["b"]], [a, b], 12)
        same(fit.r2, 1 - rss / (w * (y - mean_y) ** 2).sum(), 11)
    same(errors_of(known), errors, 12)
    same(errors_of(relative), errors * math.sqrt(rss / (n - 2)), 12)
    same(errors_of(weighted), errors * math.sqrt(rss / (n - 2)), 12)
    same([known.rss, known.loss, relative.rss * 49.0], [rss, rss / n, rss], 11)
    logs = -0.5 * (n * math.log(2 * math.pi) - np.log(w).sum() + rss)
    same([known.aic, known.bic], [-2 * logs + 4, -2 * logs + 2 * math.log(n)], 12)
    same(known.aicc, known.aic + 12 / (n - 3), 12)
    scaled = -0.5 * (n * math.log(2 * math.pi * rss / n) - np.log(w).sum() + n)
    same([weighted.aic, weighted.bic], [-2 * scaled + 6, -2 * scaled + 3 * math.log(n)], 12)
    same(weighted.aic, relative.aic, 10)  # the criteria do not see the unit of relative sigmas


# --- bounds and fixed values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [{"c": (0.6, None)}, {"b": (None, 0.7)}, {"a": (0.0, 2.5), "c": (None, 0.55)}])
def test_at_a_bound_the_rest_is_as_if_that_parameter_were_fixed(held: dict[str, Any]) -> None:
    formula, model, truth = PROBLEMS[1]
    data = noisy(model, truth, 5)
    fit = km.fit(formula, data, bounds=held)
    stuck = fit.solution.at_bound
    assert stuck
    assert set(stuck) <= set(held)
    assert "AT_BOUND" in {one.code for one in fit.findings}
    again = km.fit(formula, data, fixed={name: fit.params[name] for name in stuck})
    loose = [name for name in fit.free if name not in stuck]
    same([fit.params[name] for name in loose], [again.params[name] for name in loose], 9)
    same([fit.stderr[name] for name in loose], [again.stderr[name] for name in loose], 8)
    assert [fit.stderr[name] for name in stuck] == [None] * len(stuck)
    assert fit.dof == again.dof
    lower = [held.get(name, (None, None))[0] for name in "abc"]
    upper = [held.get(name, (None, None))[1] for name in "abc"]
    other = least_squares(
        lambda p: data["y"] - model(data["x"], *p), [1.0, 0.5, 0.6 if "c" not in held or held["c"][0] else 0.5],
        bounds=([-np.inf if v is None else v - 1e-12 for v in lower], [np.inf if v is None else v for v in upper]),
        xtol=1e-15, ftol=1e-15, gtol=1e-15,
    )  # fmt: skip
    assert fit.rss <= 2 * other.cost * (1 + 1e-9)
    same(list(fit.params.values()), other.x, 4)


def test_bounds_that_are_not_reached_change_nothing() -> None:
    formula, model, truth = PROBLEMS[1]
    data = noisy(model, truth, 6)
    free, bounded = km.fit(formula, data), km.fit(formula, data, bounds=dict.fromkeys("abc", (-50.0, 50.0)))
    same(list(bounded.params.values()), list(free.params.values()), 11)
    same(errors_of(bounded), errors_of(free), 10)


@pytest.mark.parametrize(("formula", "model", "truth"), PROBLEMS)
def test_a_fixed_parameter_is_the_number_in_its_place(
    formula: str, model: Callable[..., Any], truth: dict[str, float]
) -> None:
    data = noisy(model, truth, 7)
    name = next(iter(truth))
    rest = {other: value for other, value in truth.items() if other != name}
    fit = km.fit(formula, data, fixed={name: truth[name]}, start=rest)
    written = formula.replace(f"~ {name}*", f"~ {truth[name]!r}*")
    assert written != formula
    plain = km.fit(written, data, start=rest)
    same([fit.params[other] for other in rest], [plain.params[other] for other in rest], 11)
    same(errors_of(fit), errors_of(plain), 10)
    assert (fit.params[name], fit.stderr[name], fit.free, fit.dof) == (truth[name], None, plain.free, plain.dof)


# --- the same numbers, however they arrive -----------------------------------------------------------------------


def bits(fit: km.Fit) -> bytes:
    return np.array([*fit.params.values(), *errors_of(fit), fit.rss]).tobytes()


@pytest.mark.parametrize(("formula", "model", "truth"), PROBLEMS[:3])
def test_a_function_and_its_formula_give_the_same_bits(
    formula: str, model: Callable[..., Any], truth: dict[str, float]
) -> None:
    data = noisy(model, truth, 8)
    assert bits(km.fit(model, data, start=truth)) == bits(km.fit(formula, data, start=truth))


@pytest.mark.parametrize("formula", [PROBLEMS[0][0], PROBLEMS[1][0]])
def test_any_kind_of_table_gives_the_same_bits(formula: str) -> None:
    data = noisy(PROBLEMS[1][1], PROBLEMS[1][2], 9)
    frame = pd.DataFrame(data)
    wanted = bits(km.fit(formula, data))
    tables: list[Any] = [
        {name: column.tolist() for name, column in data.items()},
        {name: tuple(column) for name, column in data.items()},
        {name: torch.tensor(column) for name, column in data.items()},
        {name: column[::-1][::-1] for name, column in data.items()},
        frame,
        pl.DataFrame(data),
        pa.table(data),
        duckdb.from_df(frame),
        frame.to_records(index=False),
        {name: pd.Series(column, index=range(60, 0, -1)) for name, column in data.items()},
    ]
    assert [bits(km.fit(formula, table)) == wanted for table in tables] == [True] * len(tables)
    assert bits(km.fit(formula, {**data, "y": data["y"] + 1e-9})) != wanted


def test_float32_and_whole_numbers_are_taken_as_they_are() -> None:
    data = noisy(PROBLEMS[1][1], PROBLEMS[1][2], 10)
    single = {name: column.astype(np.float32) for name, column in data.items()}
    doubled = {name: column.astype(np.float64) for name, column in single.items()}
    assert bits(km.fit(PROBLEMS[1][0], single)) == bits(km.fit(PROBLEMS[1][0], doubled))
    same(list(km.fit(PROBLEMS[1][0], single).params.values()), list(km.fit(PROBLEMS[1][0], data).params.values()), 5)
    whole = {"x": np.arange(9, dtype=np.int16), "y": np.arange(9, dtype=np.uint8) ** 2}
    assert bits(km.fit("y ~ a*x + b", whole)) == bits(km.fit("y ~ a*x + b", {k: v * 1.0 for k, v in whole.items()}))


def test_rows_left_out_are_counted_and_the_rest_is_fitted() -> None:
    data = noisy(PROBLEMS[0][1], PROBLEMS[0][2], 11)
    holes = {**data, "y": data["y"].copy()}
    holes["y"][[3, 30, 31]] = np.nan
    fit = km.fit("y ~ a*x + b", holes, where="x > 1 and x < 4", missing="drop", sigma=data["s"], sigma_is="known")
    inside = (data["x"] > 1) & (data["x"] < 4)
    kept = inside & np.isfinite(holes["y"])
    plain = km.fit(
        "y ~ a*x + b", {k: v[kept] for k, v in data.items()}, sigma=data["s"][kept], sigma_is="known"
    )  # fmt: skip
    assert bits(fit) == bits(plain)
    counted = (fit.n, fit.data.filtered, fit.data.dropped)
    assert counted == (kept.sum(), (~inside).sum(), inside.sum() - kept.sum())
    assert fit.data.where == "x > 1 and x < 4"


def test_a_left_side_is_fitted_on_its_own_scale() -> None:
    data = noisy(lambda x, a, b: np.exp(a * x + b), {"a": -0.4, "b": 2.0}, 12)
    fit = km.fit("log(y) ~ a*x + b", data)
    values, covariance = np.polyfit(data["x"], np.log(data["y"]), 1, cov=True)
    same(list(fit.params.values()), values, 10)
    same(fit.covariance, covariance, 9)
    assert fit.response == "log(y)"


def test_a_constant_is_the_mean_with_its_standard_error() -> None:
    y = np.random.default_rng(13).normal(5.0, 2.0, 50)
    fit = km.fit("y ~ c", {"y": y})
    same([fit.params["c"], fit.stderr["c"]], [y.mean(), y.std(ddof=1) / math.sqrt(50)], 13)
    same(fit.r2, 0.0, 1, 1e-14)


def test_thirty_parameters_are_as_good_as_three() -> None:
    rng = np.random.default_rng(14)
    design = rng.standard_normal((400, 30))
    y = design @ rng.standard_normal(30) + 0.1 * rng.standard_normal(400)
    data = {f"u{k}": design[:, k] for k in range(30)} | {"y": y}
    fit = km.fit("y ~ " + " + ".join(f"p{k}*u{k}" for k in range(30)), data)
    values, rss = np.linalg.lstsq(design, y)[:2]
    same(list(fit.params.values()), values, 11)
    same(fit.covariance, np.linalg.inv(design.T @ design) * rss[0] / 370, 9, 1e-16)
    bent = km.fit("y ~ " + " + ".join(f"p{k}*u{k}" for k in range(29)) + " + sinh(p29)*u29", data)
    same(bent.params["p29"], math.asinh(values[29]), 10)
    same(bent.rss, rss[0], 10)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 9, 63, 64, 65, 255, 256, 257, 300])
def test_any_number_of_rows_gives_the_least_squares_answer(n: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.uniform(1, 2, n), rng.standard_normal(n)
    one = km.fit("y ~ a*x", {"x": x, "y": y})
    same(one.params["a"], x @ y / (x @ x), 12)
    same(one.rss, ((y - one.params["a"] * x) ** 2).sum(), 10, 1e-25)
    if n > 2:
        bent = km.fit("y ~ log(1 + a^2)*x + b", {"x": x, "y": y + 5 * x}, start={"a": 5.0})
        slope, intercept = np.polyfit(x, y + 5 * x, 1)
        same([math.log1p(bent.params["a"] ** 2), bent.params["b"]], [slope, intercept], 8)


# --- laws --------------------------------------------------------------------------------------------------------


FEW = settings(max_examples=25)
CASES = st.tuples(st.sampled_from(PROBLEMS[:3]), st.integers(0, 10**6))


@FEW
@given(CASES, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(case: Any, random: Any) -> None:
    (formula, model, truth), seed = case
    data = noisy(model, truth, seed, n=40)
    order = list(range(40))
    random.shuffle(order)
    fit = km.fit(formula, data, start=truth, sigma="s", sigma_is="known")
    other = km.fit(formula, {k: v[order] for k, v in data.items()}, start=truth, sigma="s", sigma_is="known")
    same(list(other.params.values()), list(fit.params.values()), 12, 1e-13)
    same(errors_of(other), errors_of(fit), 12)
    same(other.residuals, fit.residuals[order], 11, 1e-13)


@FEW
@given(CASES, st.integers(-30, 30), st.integers(-20, 20))
def test_units_of_y_and_x_only_rescale_the_answer(case: Any, power_y: int, power_x: int) -> None:
    (formula, model, truth), seed = case
    data = noisy(model, truth, seed, n=40)
    up, right = 2.0**power_y, 2.0**power_x
    unit = {
        "y ~ a*x + b": {"a": up / right, "b": up},
        "y ~ a*exp(-b*x) + c": {"a": up, "b": 1 / right, "c": up},
        "y ~ a*x/(b + x)": {"a": up, "b": right},
    }[formula]
    fit = km.fit(formula, data, start=truth)
    other = km.fit(
        formula, {"x": data["x"] * right, "y": data["y"] * up}, start={k: truth[k] * unit[k] for k in truth}
    )  # fmt: skip
    same([other.params[k] / unit[k] for k in truth], [fit.params[k] for k in truth], 12)
    same([other.stderr[k] / unit[k] for k in truth], [fit.stderr[k] for k in truth], 12)
    same([other.rss / up**2, other.r2], [fit.rss, fit.r2], 12)


@FEW
@given(CASES)
def test_doubling_the_rows_halves_the_variances_as_it_must(case: Any) -> None:
    (formula, model, truth), seed = case
    data = noisy(model, truth, seed, n=40)
    twice = {name: np.concatenate([column, column]) for name, column in data.items()}
    for sigma_is, ratio in (("known", 0.5), ("relative", (40 - len(truth)) / (80 - len(truth)))):
        one = km.fit(formula, data, start=truth, sigma="s", sigma_is=sigma_is)
        two = km.fit(formula, twice, start=truth, sigma="s", sigma_is=sigma_is)
        same(list(two.params.values()), list(one.params.values()), 11)
        same(two.covariance, one.covariance * ratio, 9)
        same([two.rss, two.loss], [2 * one.rss, one.loss], 11)
    weighted = km.fit(formula, data, start=truth, weights=2.0)  # two rows are not one row of weight 2
    assert weighted.dof == 40 - len(truth)
    same(errors_of(weighted), errors_of(km.fit(formula, data, start=truth)), 11)


@FEW
@given(CASES, st.floats(0.5, 2.0))
def test_at_the_answer_the_residuals_are_orthogonal_to_the_derivatives(case: Any, factor: float) -> None:
    (formula, model, truth), seed = case
    data = noisy(model, truth, seed, n=40)
    fit = km.fit(formula, data, start={name: value * factor for name, value in truth.items()})
    values = np.array(list(fit.params.values()))
    weights = fit.residuals / np.linalg.norm(fit.residuals)
    for k in range(len(values)):
        step = np.zeros(len(values), dtype=complex)
        step[k] = 1e-30j
        slope = model(data["x"], *(values + step)).imag / 1e-30
        assert abs(slope @ weights) <= 1e-12 * np.linalg.norm(slope)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([None, 0.0, 1e-6]))
def test_bounded_lines_end_where_scipys_active_set_ends(seed: int, p: int, apart: float | None) -> None:
    # Steps cut at a bound used to end such runs at their start, said to be converged.
    rng = np.random.default_rng(seed)
    design = rng.standard_normal((25, p)) @ (np.eye(p) + 3.0 * rng.standard_normal((p, p)))
    if apart is not None:
        design[:, p - 1] = design[:, 0] + apart * rng.standard_normal(25)
    low = rng.normal(0.0, 1.0, p)
    high = low + rng.exponential(1.0, p)
    data = {f"u{k}": design[:, k] for k in range(p)} | {"y": rng.standard_normal(25) * 3.0}
    bounds = {f"p{k}": (low[k], high[k]) for k in range(p)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit("y ~ " + " + ".join(f"p{k}*u{k}" for k in range(p)), data, bounds=bounds)
    values = np.array(list(fit.params.values()))
    assert (low <= values).all()
    assert (values <= high).all()
    same(fit.rss, 2.0 * lsq_linear(design, data["y"], (low, high), method="bvls", tol=1e-14).cost, 9)
