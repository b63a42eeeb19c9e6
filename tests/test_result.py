"""The numbers of a fit against strangers: scipy.stats, lmfit, scikit-learn, textbook formulas and simulation."""

from __future__ import annotations

import math
import warnings
from typing import Any

import lmfit
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score

import katamuki as km
from katamuki import tails
from katamuki.api.result import Prediction
from katamuki.errors import BoundsError, DataError, FormulaError, KatamukiError
from katamuki.records import Array

TUTORIAL = km.datasets("tutorial")
X = np.array([10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0])
Y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
T = np.linspace(0.2, 8.0, 40)
DECAY = 3.0 * np.exp(-0.5 * T) + 0.7 + 0.05 * np.random.default_rng(3).standard_normal(40)
SIGMA = np.linspace(0.02, 0.09, 40)
START = {"a": 2.0, "b": 1.0, "c": 0.0}


def line(**options: Any) -> km.Fit:
    return km.fit("y ~ a*x + b", {"x": X, "y": Y, "err": np.linspace(0.5, 1.5, 11)}, **options)


def decay(**options: Any) -> km.Fit:
    return km.fit("y ~ a*exp(-b*t) + c", {"t": T, "y": DECAY, "err": SIGMA}, start=START, **options)


def lmfits(sigma: Array | None = None, known: bool = False) -> Any:
    model = lmfit.Model(lambda t, a, b, c: a * np.exp(-b * t) + c, independent_vars=["t"])
    weights = None if sigma is None else 1 / sigma
    return model.fit(DECAY, t=T, weights=weights, scale_covar=not known, **START)


def test_the_tutorials_numbers_are_those_of_linregress() -> None:
    fit, theirs = line(), scipy.stats.linregress(X, Y)
    assert fit.params == pytest.approx({"a": theirs.slope, "b": theirs.intercept}, rel=1e-13)
    assert fit.stderr == pytest.approx({"a": theirs.stderr, "b": theirs.intercept_stderr}, rel=1e-12)
    assert fit.r2 == pytest.approx(theirs.rvalue**2, rel=1e-12)
    assert fit.r2 == pytest.approx(r2_score(Y, Y - fit.residuals), rel=1e-12)
    assert fit.loss == pytest.approx(fit.rss / 11, rel=1e-15)
    assert (fit.n, fit.dof, fit.free, fit.minima) == (11, 9, ("a", "b"), ())
    assert fit.response == "y"
    assert fit.predictors == ("x",)
    assert "def rows" in fit.source
    assert fit.solver == "linear"


@pytest.mark.parametrize(("weighting", "known"), [(None, False), ("relative", False), ("known", True)])
def test_a_curves_numbers_are_lmfits(weighting: str | None, known: bool) -> None:
    fit = decay(**({"sigma": "err", "sigma_is": weighting} if weighting else {}))
    theirs = lmfits(SIGMA if weighting else None, known)
    for name, one in theirs.params.items():
        assert fit.params[name] == pytest.approx(one.value, rel=1e-6)
        assert fit.stderr[name] == pytest.approx(one.stderr, rel=1e-4)
    correlation = theirs.covar / np.sqrt(np.outer(np.diag(theirs.covar), np.diag(theirs.covar)))
    assert fit.correlation == pytest.approx(correlation, rel=1e-3)
    assert np.diag(fit.correlation) == pytest.approx(1.0)
    assert fit.rss == pytest.approx(theirs.chisqr, rel=1e-9)


@pytest.mark.parametrize("weighting", [None, "relative", "known"])
def test_the_criteria_come_from_the_gaussian_likelihood(weighting: str | None) -> None:
    fit = decay(**({"sigma": "err", "sigma_is": weighting} if weighting else {}))
    spread = SIGMA if weighting else np.ones(40)
    if weighting != "known":
        spread = spread * math.sqrt(fit.rss / 40)
    likelihood = scipy.stats.norm.logpdf(fit.residuals, scale=spread).sum()
    k = 3 if weighting == "known" else 4
    assert fit.aic == pytest.approx(2 * k - 2 * likelihood, rel=1e-12)
    assert fit.bic == pytest.approx(k * math.log(40) - 2 * likelihood, rel=1e-12)
    assert fit.aicc == pytest.approx(fit.aic + 2 * k * (k + 1) / (40 - k - 1), rel=1e-12)


