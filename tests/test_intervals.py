"""Intervals by the standard error and along the loss, beside brute force and closed forms."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.stats

import katamuki as km
import profiled
from judged import minimum, problem, residuals
from katamuki.errors import BoundsError, NotConverged

TIMES, DEMAND = np.array([1.0, 2, 3, 5, 7, 10]), np.array([109.0, 149, 149, 191, 213, 224])
BOX = "y ~ b1*(1 - exp(-b2*x))"
DATA = {"x": TIMES, "y": DEMAND}


def box(**options: Any) -> km.Fit:
    return km.fit(BOX, DATA, start={"b1": 213.0, "b2": 0.5}, **options)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_profile_intervals_are_those_of_brute_force(level: float) -> None:
    rows = problem(BOX, DATA)
    values = minimum(rows, np.array([213.0, 0.5]))
    fit = box()
    found = fit.interval(level, method="profile")
    t = float(scipy.stats.t.ppf(0.5 + level / 2, 4))
    target = t * t * float(np.sum(residuals(rows, values) ** 2)) / 4
    for k, name in enumerate(("b1", "b2")):
        half = t * (fit.stderr[name] or math.nan)
        brute = tuple(profiled.end(rows, values, k, side * half, target, far=900.0) for side in (-1, 1))
        assert found[name] == pytest.approx(brute, abs=1e-6 * half)
        assert found[name] != pytest.approx(fit.interval(level)[name], rel=1e-3)


def test_profile_intervals_are_those_of_r() -> None:
    # confint() of R's nls on its treated Puromycin (Bates & Watts 1988, A1.3); R draws a spline through its profile,
    # so four digits.
    rate = [76.0, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200]
    conc = [0.02, 0.02, 0.06, 0.06, 0.11, 0.11, 0.22, 0.22, 0.56, 0.56, 1.1, 1.1]
    found = km.fit("rate ~ Vm*conc/(K + conc)", {"rate": rate, "conc": conc}).interval(method="profile")
    assert found["Vm"] == pytest.approx((197.30212848, 229.29006490), rel=2e-4)
    assert found["K"] == pytest.approx((0.04692517, 0.08615995), rel=2e-4)


def test_sigma_known_takes_the_rise_that_the_normal_distribution_gives() -> None:
    fit = box(sigma=15.0, sigma_is="known")
    low, high = fit.interval(method="profile")["b2"]
    rows = problem(BOX, DATA, np.full(6, 1 / 225))
    values = minimum(rows, np.array([213.0, 0.5]))
    target = float(scipy.stats.norm.ppf(0.975)) ** 2
    brute = [profiled.end(rows, values, 1, side * 0.2, target) for side in (-1, 1)]
    assert (low, high) == pytest.approx(brute, abs=1e-6)


def test_a_linear_fit_has_one_kind_of_interval() -> None:
    fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
    assert fit.interval(method="profile") == fit.interval()


def test_an_open_end_is_infinite() -> None:
    s = np.linspace(0.1, 0.8, 8)
    y = 2 * s / (1.5 + s) + 0.05 * np.random.default_rng(3).normal(size=8)
    low, high = km.fit("y ~ v*x/(k + x)", {"x": s, "y": y}).interval(method="profile")["k"]
    assert math.isfinite(low)
    assert high == math.inf


def test_what_has_no_standard_error_has_no_interval() -> None:
    fixed = km.fit(BOX, DATA, start={"b2": 0.5}, fixed={"b1": 213.0})
    assert all(map(math.isnan, fixed.interval(method="profile")["b1"]))
    assert fixed.interval(method="profile")["b2"][0] > 0.0
    at_bound = box(bounds={"b1": (None, 213.0)})
    found = at_bound.interval(method="profile")
    assert all(map(math.isnan, found["b1"]))
    # b1 stays at its bound, as in the standard error of b2.
    assert found["b2"] == pytest.approx(fixed.interval(method="profile")["b2"], rel=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        both = km.fit("y ~ b1*b3*(1 - exp(-b2*x))", DATA, start={"b1": 213.0, "b2": 0.5, "b3": 1.0})
    ends = both.interval(method="profile")
    assert all(map(math.isnan, ends["b1"]))
    assert ends["b2"] == pytest.approx(box().interval(method="profile")["b2"], rel=1e-6)


def test_a_loaded_fit_has_the_same_intervals(tmp_path: Any) -> None:
    box().save(tmp_path / "fit.json")
    assert km.load(tmp_path / "fit.json").interval(method="profile") == box().interval(method="profile")


@pytest.mark.filterwarnings("ignore::katamuki.FitWarning")
def test_what_is_no_minimum_of_a_formula_has_no_profile() -> None:
    with pytest.raises(BoundsError, match="minimum"):
        km.fit(BOX, DATA, start={"b1": 100.0, "b2": 1.0}, solver=km.Adam(steps=5)).interval(method="profile")
    with pytest.raises(BoundsError, match="intervals are made by"):
        box().interval(method="bootstrap")  # type: ignore[arg-type]


PERFECT: list[tuple[str, list[float], list[float]]] = [
    ("y ~ a*2^(b*x)", [0.0, 1, 2, 3], [1.0, 2, 4, 8]),  # its rss is 0: this used to divide by it
    ("y ~ a*exp(b*x)", [0.0, 1, 2], [1.0, 2, 4]),  # this used to find "a lower loss", of rounding
    ("y ~ a*exp(b*x)", np.linspace(0, 4, 40).tolist(), (2 * np.exp(0.5 * np.linspace(0, 4, 40))).tolist()),
]


@pytest.mark.parametrize(("formula", "x", "y"), PERFECT)
@pytest.mark.parametrize("options", [{}, {"start": {"a": 1, "b": 1}, "starts": 1}])
def test_a_perfect_fit_has_no_scatter_to_measure_a_profile_by(
    formula: str, x: list[float], y: list[float], options: dict[str, Any]
) -> None:
    fit = km.fit(formula, {"x": x, "y": y}, **options)
    assert fit.interval(method="profile") == fit.interval()
    assert all(math.isfinite(end) for pair in fit.interval(method="profile").values() for end in pair)


def test_a_perfect_fit_with_known_sigma_has_profiles() -> None:
    fit = km.fit("y ~ a*2^(b*x)", {"x": [0.0, 1, 2, 3], "y": [1.0, 2, 4, 8]}, sigma=[0.1] * 4, sigma_is="known")
    for name, (low, high) in fit.interval(method="profile").items():
        assert low < 1.0 < high
        assert (low, high) == pytest.approx(fit.interval()[name], abs=0.1)
        assert (low, high) != fit.interval()[name]


def test_a_lower_loss_on_the_way_is_an_error_that_names_it() -> None:
    from dataclasses import replace

    fit = box()
    wrong = {"b1": fit.params["b1"], "b2": 1.3 * fit.params["b2"]}
    rss = float(np.sum((DEMAND - wrong["b1"] * (1 - np.exp(-wrong["b2"] * TIMES))) ** 2))
    fit.solution = replace(fit.solution, params=wrong, rss=rss, loss=rss / 6)
    with pytest.raises(NotConverged) as caught:
        fit.interval(method="profile")
    assert caught.value.code == "E-CONVERGENCE"
    assert "lower" in str(caught.value)
    assert f"b1 {box().params['b1']:.6g}" in str(caught.value)  # the minimum that it leads to
