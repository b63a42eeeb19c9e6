"""L-BFGS takes PyTorch's steps, both line searches, ends where PyTorch ends, and says truly how it ended.

The stranger is ``torch.optim.LBFGS`` itself, in float64, from the same start. The first steps are compared to 1e-12 of
each parameter, the end to 1e-8: in between a rounding grows as the curvature pairs of a hundred iterations let it.
"""

from __future__ import annotations

import dataclasses
import itertools
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import katamuki as km
from katamuki import certified, formula
from katamuki.backends.kernel import Kernel
from katamuki.errors import BoundsError, FitWarning, KatamukiError, NotConverged
from katamuki.problem import SMALL, Problem
from katamuki.records import Array
from katamuki.solvers import lbfgs
from katamuki.solvers.lbfgs import LBFGS, minimise
from test_first_order_run import START, X, Y, line

Model = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
rng = np.random.default_rng(0)
DECAY_X, PEAK_X = np.linspace(0.0, 4.0, 40), np.linspace(-3.0, 5.0, 60)
DECAY_Y = 2.5 * np.exp(-1.3 * DECAY_X) + 0.5 + 0.02 * rng.standard_normal(40)
PEAK_Y = 3.0 * np.exp(-((PEAK_X - 1.0) ** 2) / (2 * 0.7**2)) + 0.3 + 0.05 * rng.standard_normal(60)
MISRA = certified.problem("Misra1a").columns
# Formula, columns, start, and the same in PyTorch. Misra1a is what PyTorch's absolute tolerances cannot do.
CASES: dict[str, tuple[str, Array, Array, list[float], Model]] = {
    "line": ("y ~ a*x + b", X, Y, [0.5, 0.5], lambda x, p: p[0] * x + p[1]),
    "decay": (
        "y ~ a*exp(-b*x) + c",
        DECAY_X,
        DECAY_Y,
        [1.0, 1.0, 0.1],
        lambda x, p: p[0] * torch.exp(-p[1] * x) + p[2],
    ),
    "peak": (
        "y ~ a*exp(-(x - b)**2/(2*c**2)) + d",
        PEAK_X,
        PEAK_Y,
        [2.0, 0.6, 1.0, 0.1],
        lambda x, p: p[0] * torch.exp(-((x - p[1]) ** 2) / (2 * p[2] ** 2)) + p[3],
    ),
    "misra": (
        "y ~ a*(1 - exp(-b*x))",
        MISRA["x"],
        MISRA["y"],
        [250.0, 5e-4],
        lambda x, p: p[0] * (1 - torch.exp(-p[1] * x)),
    ),
}
CHOICES = [
    {"line_search_fn": search, "max_iter": most, "history_size": kept}
    for search, most, kept in itertools.product((None, "strong_wolfe"), (1, 20), (1, 3, 100))
]


def problem_of(name: str) -> tuple[Problem, Array]:
    text, x, y, start, _ = CASES[name]
    kernel = Kernel(formula.parse(text, ("x", "y")).rhs)
    values = dict(zip(kernel.parameters, start, strict=True))
    return Problem(
        kernel, [np.ascontiguousarray(x)], np.ascontiguousarray(y), None, values, kernel.parameters
    ), np.array(start)


def pytorch(
    x: Array, y: Array, start: Array, model: Model, solver: LBFGS, steps: int, weights: Array | None = None
) -> tuple[Array, list[int]]:
    """Parameters before each call of ``step`` and after the last, (steps + 1, p), and how often each called."""
    options = {one.name: getattr(solver, one.name) for one in dataclasses.fields(solver) if one.name != "steps"}
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    xs, ys, w = torch.tensor(x), torch.tensor(y), torch.tensor(np.ones(len(y)) if weights is None else weights)
    params = torch.tensor(start, requires_grad=True)
    optim = torch.optim.LBFGS([params], **options)
    found, calls = [start.copy()], []

    def closure() -> torch.Tensor:
        calls[-1] += 1
        optim.zero_grad()
        loss = (w * (model(xs, params) - ys) ** 2).mean()
        loss.backward()
        return loss

    for _ in range(steps):
        calls.append(0)
        optim.step(closure)
        found.append(params.detach().numpy().copy())
    torch.set_default_dtype(default)
    return np.array(found), calls


def compared(name: str, solver: LBFGS) -> tuple[lbfgs.Run, Array, list[int]]:
    """Our run, and PyTorch's five calls beyond its end."""
    problem, start = problem_of(name)
    run = minimise(solver, problem, start)
    theirs, calls = pytorch(*CASES[name][1:3], start, CASES[name][4], solver, min(run.steps + 5, 100))
    return run, theirs, calls


