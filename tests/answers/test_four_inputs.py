"""The four easy inputs on which ten fitting tools return a wrong answer and call it a success.

A sine from the wrong valley; ``a*b*exp(-c*x)``, where a and b cannot be told apart; an exponential whose x is far
larger than its start; one NaN among the data. Each is generated with a seed at three noise levels. What is right is
what SciPy finds from the truth. The promise: an answer that is not right is never "good", and what is wrong with it
is a finding. "Good" means that no finding is a warning or worse.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import curve_fit

import katamuki as km

Array = NDArray[np.float64]
NOISES = (0.01, 0.1, 0.3)  # standard deviation of the noise, as a share of the amplitude
SEEDS = (0, 1, 2, 3, 4)
RSS_SAME = 1e-9  # relative: a minimum is flat, so an rss so near is the same minimum
CURVE_SAME = 1e-5  # of the range of the prediction: SciPy's own answers are good to about seven digits


def sine(x: Array, a: float, b: float, c: float, d: float) -> Array:
    return a * np.sin(b * x + c) + d


def decay(x: Array, s: float, c: float) -> Array:
    return s * np.exp(-c * x)


def far(x: Array, a: float, b: float, c: float) -> Array:
    return a * np.exp(-x / b) + c


@dataclass(frozen=True)
class Input:
    """A formula with its data, and what SciPy finds from the truth."""

    formula: str
    data: dict[str, Array]
    best: Array
    rss: float
    curve: Array


def made(formula: str, model: Callable[..., Array], truth: tuple[float, ...], x: Array, scatter: Array) -> Input:
    """The data y = model(x; truth) + scatter, and SciPy's answer from the truth."""
    y = model(x, *truth) + scatter
    best, _ = curve_fit(model, x, y, p0=truth, xtol=1e-14, ftol=1e-14, gtol=1e-14, maxfev=100_000)
    curve = model(x, *best)
    return Input(formula, {"x": x, "y": y}, best, float(np.sum((y - curve) ** 2)), curve)


def sines(noise: float, seed: int) -> Input:
    """Six periods in 80 uneven rows; truth b = 3.7."""
    rng = np.random.default_rng([1, seed])
    x = np.sort(rng.uniform(0.0, 10.0, 80))
    return made("y ~ a*sin(b*x + c) + d", sine, (2.0, 3.7, 0.5, 1.0), x, 2.0 * noise * rng.standard_normal(80))


def products(noise: float, seed: int) -> Input:
    """Three decay lengths in 40 rows; truth a*b = 2.5, c = 1.3."""
    rng = np.random.default_rng([2, seed])
    x = np.linspace(0.0, 2.5, 40)
    return made("y ~ a*b*exp(-c*x)", decay, (2.5, 1.3), x, 2.5 * noise * rng.standard_normal(40))


def distant(noise: float, seed: int) -> Input:
    """x from 60 to 3060; truth 100, 400, 20."""
    rng = np.random.default_rng([3, seed])
    x = np.linspace(60.0, 3060.0, 201)
    return made("y ~ a*exp(-x/b) + c", far, (100.0, 400.0, 20.0), x, 100.0 * noise * rng.standard_normal(201))


@pytest.fixture(params=[(noise, seed) for noise in NOISES for seed in SEEDS], ids=lambda one: f"{one[0]:g}-{one[1]}")
def drawn(request: pytest.FixtureRequest) -> Iterator[tuple[float, int]]:
    """A noise level and a seed; what the fits warn of stands in their findings, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        yield request.param


def tried(of: Input, **options: Any) -> km.Fit:
    """The fit; of one that failed, what it left."""
    try:
        return km.fit(of.formula, of.data, **options)
    except km.NotConverged as error:
        return cast(km.Fit, error.fit)


def same(of: Input, rss: float, curve: Array) -> bool:
    """Whether an answer is SciPy's: the same rss, and the same curve, however the parameters' signs are."""
    close = np.max(np.abs(curve - of.curve)) <= CURVE_SAME * np.ptp(of.curve)
    return bool(math.isclose(rss, of.rss, rel_tol=RSS_SAME) and close)


def right(of: Input, fit: km.Fit) -> bool:
    return same(of, fit.rss, fit.predict(of.data))


def kept_silent(of: Input, fit: km.Fit) -> bool:
    """What must never be: a wrong answer called good."""
    return fit.verdict == "good" and not right(of, fit)


def warned(fit: km.Fit) -> set[str]:
    """The codes of the findings that make a verdict."""
    return {one.code for one in fit.findings if one.severity != "note"}


def codes(fit: km.Fit) -> set[str]:
    return {one.code for one in fit.findings}


def found_there(of: Input, fit: km.Fit, model: Callable[..., Array]) -> bool:
    """Whether the best of the minima that the search lists is SciPy's answer."""
    best = fit.minima[0]
    curve = model(of.data["x"], *(best.params[name] for name in fit.params))
    return same(of, best.loss * fit.n, curve)


