"""``km.fit`` ends as promised: each outcome's state, verdict, exception or warning, and what is left in ``.fit``.

The rows of the table of outcomes in the design, one by one; threads, forks and function models that are not what they
were in the last call. Strangers: SciPy, NumPy, and a child process.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares

import katamuki as km

LINE = "y ~ a*x + b"
DECAY = "y ~ a*exp(-b*x) + c"
TWO = "y ~ a*exp(-b*x) + c*exp(-d*x)"


def decay(n: int = 40, seed: int = 1, noise: float = 0.02) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.linspace(0.1, 4.0, n)
    return {"x": x, "y": 2.0 * np.exp(-0.7 * x) + 0.5 + noise * rng.standard_normal(n), "z": np.zeros(n)}


def raised(*model: Any, **options: Any) -> km.NotConverged:
    """The error of a fit that must fail."""
    with pytest.raises(km.NotConverged) as caught:
        km.fit(*model, **options)
    return caught.value


def codes(fit: km.Fit) -> set[str]:
    return {one.code for one in fit.findings}


# --- the table of outcomes, row by row ------------------------------------------------------------------------------


def test_a_closed_form_returns_exact_and_good() -> None:
    fit = km.fit(LINE, km.datasets("tutorial"))
    assert (fit.state, fit.verdict, fit.solver) == ("exact", "good", "linear")
    assert fit.solution.start is None


def test_a_closed_form_whose_residuals_show_a_curve_needs_a_look() -> None:
    fit = km.fit(LINE, decay())
    assert (fit.state, fit.verdict) == ("exact", "look")
    assert "RUNS" in codes(fit)


def test_a_converged_solver_returns_good_and_the_same_with_a_wrong_formula_needs_a_look() -> None:
    assert [(fit.state, fit.verdict) for fit in (km.fit(DECAY, decay()), km.fit("y ~ a*exp(-b*x)", decay()))] == [
        ("converged", "good"),
        ("converged", "look"),
    ]


def test_a_cycle_is_returned_with_a_warning() -> None:
    with pytest.warns(km.FitWarning, match="cycle of two points") as heard:
        fit = km.fit(LINE, km.datasets("tutorial"), solver=km.RMSprop(lr=0.001, steps=6000), start={"a": 0.5, "b": 0.5})
    assert (fit.state, fit.verdict) == ("cycle", "look")
    assert heard[0].filename == __file__, "the warning points at the caller"


def test_too_few_steps_of_a_first_order_solver_are_returned_with_a_warning() -> None:
    with pytest.warns(km.FitWarning, match="the 60 steps are over"):
        fit = km.fit(LINE, km.datasets("tutorial"), solver=km.SGD(lr=0.001, steps=60))
    assert (fit.state, fit.verdict) == ("slow", "look")
    assert "SLOW" in codes(fit)


def test_too_little_time_for_a_first_order_solver_is_not_said_to_be_its_steps() -> None:
    # This used to say that all steps were over.
    with pytest.warns(km.FitWarning, match="the time is over after"):
        fit = km.fit("y ~ a*exp(-b*x)", decay(), solver=km.SGD(lr=1e-9, steps=10**9), max_seconds=0.05)
    assert (fit.state, fit.verdict) == ("slow", "look")
    assert 0 < fit.solution.steps < 10**9
    assert not any("asked for" in one.text for one in fit.findings)


@pytest.mark.parametrize(
    ("model", "undetermined", "said"),
    [
        ("y ~ (a+c)*x + b", {"a", "c"}, r"a \+ c"),
        ("y ~ a*b*exp(-c*x)", {"a", "b"}, r"a\*b"),
        ("y ~ a*x + b + c*z", {"c"}, "do not determine c"),
        ("y ~ a*exp(-b*x) + c*z", {"c"}, "do not determine c"),
        ("y ~ a + b*cos(z)", {"a", "b"}, r"a \+ b"),
    ],
)
@pytest.mark.parametrize("solver", ["auto", "lm"])
def test_what_the_data_do_not_determine_has_no_error_bar(
    model: str, undetermined: set[str], said: str, solver: str
) -> None:
    with pytest.warns(km.FitWarning, match=said):
        fit = km.fit(model, decay(), solver=solver)
    assert (fit.state, fit.verdict) == ("not_identifiable", "look")
    assert "UNDETERMINED" in codes(fit)
    assert {name for name, error in fit.stderr.items() if error is None} == undetermined
    places = [fit.free.index(name) for name in undetermined]
    assert np.isnan(fit.covariance[places]).all()
    assert np.isnan(fit.covariance[:, places]).all()
    others = [k for k in range(len(fit.free)) if k not in places]
    assert np.isfinite(fit.covariance[np.ix_(others, others)]).all()


def test_fixing_what_was_undetermined_gives_the_other_its_error_bar() -> None:
    fit = km.fit("y ~ (a+c)*x + b", km.datasets("tutorial"), fixed={"c": 0.0})
    line = km.fit(LINE, km.datasets("tutorial"))
    assert (fit.state, fit.verdict) == ("exact", "good")
    assert (fit.params["a"], fit.stderr["a"], fit.stderr["c"]) == (line.params["a"], line.stderr["a"], None)


def test_divergence_raises_and_keeps_parameters_and_trace() -> None:
    error = raised(LINE, km.datasets("tutorial"), solver=km.SGD(lr=0.011, steps=6000))
    fit = error.fit
    assert error.code == "E-DIVERGED"
    assert (fit.state, fit.verdict) == ("diverged", "failed")
    assert all(np.isfinite(value) for value in fit.params.values())
    assert len(fit.trace) == fit.solution.steps + 1 > 600


@pytest.mark.parametrize("solver", ["auto", "lm", "adam", "sgd", "rmsprop"])
def test_no_value_at_the_start_raises_with_part_row_and_start(solver: str) -> None:
    error = raised("y ~ a*log(b*x)", decay(), start={"b": -1.0}, solver=solver)
    assert error.code == "E-DOMAIN"
    assert all(part in str(error) for part in ("log(b*x)", "all 40 rows", "row 1", "b=-1", "b*x > 0", "try: start={"))
    assert (error.fit.state, error.fit.verdict, error.fit.params) == ("diverged", "failed", {"a": 1.0, "b": -1.0})
    assert set(error.fit.stderr.values()) == {None}


def test_the_step_limit_of_a_converging_solver_raises_with_the_best_so_far() -> None:
    error = raised(DECAY, decay(), solver=km.LevenbergMarquardt(max_steps=4), starts=1)
    assert (error.code, error.fit.state, error.fit.verdict) == ("E-CONVERGENCE", "slow", "failed")
    losses = error.fit.trace.loss
    assert len(losses) == 5
    assert error.fit.loss == pytest.approx(np.min(losses), rel=1e-12)


def test_the_time_limit_of_a_converging_solver_raises_with_the_best_so_far() -> None:
    data = decay(200_000)
    error = raised(TWO, data, start={"b": 3.0, "d": 0.1}, max_seconds=1e-6)
    assert (error.code, error.fit.state, error.fit.verdict) == ("E-TIME", "slow", "failed")
    assert error.fit.params["b"] == pytest.approx(3.0, rel=2.0)
    assert "max_seconds" in error.remedy


def test_a_time_limit_that_is_kept_changes_no_bit() -> None:
    free, limited = km.fit(DECAY, decay()), km.fit(DECAY, decay(), max_seconds=60.0)
    assert free.params == limited.params


def test_fewer_rows_than_free_parameters_are_an_error_and_fixing_one_mends_it() -> None:
    few = {"x": [1.0, 2.0], "y": [2.0, 1.0]}
    with pytest.raises(
        km.DataError, match=r"3 parameters \(a, b and c\) need at least 3 rows, the data have 2"
    ) as caught:
        km.fit(DECAY, few)
    assert caught.value.code == "E-TOOFEW"
    assert "c" in caught.value.remedy
    assert km.fit(DECAY, few, fixed={"c": 0.0}).params["a"] == pytest.approx(4.0, rel=1e-9)


@pytest.mark.parametrize(("model", "state"), [(LINE, "exact"), ("y ~ a*exp(-b*x)", "converged")])
def test_as_many_rows_as_parameters_fit_without_error_bars(model: str, state: str) -> None:
    data = {"x": [1.0, 2.0], "y": [2.0, 1.0]}
    fit = km.fit(model, data)
    assert (fit.state, fit.dof, fit.verdict) == (state, 0, "look")
    assert fit.stderr == {"a": None, "b": None}
    assert "NO_FREEDOM" in codes(fit)
    assert np.isnan(fit.covariance).all()
    np.testing.assert_allclose(fit.residuals, 0.0, atol=1e-12)


def test_without_freedom_a_known_sigma_still_gives_error_bars() -> None:
    fit = km.fit(LINE, {"x": [0.0, 1.0], "y": [2.0, 1.0]}, sigma=[0.3, 0.4], sigma_is="known")
    assert fit.stderr == pytest.approx({"a": 0.5, "b": 0.3}, rel=1e-14)


# --- threads, forks, and bits ---------------------------------------------------------------------------------------


def answer(fit: km.Fit) -> bytes:
    return np.array([*fit.params.values(), *map(float, fit.stderr.values()), fit.rss]).tobytes()


@pytest.mark.parametrize("model", [LINE, DECAY])
def test_threads_change_no_bit(model: str) -> None:
    data = decay(200_000)
    assert len({answer(km.fit(model, data, threads=count)) for count in (1, 2, 3)}) == 1
    assert answer(km.fit(model, data, threads=2)) != answer(km.fit(model, decay(200_000, seed=2), threads=2))


def test_four_python_threads_may_fit_at_once() -> None:
    models = [DECAY, LINE, "y ~ a/(1 + b*x) + c", "y ~ a + b*sqrt(x + 1)"]
    work = [(model, decay(30_000 if k % 2 else 40, seed=k)) for k in range(8) for model in models]
    start = [answer(km.fit(*task)) for task in work]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda task: answer(km.fit(*task)), work))
    assert together == start


def _child(queue: Any, data: dict[str, np.ndarray]) -> None:
    queue.put(answer(km.fit(DECAY, data, threads=2)))


def test_a_fork_after_a_threaded_fit_fits() -> None:
    data = decay(200_000)
    here = answer(km.fit(DECAY, data, threads=2))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other packages' threads, in Python 3.12 and later
        child = context.Process(target=_child, args=(queue, data))
        child.start()
    there = queue.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0
    assert there == here


# --- function models ------------------------------------------------------------------------------------------------


POWER = 2


def test_a_function_means_what_it_means_when_it_is_called() -> None:
    # The second call used to take the plan of the first.
    x = np.array([1.0, 2.0, 3.0])
    data, power = {"x": x, "y": 3.0 * x**2}, 2
    inner = lambda x, a: a * x**power  # noqa: E731
    assert km.fit(inner, data).rss < 1e-20
    power = 1
    assert km.fit(inner, data).params["a"] == pytest.approx((x @ data["y"]) / (x @ x), rel=1e-14)


def test_a_function_that_reads_a_global_number_or_calls_another_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.array([1.0, 2.0, 3.0])
    data = {"x": x, "y": 3.0 * x**2}
    outer: list[Callable[..., Any]] = [lambda x, a: a * x**POWER, lambda x, a: _inner(x, a)]
    assert [km.fit(model, data).rss < 1e-20 for model in outer] == [True, True]
    monkeypatch.setitem(globals(), "POWER", 1)
    assert [km.fit(model, data).rss < 1e-20 for model in outer] == [False, False]


def _inner(x: Any, a: Any) -> Any:
    return a * x**POWER


def test_a_function_that_cannot_be_hashed_is_a_model() -> None:
    class Line:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, x: Any, a: Any, b: Any) -> Any:
            return a * x + b

    assert answer(km.fit(Line(), km.datasets("tutorial"))) == answer(km.fit(LINE, km.datasets("tutorial")))


@pytest.mark.parametrize("start", [(100.0, 5.0), (1.0, 3.0), (-5.0, -3.0), (1.0, 10.0), (1.0, -5.0)])
def test_a_start_that_leads_nowhere_is_no_good_fit(start: tuple[float, float]) -> None:
    # SciPy returns the first of these starts, hardly changed, without an error.
    data = km.datasets("tutorial")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        try:
            fit = km.fit("y ~ a*exp(b*x)", data, start={"a": start[0], "b": start[1]})
        except km.NotConverged as error:
            fit = error.fit
    best = least_squares(
        lambda p: data["y"] - p[0] * np.exp(p[1] * data["x"]), [4.0, 0.06], ftol=1e-15, xtol=1e-15, gtol=1e-15
    )
    if fit.state == "converged":
        assert list(fit.params.values()) == pytest.approx(best.x, rel=1e-6)
    else:
        assert fit.verdict != "good"
    # The result used to be worse than points on the way.
    assert fit.loss == pytest.approx(min(fit.trace.loss), rel=1e-9)


def test_a_warning_names_everything_that_is_undetermined() -> None:
    with pytest.warns(km.FitWarning) as heard:
        km.fit("y ~ (a+c)*x + b*d + e*z", decay())
    text = str(heard[0].message)
    assert all(part in text for part in ("a + c", "b*d", "determine e")), text
