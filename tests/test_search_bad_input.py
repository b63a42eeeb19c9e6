"""What a search is given by mistake: no start with a value, what cannot be told apart, too few rows, jumps, bad bounds.

A start never comes back as an answer, a message names the part, the rows and what would do, and what a message says
to try is tried. Interruption and the limit of time are here, too. Strangers: SciPy within bounds, closed forms, and
numbers that a message states, recomputed from the data.
"""

from __future__ import annotations

import json
import math
import re
import time
import warnings
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import least_squares

import katamuki as km
from command_line import ERROR, Command

X = np.linspace(0.0, 10.0, 30)
DATA = {"x": X, "y": 3.0 * np.exp(-1.3 * X) + 0.5 + 0.01 * np.sin(17.0 * X)}
DECAY = "y ~ a*exp(-b*x) + c"


def failed(model: Any, data: Any = DATA, **options: Any) -> km.NotConverged:
    """The error of a fit that has no answer; what its fit holds is no answer either."""
    with pytest.raises(km.NotConverged) as caught:
        km.fit(model, data, **options)
    fit = cast(km.Fit, caught.value.fit)
    assert (fit.verdict, set(fit.stderr.values())) == ("failed", {None})
    return caught.value


def codes(fit: km.Fit) -> set[str]:
    return {one.code for one in fit.findings}