def test_the_criteria_have_ends() -> None:
    perfect = km.fit("y ~ a*x + b", {"x": [0.0, 1.0, 2.0, 4.0], "y": [1.0, 3.0, 5.0, 9.0]})
    assert perfect.aic < -100
    few = km.fit("y ~ a*x + b", {"x": [0.0, 1.0, 2.0], "y": [1.0, 3.0, 6.0]})
    assert few.aicc == math.inf
    flat = km.fit("y ~ a*x", {"x": [1.0, 2.0, 3.0], "y": [2.0, 2.0, 2.0]})
    assert math.isnan(flat.r2)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_intervals_are_students_and_the_normal_distributions_where_sigma_is_known(level: float) -> None:
    fit = decay()
    for name, (low, high) in fit.interval(level).items():
        theirs = scipy.stats.t.interval(level, 37, loc=fit.params[name], scale=fit.stderr[name])
        assert (low, high) == pytest.approx(theirs, rel=1e-9)
    fit = decay(sigma="err", sigma_is="known")
    for name, (low, high) in fit.interval(level).items():
        theirs = scipy.stats.norm.interval(level, loc=fit.params[name], scale=fit.stderr[name])
        assert (low, high) == pytest.approx(theirs, rel=1e-9)


@given(st.floats(1e-3, 1 - 1e-9), st.one_of(st.integers(1, 200), st.integers(200, 10**8)))
def test_the_quantile_is_scipys(level: float, dof: int) -> None:
    assert tails.coverage(level, dof) == pytest.approx(scipy.stats.t.isf((1 - level) / 2, dof), rel=2e-9)
    assert tails.coverage(level) == pytest.approx(scipy.stats.norm.isf((1 - level) / 2), rel=1e-9)


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 95, math.nan])
def test_a_level_is_a_share(level: float) -> None:
    fit = line()
    for ask in (
        fit.interval,
        lambda level: fit.derive("q = a", level),
        lambda level: fit.predict({"x": X}, "mean", level),
    ):
        with pytest.raises(KatamukiError):
            ask(level=level)


def test_other_words_are_refused() -> None:
    with pytest.raises(BoundsError, match="bootstrap"):
        line().interval(method="bootstrap")  # type: ignore[arg-type]
    with pytest.raises(BoundsError, match="median"):
        line().predict({"x": [1.0]}, interval="median")  # type: ignore[arg-type]


def bands(x: Array, level: float) -> tuple[Array, Array, Array]:
    """A straight line's prediction and half widths, mean and new, from the textbook (Draper & Smith 1998, 3.1)."""
    slope, intercept = np.polyfit(X, Y, 1)
    s = math.sqrt(((Y - slope * X - intercept) ** 2).sum() / 9)
    distance = 1 / 11 + (x - X.mean()) ** 2 / ((X - X.mean()) ** 2).sum()
    wide = scipy.stats.t.ppf(0.5 + level / 2, 9)
    return slope * x + intercept, wide * s * np.sqrt(distance), wide * s * np.sqrt(1 + distance)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_lines_bands_are_the_textbooks(level: float) -> None:
    fit, at = line(), np.linspace(4, 14, 7)
    value, mean, new = bands(at, level)
    assert fit.predict({"x": at}) == pytest.approx(value, rel=1e-12)
    for interval, half in (("mean", mean), ("new", new)):
        found = fit.predict({"x": at}, interval=interval, level=level)
        assert isinstance(found, Prediction)
        assert found.value == pytest.approx(value, rel=1e-12)
        assert found.high - found.value == pytest.approx(half, rel=1e-9)
        assert found.value - found.low == pytest.approx(half, rel=1e-9)