# --- the sine -------------------------------------------------------------------------------------------------------

VALLEY = {"a": 1.0, "b": 0.91, "c": 0.0, "d": 0.0}


def test_scipy_itself_is_lost_in_the_valley_and_says_nothing() -> None:
    for noise, seed in ((noise, seed) for noise in NOISES for seed in SEEDS):
        of = sines(noise, seed)
        lost, _ = curve_fit(sine, of.data["x"], of.data["y"], p0=list(VALLEY.values()), maxfev=100_000)
        curve = sine(of.data["x"], *lost)
        assert not same(of, float(np.sum((of.data["y"] - curve) ** 2)), curve)


def test_a_sine_without_a_start_is_found_and_good(drawn: tuple[float, int]) -> None:
    of = sines(*drawn)
    fit = tried(of)
    assert right(of, fit)
    assert abs(fit.params["b"]) == pytest.approx(of.best[1], rel=1e-6)
    assert not warned(fit) - {
        "OUTLIERS",
        "RUNS",
        "SPREAD",
        "INFLUENTIAL",
    }  # chance alone may remark on two in a hundred


def test_a_sine_from_the_wrong_valley_is_kept_and_the_better_minimum_is_named(drawn: tuple[float, int]) -> None:
    of = sines(*drawn)
    fit = tried(of, start=VALLEY)
    assert not kept_silent(of, fit)
    assert found_there(of, fit, sine)
    assert right(of, fit) or ("BETTER_MINIMUM" in warned(fit) and fit.verdict == "look")
    if not right(of, fit):  # the user's own valley, and not a third place
        given = fit.solution.search.given
        assert (given.params, given.converged) == (pytest.approx(fit.params), True)


def test_a_sine_whose_search_is_switched_off_is_not_called_good(drawn: tuple[float, int]) -> None:
    of = sines(*drawn)
    fit = tried(of, start=VALLEY, starts=1)
    assert not kept_silent(of, fit)
    assert (fit.solution.search, fit.verdict) == (None, "failed") or "NOT_SEARCHED" in codes(fit)
    if not right(of, fit):  # its residuals swing, or the sine became a line, or it was still falling
        assert warned(fit) & {"RUNS", "UNDETERMINED", "NOT_CONVERGED"}


# --- a product that cannot be told apart ----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"start": {"a": 1.0, "b": 1.0, "c": 1.0}}, {"starts": 1}], ids=str)
def test_of_a_product_only_the_product_is_determined(drawn: tuple[float, int], options: Mapping[str, Any]) -> None:
    of = products(*drawn)
    fit = tried(of, **options)
    assert right(of, fit)  # a*b and c are determined, and so is the curve
    assert (fit.state, fit.verdict) == ("not_identifiable", "look")
    assert (fit.stderr["a"], fit.stderr["b"]) == (None, None)
    (one,) = fit.solution.combinations
    assert (set(one.names), one.text, one.exact) == ({"a", "b"}, "a*b", True)
    assert one.value == pytest.approx(of.best[0], rel=1e-6)
    assert "UNDETERMINED" in warned(fit)
    assert fit.params["c"] == pytest.approx(of.best[1], rel=1e-6)
    # two parameters are determined: c's error bar is SciPy's of the formula with one factor
    _, cov = curve_fit(decay, of.data["x"], of.data["y"], p0=of.best, xtol=1e-14, ftol=1e-14)
    assert fit.stderr["c"] == pytest.approx(math.sqrt(cov[1, 1]), rel=1e-4)