def quiet(model: Any, data: Any = DATA, **options: Any) -> km.Fit:
    """A fit of which findings are asked, not warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit(model, data, **options)


def ended(model: Any, data: Any = DATA, **options: Any) -> tuple[km.Fit, str | None]:
    """A fit, or what it left and the code of its error."""
    try:
        return quiet(model, data, **options), None
    except km.NotConverged as error:
        return cast(km.Fit, error.fit), error.code


# --- no start reaches a finite value --------------------------------------------------------------------------------

WITHOUT_A_VALUE: list[tuple[str, dict[str, Any], list[str]]] = [
    # formula, options, words: the part, where, and what would do
    ("y ~ a*sqrt(b - 5)*x", {"bounds": {"b": (0, 4)}}, ["sqrt(b - 5)", "all 30 rows", "5 < b", "b is bound to 0 to 4"]),
    ("y ~ a*log(b - x) + c", {"bounds": {"b": (0, 9.9)}}, ["log(b - x)", "10 < b", "b is bound to 0 to 9.9"]),
    ("y ~ a*exp(b*x^200)", {"bounds": {"b": (1, 2)}}, ["exp(b*x^200)", "wider bounds", "b is bound to 1 to 2"]),
    ("y ~ a*sqrt(b*(x - 5) - 1) + c", {}, ["b*(x - 5) - 1", "more than", "less than", "where="]),
    ("y ~ a*log(-exp(b*x)) + c", {}, ["log(-exp(b*x))", "all 30 rows", "no start was found"]),
]


@pytest.mark.parametrize(("model", "options", "words"), WITHOUT_A_VALUE)
def test_where_no_start_has_a_value_the_part_the_rows_and_what_would_do_are_named(
    model: str, options: dict[str, Any], words: list[str]
) -> None:
    error = failed(model, **options)
    assert error.code == "E-DOMAIN"
    assert [word for word in words if word not in str(error)] == [], str(error)
    fit = cast(km.Fit, error.fit)
    assert fit.solution.search is not None
    assert fit.solution.search.finite == 0
    assert f"any of {fit.solution.search.starts} starts" in str(error)
    assert fit.minima == ()


def test_the_limits_that_are_stated_are_those_of_the_data() -> None:
    said = str(failed("y ~ a*sqrt(b*(x - 5) - 1) + c"))
    low, high = map(float, re.search(r"more than (\S+) in one row and less than (\S+) in", said).groups())  # type: ignore[union-attr]
    away = X - 5.0  # b > 1/away where it is positive, b < 1/away where it is negative
    assert low == pytest.approx((1.0 / away[away > 0]).max(), rel=1e-5)
    assert high == pytest.approx((1.0 / away[away < 0]).min(), rel=1e-5)


@pytest.mark.parametrize(
    ("model", "start"),
    [
        ("y ~ a*log(b - x) + c", {"a": 1.0, "b": 1.0, "c": 1.0}),
        ("y ~ a*log(b - x) + d*sqrt(c - 3*x)", {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}),
        ("y ~ a/(x - b)", {"a": 1.0, "b": 10.0}),
        ("y ~ a*exp(b*x*1000)", {"a": 1.0, "b": 1.0}),
        ("y ~ a*log(1 - b^2*x)", {"a": 1.0, "b": 1.0}),
        ("y ~ log(a*x + b) + sqrt(c - a*x)", {"a": 1.0, "b": -9.0, "c": 1.0}),
    ],
)
def test_the_start_that_is_suggested_has_a_value_in_every_row(model: str, start: dict[str, float]) -> None:
    error = failed(model, start=start, starts=1)
    assert error.code == "E-DOMAIN"
    suggested = json.loads(re.search(r"start=(\{.*\})", str(error.remedy)).group(1))  # type: ignore[union-attr]
    assert suggested.keys() == start.keys()
    assert suggested != start
    flags = re.search(r"--start (\S+):", str(error.advice("en", "cli"))).group(1)  # type: ignore[union-attr]
    assert {name: float(value) for name, value in (one.split("=") for one in flags.split(","))} == suggested
    fit, code = ended(model, start=suggested, starts=1)
    assert code in {None, "E-CONVERGENCE"}  # the solver at least begins there; the data need not follow the formula
    assert np.isfinite(fit.trace.loss[0])
    assert dict(zip(fit.trace.names, fit.trace.params[0].tolist(), strict=True)) == suggested


def test_what_no_parameter_can_mend_is_said_of_the_data() -> None:
    error = failed("y ~ a*exp(-b*x) + c*log(x - 20)")
    assert "no value at the data: log(x - 20)" in str(error)
    assert "log needs x > 20; the data have x from 0 to 10" in str(error)
    assert "start" not in str(error)


def test_the_command_says_which_bounds_stand_against_it(command: Command) -> None:
    done = command("fit", "y ~ a*sqrt(b - 20)*x", "tutorial.csv", "--bounds", "b=0:4")
    assert (done.returncode, done.stdout) == (5, "")
    assert "sqrt(b - 20) is undefined in all 11 rows" in done.stderr
    assert "try: wider --bounds: a value in every row needs 20 < b, and b is bound to 0 to 4 [E-DOMAIN]" in done.stderr
    done = command("fit", "y ~ a*sqrt(b - 20)*x", "tutorial.csv", "--bounds", "b=0:4", "--json")
    ERROR(json.loads(done.stderr))
    done = command("fit", "y ~ a*sqrt(b - 20)*x", "tutorial.csv", "--bounds", "b=0:4", "--lang", "ja")
    assert "20 < b" in done.stderr


def test_the_search_itself_stays_where_the_formula_has_values() -> None:
    data = {"x": X, "y": 2.0 * np.log(14.0 - X) + 1.0 + 0.01 * np.sin(17.0 * X)}
    fit = quiet("y ~ a*log(b - x) + c", data)
    assert fit.state == "converged"
    assert fit.params["b"] == pytest.approx(14.0, rel=0.05)


# --- bounds that exclude every good start ---------------------------------------------------------------------------


def decay_residuals(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return cast("NDArray[np.float64]", p[0] * np.exp(-p[1] * X) + p[2] - DATA["y"])


@pytest.mark.parametrize("bounds", [(5.0, 10.0), (0.0, 0.2), (-3.0, -0.1)])
@pytest.mark.parametrize("start", [None, "middle"])
def test_bounds_away_from_the_answer_end_at_the_bound_and_say_so(
    bounds: tuple[float, float], start: str | None
) -> None:
    given = {} if start is None else {"start": {"a": 1.0, "b": sum(bounds) / 2, "c": 1.0}}
    fit = quiet(DECAY, bounds={"b": bounds}, **given)
    limits = ([-np.inf, bounds[0], -np.inf], [np.inf, bounds[1], np.inf])
    starts = [[a, b, c] for a in (-3.0, 3.0) for b in np.linspace(*bounds, 7)[1:-1] for c in (0.0, 1.0)]
    tight: Any = {"bounds": limits, "xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-14}
    best = min(least_squares(decay_residuals, one, **tight).cost for one in starts)
    assert fit.rss == pytest.approx(2.0 * best, rel=1e-6)
    assert fit.verdict == "look"
    assert "AT_BOUND" in codes(fit)
    assert fit.params["b"] in bounds
    assert fit.stderr["b"] is None


def test_bounds_in_which_a_parameter_has_no_effect_leave_it_undetermined() -> None:
    fit = quiet(DECAY, bounds={"b": (1e9, 1e10)})
    assert (fit.state, fit.verdict, fit.stderr["b"]) == ("not_identifiable", "look", None)


# --- what cannot be told apart --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "names", "text", "determined"),
    [
        ("y ~ a*b*exp(-d*x) + c", {"a", "b"}, "a*b", lambda p: p["a"] * p["b"]),
        ("y ~ (a + b)*exp(-d*x) + c", {"a", "b"}, "a + b", lambda p: p["a"] + p["b"]),
        ("y ~ a*exp(-b*d*x) + c", {"b", "d"}, "b*d", lambda p: p["b"] * p["d"]),
        ("y ~ a*exp(-(b + d)*x) + c", {"b", "d"}, "b + d", lambda p: p["b"] + p["d"]),
        ("y ~ a*exp(-b/d*x) + c", {"b", "d"}, "b/d", lambda p: p["b"] / p["d"]),
    ],
)
def test_a_combination_is_named_and_its_value_is_that_of_the_reduced_formula(
    model: str, names: set[str], text: str, determined: Any
) -> None:
    fit = quiet(model)
    reduced = km.fit(DECAY, DATA)
    (one,) = fit.solution.combinations
    assert (set(one.names), one.text, one.exact) == (names, text, True)
    assert (fit.state, fit.verdict) == ("not_identifiable", "look")
    assert {fit.stderr[name] for name in names} == {None}
    assert fit.rss == pytest.approx(reduced.rss, rel=1e-9)
    assert min(abs(one.value / value - 1) for value in reduced.params.values()) < 1e-6
    assert determined(fit.params) == pytest.approx(one.value, rel=1e-9)


def test_equal_rates_in_two_terms_are_undetermined_and_exit_with_5(command: Command) -> None:
    done = command("fit", "y ~ a*exp(b*x) + c*exp(b*x)", "tutorial.csv")
    assert done.returncode == 5
    assert "a and c cannot be told apart: only a + c = " in done.stderr
    assert "[E-IDENT]" in done.stderr
    fit = quiet("y ~ a*exp(b*x) + c*exp(b*x)", km.datasets("tutorial"))
    reduced = km.fit("y ~ a*exp(b*x)", km.datasets("tutorial"))
    assert fit.params["a"] + fit.params["c"] == pytest.approx(reduced.params["a"], rel=1e-8)
    assert fit.stderr["b"] == pytest.approx(reduced.stderr["b"], rel=1e-6)


# --- too few rows ---------------------------------------------------------------------------------------------------

THREE = {"x": [0.0, 1.0, 2.0], "y": [1.0, 2.0, 0.5]}


def test_more_parameters_than_rows_are_refused_before_any_search(command: Command) -> None:
    with pytest.raises(km.DataError, match=r"4 parameters \(a, b, c and d\) need at least 4 rows, the data have 3"):
        km.fit("y ~ a*sin(b*x + c) + d", THREE)
    done = command("fit", "y ~ a*exp(-b*x) + c*exp(-d*x)", "tutorial.csv", "--where", "x < 7")
    assert (done.returncode, "E-TOOFEW" in done.stderr) == (3, True)


def test_a_sine_through_three_points_passes_through_all_and_claims_nothing() -> None:
    fit = quiet("y ~ a*sin(b*x + c)", THREE)
    np.testing.assert_allclose(fit.predict(THREE), THREE["y"], atol=1e-9)
    assert (fit.dof, fit.verdict, set(fit.stderr.values())) == (0, "look", {None})
    assert "NO_FREEDOM" in codes(fit)


def test_a_sine_through_three_points_at_the_command_line(command: Command, table: Any) -> None:
    (table.parent / "three.csv").write_text("x,y\n0,1\n1,2\n2,0.5\n")
    done = command("fit", "y ~ a*sin(b*x + c)", "three.csv")
    assert done.returncode == 0
    assert "NO_FREEDOM" in done.stdout
    assert "verdict good" not in done.stdout
    assert command("fit", "y ~ a*sin(b*x + c)", "three.csv", "--strict").returncode == 5


# --- jumps and breakpoints ------------------------------------------------------------------------------------------

BREAK = {"x": X, "y": 1.0 + 0.5 * np.maximum(X - 4.2, 0.0) + 0.05 * np.random.default_rng(3).standard_normal(30)}


def two_lines(c: float) -> float:
    """The rss of two lines that meet at c, by SciPy's closed form."""
    design = np.column_stack([np.ones(30), np.maximum(X - c, 0.0)])
    return float(((BREAK["y"] - design @ np.linalg.lstsq(design, BREAK["y"], rcond=None)[0]) ** 2).sum())