@pytest.mark.parametrize("options", CHOICES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_every_step_and_the_end_are_pytorchs(name: str, options: dict[str, Any]) -> None:
    run, theirs, calls = compared(name, LBFGS(**options))
    apart = np.abs(run.trace.params - theirs[: run.steps + 1]) / np.abs(theirs[: run.steps + 1])
    if name == "line" or options["max_iter"] == 1:
        assert apart[:6].max() <= 1e-12
    assert np.abs(run.values - theirs[-1]).max() <= 1e-8 * np.abs(theirs[-1]).max()
    assert run.ending == "still"
    assert (theirs[run.steps :] == theirs[run.steps]).all()  # and PyTorch does not move any more
    assert run.trace.extra["evaluations"][:-1].tolist() == calls[: run.steps]


def test_a_solver_that_is_a_little_wrong_is_noticed() -> None:
    problem, start = problem_of("decay")
    theirs, _ = pytorch(*CASES["decay"][1:3], start, CASES["decay"][4], LBFGS(max_iter=1), 8)
    for wrong in (LBFGS(max_iter=1, lr=1 + 1e-9), LBFGS(max_iter=1, history_size=2), LBFGS(max_iter=3)):
        run = minimise(wrong, problem, start)
        rows = min(6, len(run.trace))
        assert np.abs(run.trace.params[:rows] - theirs[:rows]).max() > 1e-12


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_options_from_any_start_take_pytorchs_first_steps(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["line", "decay", "peak"]))
    solver = LBFGS(
        lr=data.draw(st.sampled_from([0.1, 0.7, 1.0])),
        max_iter=data.draw(st.integers(1, 6)),
        max_eval=data.draw(st.one_of(st.none(), st.integers(1, 12))),
        tolerance_grad=data.draw(st.sampled_from([0.0, 1e-7, 1e-3])),
        tolerance_change=data.draw(st.sampled_from([0.0, 1e-9, 1e-4])),
        history_size=data.draw(st.integers(1, 5)),
        line_search_fn=data.draw(st.sampled_from([None, "strong_wolfe"])),
        steps=3,
    )
    shift = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))).uniform(0.8, 1.3, len(CASES[name][3]))
    start = np.array(CASES[name][3]) * shift
    problem, _ = problem_of(name)
    run = minimise(solver, problem, start)
    theirs, calls = pytorch(*CASES[name][1:3], start, CASES[name][4], solver, run.steps)
    if np.isfinite(theirs).all() and np.abs(theirs).max() < 1e6:  # a run that is lost is lost in both
        assert np.abs(run.trace.params - theirs).max() <= 1e-9 * np.abs(theirs).max()
        assert run.trace.extra["evaluations"][:-1].tolist() == calls


def test_on_the_tutorial_it_is_as_fast_as_ux_says() -> None:
    run = minimise(LBFGS(max_iter=1), line(), START)
    design = np.array([X, np.ones(11)])
    answer = np.linalg.solve(design @ design.T, design @ Y)
    errors = np.abs(run.trace.params - answer).max(axis=1)
    stays = [int(np.flatnonzero(errors > below)[-1]) + 1 for below in (1e-1, 1e-2, 1e-3, 1e-6)]
    assert stays == [4, 4, 4, 5]
    assert 1e-9 < errors[-1] < 2e-8  # and there it stalls