@pytest.mark.parametrize(("weighting", "known"), [(None, False), ("known", True)])
def test_a_curves_band_is_lmfits(weighting: str | None, known: bool) -> None:
    fit = decay(**({"sigma": "err", "sigma_is": weighting} if weighting else {}))
    theirs = lmfits(SIGMA if weighting else None, known)
    found = fit.predict({"t": T}, interval="mean", level=0.6826894921370859)
    half = theirs.eval_uncertainty(sigma=1)
    wide = 1.0 if known else scipy.stats.t.ppf(0.5 + 0.6826894921370859 / 2, 37)
    # lmfit takes t quantiles always and numerical derivatives; compare in units of the standard error
    ours = (found.high - found.value) / wide
    assert ours == pytest.approx(half / scipy.stats.t.ppf(0.5 + 0.6826894921370859 / 2, 37), rel=1e-3)


@pytest.mark.parametrize("weighting", [None, "relative", "known"])
def test_bands_cover_what_they_promise(weighting: str | None) -> None:
    rng = np.random.default_rng(11)
    x = np.linspace(0, 3, 12)
    sigma = np.linspace(0.1, 0.3, 12) if weighting else np.full(12, 0.2)
    options: dict[str, Any] = {"sigma": sigma, "sigma_is": weighting} if weighting else {}
    mean = new = 0
    runs = 1500
    for _ in range(runs):
        y = 2.0 * x + 1.0 + sigma * rng.standard_normal(12)
        fit = km.fit("y ~ a*x + b", {"x": x, "y": y}, **options)
        at = {"x": np.array([2.0])}
        band = fit.predict(at, interval="mean", level=0.8)
        mean += bool(band.low[0] <= 5.0 <= band.high[0])
        if weighting is None:
            band = fit.predict(at, interval="new", level=0.8)
            new += bool(band.low[0] <= 5.0 + 0.2 * rng.standard_normal() <= band.high[0])
    assert mean / runs == pytest.approx(0.8, abs=0.035)
    if weighting is None:
        assert new / runs == pytest.approx(0.8, abs=0.035)


def test_predictions_say_when_they_leave_the_data() -> None:
    found = line().predict({"x": [5.0, 99.0]}, interval="new")
    assert [one.code for one in found.findings] == ["EXTRAPOLATES"]
    assert line().predict({"x": [5.0]}, interval="new").findings == ()


def test_new_rows_may_come_from_anywhere_and_are_checked() -> None:
    import pandas as pd

    fit = line()
    assert fit.predict(pd.DataFrame({"x": [1, 2], "more": ["p", "q"]})) == pytest.approx(fit.predict({"x": [1.0, 2.0]}))
    assert fit.predict(TUTORIAL) == pytest.approx(Y - fit.residuals)
    with pytest.raises(DataError):
        fit.predict({"z": [1.0]})
    with pytest.raises(DataError):
        fit.predict({"x": [1.0, math.nan]})


def test_a_model_without_predictors_predicts_for_each_row() -> None:
    fit = km.fit("y ~ a", {"y": Y})
    assert fit.predict({"y": Y}).tolist() == [fit.params["a"]] * 11
    band = fit.predict({"y": Y}, interval="mean")
    assert band.high - band.value == pytest.approx(scipy.stats.t.ppf(0.975, 10) * scipy.stats.sem(Y))


def test_a_derived_quantity_agrees_with_simulation_and_the_other_parametrisation() -> None:
    fit = decay()
    half = fit.derive("half_life = log(2)/b")
    assert half.name == "half_life"
    assert half.value == pytest.approx(math.log(2) / fit.params["b"], rel=1e-15)
    assert half.stderr == pytest.approx(half.value / fit.params["b"] * fit.stderr["b"], rel=1e-10)
    other = km.fit("y ~ a*exp(-log(2)/h*t) + c", {"t": T, "y": DECAY}, start={"a": 2.0, "h": 1.0, "c": 0.0})
    assert half.value == pytest.approx(other.params["h"], rel=1e-9)
    assert half.stderr == pytest.approx(other.stderr["h"], rel=1e-6)
    assert half.interval == pytest.approx(other.interval()["h"], rel=1e-6)
    drawn = np.random.default_rng(0).multivariate_normal(list(fit.params.values()), fit.covariance * 1e-4, 20_000)
    area = fit.derive("area = a/b + c**2*sqrt(a)")
    values = drawn[:, 0] / drawn[:, 1] + drawn[:, 2] ** 2 * np.sqrt(drawn[:, 0])
    assert area.stderr == pytest.approx(values.std() * 100, rel=0.03)