@pytest.mark.parametrize(
    "model",
    [
        "y ~ a + b*max(x - c, 0)",
        "y ~ a + b*(x - c)*(x > c)",
        "y ~ a if x < c else a + b*(x - c)",
        "y ~ a + b*(abs(x - c) + x - c)/2",
        "y ~ a - b*min(c - x, 0)",
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_breakpoint_of_a_continuous_curve_is_found(model: str, seed: int) -> None:
    fit = quiet(model, BREAK, seed=seed)
    places = np.linspace(X[1], X[-2], 20_001)
    best = min(map(two_lines, places))
    assert fit.rss <= best * (1 + 1e-6)
    assert fit.params["c"] == pytest.approx(places[np.argmin(list(map(two_lines, places)))], abs=2e-3)
    assert fit.stderr["c"] is not None


@pytest.mark.parametrize("model", ["y ~ a + b*heaviside(x - c)", "y ~ a + b*(1 if x > c else 0)"])
def test_an_integer_like_parameter_is_refused_with_a_scan(model: str, command: Command) -> None:
    with pytest.raises(km.FormulaError, match=r"no solver can find c.*jumps") as caught:
        km.fit(model, BREAK)
    assert caught.value.code == "E-JUMP"
    assert "best = min(fits" in caught.value.remedy
    assert command("fit", model, "tutorial.csv").returncode == 4  # more of it in test_jumps


# --- time and Ctrl-C ------------------------------------------------------------------------------------------------

HARD = "y ~ a*exp(-((x-b)/c)^2) + d*exp(-((x-e)/f)^2) + g*exp(-((x-h)/k)^2) + m"
AT = np.linspace(0.0, 10.0, 400)
PEAKS = sum(high * np.exp(-(((AT - at) / wide) ** 2)) for high, at, wide in ((2, 2, 0.5), (3, 4, 0.8), (1, 7, 0.4)))
LONG = {"x": AT, "y": PEAKS + 1.0 + 0.1 * np.random.default_rng(8).standard_normal(400)}


def peaks_loss(at: dict[str, float]) -> float:
    """The loss of three peaks, in NumPy."""
    curve = at["m"] + sum(
        at[high] * np.exp(-(((AT - at[place]) / at[wide]) ** 2)) for high, place, wide in ("abc", "def", "ghk")
    )
    return float(np.mean((LONG["y"] - curve) ** 2))


def after(calls: int) -> Any:
    """A progress function that is Ctrl-C at its n-th call."""
    seen: list[tuple[int, float]] = []

    def heard(step: int, loss: float) -> None:
        seen.append((step, loss))
        if len(seen) == calls:
            raise KeyboardInterrupt

    heard.seen = seen  # type: ignore[attr-defined]
    return heard


@pytest.mark.parametrize("calls", [2, 5])
def test_ctrl_c_during_a_search_gives_the_best_so_far_and_says_so(calls: int) -> None:
    heard = after(calls)
    fit, code = ended(HARD, LONG, progress=heard, starts=500)
    assert (code, fit.state, fit.verdict) == ("E-INTERRUPTED", "interrupted", "failed")
    assert len(heard.seen) == calls  # nothing goes on after it
    assert fit.solution.search is not None
    assert (fit.solution.search.ending, fit.solution.search.starts < 500) == ("interrupted", True)
    losses = [loss for _, loss in heard.seen if math.isfinite(loss)]
    assert fit.loss <= min(losses) * (1 + 1e-9)
    residuals = LONG["y"] - fit.predict(LONG)
    assert fit.rss == pytest.approx(float(residuals @ residuals), rel=1e-9)


def test_what_is_said_of_an_interrupted_search_is_that_it_is_the_best_so_far() -> None:
    with pytest.raises(km.NotConverged, match=r"after \d+ starts: this is the best so far") as caught:
        km.fit(HARD, LONG, progress=after(2), starts=500)
    fit = cast(km.Fit, caught.value.fit)
    assert fit.solution.steps == 0
    assert (len(fit.trace), fit.trace.loss[-1]) == (1, pytest.approx(fit.loss))
    assert dict(zip(fit.trace.names, fit.trace.params[-1].tolist(), strict=True)) == fit.params
    for name, slope in zip(fit.trace.names, fit.trace.gradient[-1].tolist(), strict=True):
        step = 1e-5 * (1.0 + abs(fit.params[name]))
        up, down = (peaks_loss({**fit.params, name: fit.params[name] + one}) for one in (step, -step))
        assert slope == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-7)
    str(fit)


def test_progress_is_called_during_a_search_with_starts_and_the_best_loss() -> None:
    heard = after(0)
    fit = quiet(HARD, LONG, progress=heard, starts=100)
    assert len(heard.seen) > 3
    assert max(step for step, _ in heard.seen) >= 100
    assert heard.seen[-1][1] == pytest.approx(fit.loss, rel=1e-6)


@pytest.mark.parametrize("seconds", [0.02, 0.2])
def test_a_search_cut_by_time_returns_what_it_found_and_says_so(seconds: float) -> None:
    quiet(HARD, LONG, starts=2)  # compiled
    began = time.perf_counter()
    fit, code = ended(HARD, LONG, max_seconds=seconds, starts=100_000)
    assert time.perf_counter() - began < seconds + 5.0  # not a matter of speed: all these starts would take minutes
    assert fit.solution.search is not None
    assert (fit.solution.search.ending, fit.solution.search.starts < 100_000) == ("time", True)
    if code is None:
        assert {one.values.get("variant") for one in fit.findings if one.code == "NOT_SEARCHED"} == {"cut"}
        assert fit.verdict == "look"
    else:  # the time was over before the last descent was
        assert (code, fit.verdict) == ("E-TIME", "failed")
    residuals = LONG["y"] - fit.predict(LONG)
    assert fit.rss == pytest.approx(float(residuals @ residuals), rel=1e-9)