@pytest.mark.parametrize("options", [{}, {"line_search_fn": "strong_wolfe"}, {"max_iter": 1}], ids=str)
def test_a_row_is_the_state_before_its_step(options: dict[str, Any]) -> None:
    problem, start = problem_of("decay")
    run = minimise(LBFGS(**options), problem, start)
    trace = run.trace
    assert trace.index.tolist() == list(range(run.steps + 1))
    assert (trace.params[0] == start).all()
    assert (np.diff(trace.params, axis=0) == trace.step[:-1]).all()
    assert np.isnan(trace.step[-1]).all()
    assert (trace.params[-1] == run.values).all()
    for params, loss, gradient in zip(trace.params, trace.loss, trace.gradient, strict=True):
        assert loss == pytest.approx(problem.loss(params), rel=1e-13)
        assert gradient == pytest.approx(problem.gradient(params), rel=1e-9, abs=1e-13)
    assert run.evaluations == trace.extra["evaluations"][:-1].sum() + 1
    assert (trace.extra["inner"][:-1] <= options.get("max_iter", 20)).all()
    assert 0.0 < trace.extra["length"][0] < 10.0


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("weighted", [False, True])
def test_large_data_and_any_number_of_threads(search: str | None, weighted: bool) -> None:
    rng = np.random.default_rng(5)
    n = SMALL + 5000
    x, y = rng.uniform(0, 1, n), rng.standard_normal(n)
    w = rng.uniform(0.5, 2.0, n) if weighted else None
    solver = LBFGS(line_search_fn=search)
    one, two = (minimise(solver, line(x, y, w, threads=k), START) for k in (1, 2))
    assert one.trace.params.tobytes() == two.trace.params.tobytes()
    assert one.trace.loss.tobytes() == two.trace.loss.tobytes()
    theirs, _ = pytorch(x, y, START, CASES["line"][4], solver, one.steps, w)
    assert one.values == pytest.approx(theirs[-1], rel=1e-8)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_slices_do_not_change_a_bit(search: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, start = problem_of("peak")
    whole = minimise(LBFGS(line_search_fn=search), problem, start)
    monkeypatch.setattr(lbfgs, "SLICE", 1e-9)
    told: list[tuple[int, float]] = []
    sliced = minimise(LBFGS(line_search_fn=search), problem, start, progress=lambda *one: told.append(one))
    assert sliced.trace.params.tobytes() == whole.trace.params.tobytes()
    assert sliced.evaluations == whole.evaluations == len(told)


def test_a_fixed_parameter_stays_where_it_is() -> None:
    run = minimise(LBFGS(), line(free=("b",)), START)
    assert run.values[0] == 0.5
    assert run.values[1] == pytest.approx((Y - 0.5 * X).mean(), rel=1e-9)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_ctrl_c_keeps_what_was_reached_within_a_step(search: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lbfgs, "SLICE", 1e-9)
    problem, start = problem_of("peak")
    seen = 0

    def pressed(step: int, loss: float) -> None:
        nonlocal seen
        seen += 1
        if seen == 9:
            raise KeyboardInterrupt

    run = minimise(LBFGS(line_search_fn=search), problem, start, progress=pressed)
    assert (run.ending, run.steps, len(run.trace)) == ("interrupted", 1, 2)
    assert run.trace.loss[1] < run.trace.loss[0]
    assert run.trace.loss[1] == pytest.approx(problem.loss(run.values), rel=1e-13)
    assert (run.trace.params[1] == run.values).all()
    assert run.evaluations == 10


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_a_signal_and_a_time_limit_are_heard_between_slices() -> None:
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, SMALL)
    problem = line(x, rng.standard_normal(SMALL))
    endless = LBFGS(lr=1e-6, max_iter=10**9, tolerance_grad=0.0, tolerance_change=0.0)
    limited = minimise(endless, problem, START, max_seconds=0.1)
    assert (limited.ending, limited.steps) == ("time_over", 1)
    assert limited.trace.extra["inner"][0] > 3
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        run = minimise(endless, problem, START)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert run.ending == "interrupted"


def test_one_that_flies_away_and_one_that_cannot_begin() -> None:
    problem, start = problem_of("line")
    run = minimise(LBFGS(lr=1e9, max_iter=1, steps=50), problem, start)
    assert run.ending == "diverged"
    assert run.trace.loss[-1] > 1e12 * run.trace.loss[0]
    growth = Problem(
        Kernel(formula.parse("y ~ a*exp(b*x)", ("x", "y")).rhs), [X], Y, None, {"a": 1.0, "b": 1.0}, ("a", "b")
    )
    bad = minimise(LBFGS(), growth, np.array([1.0, 1000.0]))
    assert (bad.ending, bad.steps, len(bad.trace)) == ("no_start", 0, 1)


def tutorial(solver: Any, **rest: Any) -> Any:
    start = {"a": 0.5, "b": 0.5}
    return km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=solver, start=start, **rest)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("name", ["line", "decay", "peak"])
def test_a_fit_that_came_to_the_minimum_is_converged_and_the_check_agrees(name: str, search: str | None) -> None:
    text, x, y, start, _ = CASES[name]
    names = dict(zip("abcd", start, strict=False))
    fine = {} if name == "line" else {"tolerance_grad": 1e-12, "tolerance_change": 1e-16}
    fit = km.fit(text, {"x": x, "y": y}, start=names, solver=LBFGS(line_search_fn=search, **fine))
    assert (fit.state, fit.verdict) == ("converged", "good")
    assert fit.check().verdict == "PASS"
    best = km.fit(text, {"x": x, "y": y}, start=names)
    for one, value in best.params.items():
        assert fit.params[one] == pytest.approx(value, rel=1e-6)
        assert fit.stderr[one] == pytest.approx(best.stderr[one], rel=1e-4)
    assert "L-BFGS" in str(fit)
    assert "std.error" in str(fit)


def test_by_its_name_and_through_a_file(tmp_path: Path) -> None:
    fit = tutorial("lbfgs")
    assert fit.solution.solver == "lbfgs"
    assert fit.solution.options["max_iter"] == 20
    fit.save(tmp_path / "fit.json")
    loaded = km.load(tmp_path / "fit.json")
    assert loaded.solution == dataclasses.replace(
        fit.solution, covariance=loaded.solution.covariance, reference=loaded.solution.reference
    )
    assert loaded.trace.extra["inner"].tobytes() == fit.trace.extra["inner"].tobytes()
    assert str(loaded) == str(fit)
    assert loaded.check().verdict == "PASS"