def test_a_derived_quantity_prints_itself() -> None:
    assert str(line().derive("at10 = 10*a + b")) == "at10 8.001000 ± 0.391048"
    assert line().derive("a/b").name == "a/b"
    assert line().derive("`a per b` = a/b").name == "a per b"


@pytest.mark.parametrize(
    "text",
    ["", "=", "q =", "= a", "q = a + zz", "a = b", "a", "q = x*a", "q = 1/0", "q = log(a - 5)", "q = q", "q = 2",
     "q = a = b", "q = a.real", "q = __import__('os')", "q = a[0]", "`q = a", "q ~ a ~ b", "q = (a", "\0",
     "q\n= lambda"],
)  # fmt: skip
def test_what_is_no_quantity_is_a_formula_error(text: str) -> None:
    with pytest.raises(FormulaError):
        line().derive(text)


@given(st.text(alphabet="ab=~`^*/+-( )0.1eqx,\\_\"'傾", max_size=20))
def test_any_text_gives_a_quantity_or_an_error_of_ours(text: str) -> None:
    fit = _LINE
    try:
        found = fit.derive(text)
    except FormulaError:
        return
    assert math.isfinite(found.value)


_LINE = line()


def test_fixed_parameters_count_as_known() -> None:
    data = {"t": T, "y": DECAY}
    fit = km.fit("y ~ a*exp(-b*t) + c", data, start={"a": 2.0, "b": 1.0}, fixed={"c": 0.7})
    assert fit.params["c"] == 0.7
    assert fit.stderr["c"] is None
    assert all(map(math.isnan, fit.interval()["c"]))
    assert fit.derive("q = c + a").stderr == pytest.approx(fit.stderr["a"], rel=1e-12)
    assert fit.derive("q = 2*c").stderr is None
    alone = km.fit("y ~ a*exp(-b*t) + 0.7", {"t": T, "y": DECAY}, start={"a": 2.0, "b": 1.0})
    one, two = (one.predict({"t": T}, interval="mean") for one in (fit, alone))
    assert one.high == pytest.approx(two.high, rel=1e-9)


def test_at_a_bound_the_others_are_as_if_it_were_fixed() -> None:
    fit = line(bounds={"b": (4.0, None)})
    fixed = line(fixed={"b": 4.0})
    assert fit.stderr["b"] is None
    one, two = (one.predict({"x": X}, interval="mean") for one in (fit, fixed))
    assert one.value == pytest.approx(two.value, rel=1e-12)
    assert one.high == pytest.approx(two.high, rel=1e-9)
    assert fit.derive("q = a + b").stderr == pytest.approx(fixed.stderr["a"], rel=1e-9)


def test_what_undetermined_parameters_determine_together_keeps_its_error_bar() -> None:
    plain = line()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit("y ~ (a + c)*x + b", {"x": X, "y": Y})
    assert fit.stderr["a"] is None
    whole = fit.derive("whole = a + c")
    assert whole.value == pytest.approx(plain.params["a"], rel=1e-9)
    assert whole.stderr == pytest.approx(plain.stderr["a"], rel=1e-9)
    assert fit.derive("q = a - c").stderr is None
    assert fit.derive("q = 2*a").stderr is None
    band, theirs = (one.predict({"x": X}, interval="mean") for one in (fit, plain))
    assert band.value == pytest.approx(theirs.value, rel=1e-9)
    assert band.high - band.low == pytest.approx(theirs.high - theirs.low, rel=1e-6)
    assert math.isnan(fit.digits["a"])