def test_a_product_is_warned_of() -> None:
    of = products(0.1, 0)
    with pytest.warns(km.FitWarning, match=r"a and b cannot be told apart: only a\*b = 2\.\d+ is determined"):
        km.fit(of.formula, of.data)


# --- a far scale ----------------------------------------------------------------------------------------------------

ONES = {"a": 1.0, "b": 1.0, "c": 1.0}


def test_scipy_itself_stays_where_it_began() -> None:
    of = distant(0.01, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stayed, _ = curve_fit(far, of.data["x"], of.data["y"], p0=list(ONES.values()))
    assert stayed[1] == pytest.approx(1.0)


def test_a_far_scale_without_a_start_is_found(drawn: tuple[float, int]) -> None:
    of = distant(*drawn)
    fit = tried(of)
    assert right(of, fit)
    np.testing.assert_allclose(list(fit.params.values()), of.best, rtol=1e-5)


def test_a_far_scale_from_a_start_that_sees_nothing_is_found_or_the_better_minimum_is_named(
    drawn: tuple[float, int],
) -> None:
    of = distant(*drawn)
    fit = tried(of, start=ONES)
    assert not kept_silent(of, fit)
    assert found_there(of, fit, far)
    assert "BETTER_MINIMUM" in warned(fit)
    assert fit.verdict == "look"
    assert right(of, fit) or fit.solution.search.given.converged


def test_a_far_scale_whose_search_is_switched_off_has_no_error_bars(drawn: tuple[float, int]) -> None:
    of = distant(*drawn)
    fit = tried(of, start=ONES, starts=1)
    assert not right(of, fit)
    assert fit.verdict != "good"
    assert warned(fit) & {"UNDETERMINED", "NOT_CONVERGED"}
    assert fit.verdict == "failed" or fit.stderr["b"] is None


# --- a NaN ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["x", "y"])
@pytest.mark.parametrize("noise", NOISES)
def test_a_nan_is_an_error_that_names_its_row(noise: float, column: str) -> None:
    of = sines(noise, 0)
    of.data[column][17] = math.nan
    with pytest.raises(km.DataError, match=rf"1 row has no value: 18 \({column}\)") as caught:
        km.fit(of.formula, of.data)
    assert (caught.value.code, 'missing="drop"' in str(caught.value)) == ("E-MISSING", True)


def test_a_nan_is_dropped_where_that_is_asked_for_and_every_report_says_how_many(drawn: tuple[float, int]) -> None:
    whole = sines(*drawn)
    kept = np.arange(len(whole.data["x"])) != 17
    x, y = (whole.data[name][kept] for name in ("x", "y"))
    without = made(whole.formula, sine, (2.0, 3.7, 0.5, 1.0), x, y - sine(x, 2.0, 3.7, 0.5, 1.0))
    whole.data["y"][17] = math.nan
    fit = km.fit(whole.formula, whole.data, missing="drop")
    assert same(without, fit.rss, fit.predict(without.data))
    assert (fit.n, fit.data.dropped) == (79, 1)
    assert "1 row dropped" in str(fit)


# --- the judge ------------------------------------------------------------------------------------------------------


def test_the_judge_of_right_and_wrong_sees_a_wrong_answer() -> None:
    of = sines(0.1, 0)
    x, y = of.data["x"], of.data["y"]

    def judged(*params: float) -> bool:
        return same(of, float(np.sum((y - sine(x, *params)) ** 2)), sine(x, *params))

    a, b, c, d = of.best
    assert judged(a, b, c, d)
    assert judged(-a, b, c + math.pi, d)
    assert not judged(a * (1 + 1e-3), b, c, d)
    assert not judged(a, b + 2 * math.pi / 10, c, d)  # the next valley
    assert not same(of, of.rss, of.curve + 1e-3)