def test_steps_that_are_over_too_soon_are_said() -> None:
    with pytest.warns(FitWarning, match="2 steps are over"):
        fit = tutorial(LBFGS(max_iter=1, steps=2))
    assert (fit.state, fit.verdict) == ("slow", "look")
    assert fit.check().verdict == "PASS"
    assert [one.code for one in fit.findings] == ["SLOW"]


def test_tolerances_that_end_it_too_soon_are_said() -> None:
    data, start = {"x": DECAY_X, "y": DECAY_Y}, {"a": 1.0, "b": 1.0, "c": 0.1}
    with pytest.warns(FitWarning, match="tolerances of L-BFGS"):  # they are absolute, and the loss is 2e-4
        fit = km.fit("y ~ a*exp(-b*x) + c", data, start=start, solver="lbfgs")
    assert fit.state == "slow"
    assert fit.solution.steps < 100
    assert fit.solution.reason["still"] is True
    best = fit.solution.reference.params
    assert 1e-6 < max(abs(fit.params[name] / best[name] - 1.0) for name in best) < 1e-4
    assert "tolerance_change" in str(fit)
    assert "std.errors" in str(fit)
    assert fit.check().verdict == "PASS"


def test_a_start_is_never_returned_as_a_result() -> None:
    with pytest.raises(NotConverged, match="never left its start") as caught:
        tutorial(LBFGS(max_iter=1, line_search_fn="strong_wolfe"))  # one evaluation is no line search
    assert caught.value.code == "E-CONVERGENCE"
    assert caught.value.fit.params == {"a": 0.5, "b": 0.5}
    best = km.fit("y ~ a*x + b", km.datasets("tutorial")).params
    there = km.fit(
        "y ~ a*x + b", km.datasets("tutorial"), start=best, solver="lbfgs"
    )  # but a start that is the answer is
    assert there.state == "converged"


def test_one_that_is_lost_raises_and_names_the_remedy() -> None:
    with pytest.raises(NotConverged, match="strong_wolfe") as caught:
        tutorial(LBFGS(lr=1e9, max_iter=1, steps=50))
    assert caught.value.code == "E-DIVERGED"
    assert len(caught.value.fit.trace) > 1
    with pytest.raises(NotConverged) as caught:
        km.fit("y ~ a*exp(b*x)", {"x": X, "y": Y}, start={"a": 1.0, "b": 1000.0}, solver="lbfgs")
    assert caught.value.code in ("E-DOMAIN", "E-OVERFLOW")


def test_bounds_and_zero_grad_are_refused() -> None:
    with pytest.raises(BoundsError, match="LBFGS knows no bounds"):
        tutorial("lbfgs", bounds={"a": (0, 1)})
    with pytest.raises(BoundsError, match="LBFGS is none"):
        tutorial("lbfgs").without_zero_grad()


def test_undetermined_parameters_are_not_called_converged() -> None:
    with pytest.warns(FitWarning):
        fit = km.fit("y ~ (a + c)*x + b", km.datasets("tutorial"), solver="lbfgs")
    assert fit.state == "slow"
    assert "UNDETERMINED" in [one.code for one in fit.findings]
    assert fit.stderr["a"] is None
    assert fit.check().verdict == "PASS"


def test_defaults_are_pytorchs() -> None:
    theirs = torch.optim.LBFGS([torch.zeros(1, requires_grad=True)]).defaults
    ours = LBFGS()
    assert theirs.pop("max_eval") == ours.packed()[2] == 25
    for name, value in theirs.items():
        assert getattr(ours, name) == value, name


BAD: dict[str, list[Any]] = {
    "lr": [0.0, float("nan"), "1"],
    "max_iter": [0, 2.0, True],
    "max_eval": [0, 1.5],
    "tolerance_grad": [-1.0],
    "tolerance_change": [float("inf")],
    "history_size": [0, 10**6],
    "line_search_fn": ["wolfe", True],
    "steps": [0, 10**6],
}


@pytest.mark.parametrize(("option", "value"), [(name, one) for name, all_ in BAD.items() for one in all_])
def test_an_option_outside_its_range_is_named(option: str, value: Any) -> None:
    with pytest.raises(KatamukiError, match=f"{option} must be") as caught:
        LBFGS(**{option: value})
    assert caught.value.code == "E-USAGE"


def test_a_misspelt_option_is_an_error_before_any_work() -> None:
    with pytest.raises(TypeError):
        LBFGS(learning_rate=0.1)  # type: ignore[call-arg]