def test_without_freedom_there_is_no_band_unless_sigma_is_known() -> None:
    data = {"x": [1.0, 2.0], "y": [2.0, 5.0]}
    fit = km.fit("y ~ a*x + b", data)
    assert fit.dof == 0
    assert fit.stderr == {"a": None, "b": None}
    assert fit.derive("q = a + b").stderr is None
    with pytest.raises(DataError) as caught:
        fit.predict({"x": [1.5]}, interval="mean")
    assert caught.value.code == "E-BAND"
    assert fit.predict({"x": [1.5]}) == pytest.approx(3.5)
    known = km.fit("y ~ a*x + b", data, sigma=0.1, sigma_is="known")
    band = known.predict({"x": [1.5]}, interval="mean")
    assert band.high - band.value == pytest.approx(1.959963984540054 * 0.1 / math.sqrt(2), rel=1e-9)


def test_a_left_side_is_the_scale_of_everything() -> None:
    fit = km.fit("log(y) ~ a*x + b", {"x": X, "y": Y})
    theirs = scipy.stats.linregress(X, np.log(Y))
    assert fit.response == "log(y)"
    assert fit.residuals == pytest.approx(np.log(Y) - theirs.slope * X - theirs.intercept, abs=1e-13)
    assert fit.predict({"x": [3.0]}) == pytest.approx(theirs.slope * 3 + theirs.intercept)


def test_believable_digits_fall_with_the_condition_and_with_the_distance_to_the_answer() -> None:
    good = line()
    assert all(14.5 < digits <= 15.95 for digits in good.digits.values())
    x = 1000 + np.linspace(0, 1, 20)
    y = 3.0 - 2.0 * x + 0.5 * x**2 + 0.01 * np.sin(99 * x)
    bent = km.fit("y ~ a + b*x + c*x**2", {"x": x, "y": y})
    assert all(digits < 12 for digits in bent.digits.values())
    rng = np.random.default_rng(0)
    for _ in range(20):
        again = km.fit("y ~ a + b*x + c*x**2", {"x": x, "y": y * (1 + 1.2e-16 * rng.choice([-1.0, 0.0, 1.0], 20))})
        for name, digits in bent.digits.items():
            moved = abs(again.params[name] / bent.params[name] - 1)
            assert moved < 5 * 10**-digits
    assert moved > 1e-15  # of the last one: the data did move the answer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        run = line(solver=km.RMSprop(lr=0.001), start={"a": 0.5, "b": 0.5})
    assert run.digits["a"] == pytest.approx(-math.log10(0.0005 / 0.5), abs=0.1)


def test_a_fit_shows_itself() -> None:
    fit = line()
    assert "0.500091" in str(fit)
    assert repr(fit) == "<Fit 'y ~ a*x + b': a=0.500091, b=3.00009; exact, good>"
    assert "<div" in fit._repr_html_()
    assert fit.to_dict()["params"]["a"]["value"] == fit.params["a"]
    assert fit.check().verdict == "PASS"
    assert fit.to_dict(fit.check())["check"]["verdict"] == "PASS"


def test_a_wrong_number_in_a_fit_is_seen_by_its_check() -> None:
    import dataclasses

    fit = line()
    params = fit.params | {"a": fit.params["a"] * (1 + 1e-4)}
    fit.solution = dataclasses.replace(fit.solution, params=params)
    assert fit.check().verdict == "FAIL"


def test_a_picture_has_data_curve_and_residuals() -> None:
    figure = line().plot()
    assert len(figure.axes) == 2
    import matplotlib.pyplot as plt

    plt.close(figure)


def test_the_trace_is_made_once() -> None:
    fit = decay()
    assert fit.trace is fit.trace
    assert fit.trace is not None
    assert fit.trace.params[-1] == pytest.approx(list(fit.params.values()))
    assert np.isnan(fit.trace.step[-1]).all()
