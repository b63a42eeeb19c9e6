"""First-order runs on mini-batches: PyTorch's own loop, row for row, and replays of it bit for bit."""

from __future__ import annotations

import dataclasses
import inspect
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import katamuki as km
from katamuki import formula
from katamuki.backends.kernel import Kernel
from katamuki.problem import Problem, batches
from katamuki.records import Array
from katamuki.solvers import first_order_batches, first_order_run
from katamuki.solvers.first_order import FIRST_ORDER, SGD, Adam, FirstOrder, RMSprop, Rprop
from katamuki.solvers.first_order_noise import of_batches
from katamuki.solvers.first_order_run import minimise, window
from test_first_order_replay import same
from torch_optim import options_of

RNG = np.random.default_rng(12)
X = RNG.uniform(0.0, 4.0, 90)
Y = 2.0 * np.exp(-0.7 * X) + 0.1 * RNG.standard_normal(90)
W = RNG.uniform(0.5, 2.0, 90)
START = np.array([1.0, 0.5])


def decay(weights: Array | None = None, n: int = 90) -> Problem:
    model = formula.parse("y ~ a*exp(-b*x)", ("x", "y"))
    w = None if weights is None else weights[:n]
    return Problem(Kernel(model.rhs), [X[:n]], Y[:n], w, {"a": 1.0, "b": 0.5}, ("a", "b"))


def loader(n: int, size: int, seed: int) -> Any:
    """Rows as PyTorch's loader deals them, for ever."""
    generator = torch.Generator().manual_seed(seed)
    data = torch.utils.data.TensorDataset(torch.arange(n))
    dealt = torch.utils.data.DataLoader(data, batch_size=size, shuffle=True, generator=generator)
    while True:
        yield from (rows for (rows,) in dealt)


def pytorch(solver: FirstOrder, seed: int, weights: Array | None, n: int = 90) -> tuple[Array, Array]:
    """Parameters before each step and after the last (steps + 1, 2), and the losses of the batches, by PyTorch."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    x, y = torch.tensor(X[:n]), torch.tensor(Y[:n])
    a, b = (torch.tensor(value, requires_grad=True) for value in START.tolist())
    optim = getattr(torch.optim, type(solver).__name__)([a, b], foreach=False, **options_of(solver))
    found, losses = np.empty((solver.steps + 1, 2)), np.empty(solver.steps)
    assert solver.batch_size is not None
    for k, rows in zip(range(solver.steps), loader(n, solver.batch_size, seed), strict=False):
        found[k] = a.item(), b.item()
        squares = (a * torch.exp(-b * x[rows]) - y[rows]) ** 2
        loss = squares.mean() if weights is None else (torch.tensor(weights[:n])[rows] * squares).mean()
        optim.zero_grad()
        loss.backward()
        optim.step()
        losses[k] = loss.item()
    found[-1] = a.item(), b.item()
    torch.set_default_dtype(default)
    return found, losses


def ran(solver: FirstOrder, problem: Problem, seed: int, **more: Any) -> first_order_run.Run:
    assert solver.batch_size is not None
    return minimise(solver, problem, problem.values, batches=problem.batches(solver.batch_size, seed), **more)


@pytest.mark.parametrize("kind", FIRST_ORDER)
def test_each_rule_takes_pytorchs_steps(kind: type[FirstOrder]) -> None:
    solver, weighted = kind(lr=0.01, steps=60, batch_size=16), FIRST_ORDER.index(kind) % 2 == 1
    weights = W if weighted else None
    params, losses = pytorch(solver, 5, weights)
    trace = ran(solver, decay(weights), 5).trace
    assert np.abs(trace.params - params).max() <= 1e-12
    assert np.abs(trace.loss[:-1] - losses).max() <= 1e-12
    wrong = ran(solver, decay(weights), 6).trace
    assert np.abs(wrong.params - params).max() > 1e-6


@pytest.mark.parametrize(("n", "size"), [(90, 90), (90, 1000), (90, 1), (7, 3), (1, 1)])
def test_any_size_of_batch_is_pytorchs(n: int, size: int) -> None:
    solver = RMSprop(lr=0.003, steps=40, batch_size=size)
    params, losses = pytorch(solver, 0, W, n)
    trace = ran(solver, decay(W, n), 0).trace
    assert np.abs(trace.params - params).max() <= 1e-12
    assert np.abs(trace.loss[:-1] - losses).max() <= 1e-12


def test_the_last_row_has_loss_and_gradient_of_all_rows() -> None:
    problem = decay(W)
    trace = ran(Adam(lr=0.02, steps=37, batch_size=8), problem, 1).trace
    values = trace.params[-1]
    e = values[0] * np.exp(-values[1] * X) - Y
    slopes = np.array([np.exp(-values[1] * X), -values[0] * X * np.exp(-values[1] * X)])
    assert abs(trace.loss[-1] - np.mean(W * e * e)) <= 1e-14
    assert np.abs(trace.gradient[-1] - 2.0 / 90 * slopes @ (W * e)).max() <= 1e-13
    assert np.isnan(trace.step[-1]).all()


@pytest.mark.parametrize(
    "solver", [Adam(lr=0.01, steps=3000, batch_size=7), SGD(lr=0.01, momentum=0.5, steps=3000, batch_size=7)]
)
@pytest.mark.parametrize("accumulate", [False, True])
def test_thinned_runs_slices_and_windows_are_the_whole_runs_bit_for_bit(
    solver: FirstOrder, accumulate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if accumulate:
        solver = type(solver)(lr=1e-5, steps=3000, batch_size=7)
    problem, dealt = decay(W), decay().batches(7, 3)
    whole = ran(solver, problem, 3, accumulate=accumulate).trace
    monkeypatch.setattr(first_order_run, "SLICE", 1e-5)
    for name, value in (("FIRST", 100), ("KEPT", 300)):
        monkeypatch.setattr(batches, name, value)
    assert ran(solver, problem, 3, accumulate=accumulate).trace.params.tobytes() == whole.params.tobytes()
    monkeypatch.setattr(first_order_run, "WHOLE", 30_000)
    monkeypatch.setattr(first_order_run, "FURTHER", 1.1)
    thin = ran(solver, problem, 3, accumulate=accumulate).trace
    assert len(thin) < 600
    assert thin.params.tobytes() == whole.params[thin.index].tobytes()
    assert thin.loss.tobytes() == whole.loss[thin.index].tobytes()
    for first, count in ((1, 5), (1500, 13), (2990, 11), (777, 1)):
        part = window(solver, problem, thin, first, count, dealt)
        same(part, whole, slice(first - 1, first + count))
    other = decay().batches(7, 4)
    wrong = window(solver, problem, thin, 1500, 13, other)
    assert wrong.params.tobytes() != whole.params[1499:1513].tobytes()


def test_gathered_rows_are_a_problem_of_their_own() -> None:
    problem = decay(W)
    dealt = problem.batches(16, 2)
    part = first_order_batches.gathered(problem, dealt, 7)
    rows = dealt.rows(7)
    assert part.n == len(rows) == 16
    assert part.y.tolist() == Y[rows].tolist()
    assert abs(part.loss(START) - np.mean(W[rows] * (np.exp(-0.5 * X[rows]) - Y[rows]) ** 2)) <= 1e-15


def test_a_start_without_a_value_is_none_though_its_first_batch_has_one() -> None:
    x = np.linspace(-0.05, 4.0, 82)
    model = formula.parse("y ~ a*log(x + b)", ("x", "y"))
    problem = Problem(Kernel(model.rhs), [x], np.log(x + 0.5), None, {"a": 1.0, "b": 0.0}, ("a", "b"))
    dealt = problem.batches(2, 0)
    assert (x[dealt.rows(0)] > 0.0).all()
    with np.errstate(all="ignore"):
        run = minimise(Adam(lr=0.01, steps=50, batch_size=2), problem, problem.values, batches=dealt)
    assert (run.ending, run.steps) == ("no_start", 0)


def fitted(solver: Any, **more: Any) -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit("y ~ a*exp(-b*x)", {"x": X, "y": Y}, start={"a": 1.0, "b": 0.5}, solver=solver, **more)


def test_a_run_on_batches_is_slow_says_how_it_scattered_and_never_cycles() -> None:
    fit = fitted(km.SGD(lr=0.3, steps=4000, batch_size=45), seed=2)
    facts = fit.solution.reason
    assert fit.state == "slow"
    assert fit.solution.cycle is None
    path = fit.trace.params[-400:]  # after the last tenth of the steps
    best = np.array([fit.solution.reference.params[name] for name in "ab"])
    assert facts["noise"]["steps"] == 400
    assert np.allclose(list(facts["noise"]["middle"].values()), path.mean(axis=0) - best, rtol=1e-12, atol=1e-15)
    assert np.allclose(list(facts["noise"]["scatter"].values()), path.std(axis=0), rtol=1e-12)
    assert abs(facts["floor"] - (fit.loss - fit.solution.reference.loss)) <= 1e-15
    assert not {"stability", "passed", "zigzag"} & facts.keys()
    text = str(fit)
    assert "each step saw 45 of 90 rows, whose gradient is not that of all" in " ".join(text.split())
    uneven = fitted(km.SGD(lr=0.3, steps=4000, batch_size=40), seed=2)
    assert "each step saw 40 of 90 rows, the last of each epoch 10," in " ".join(str(uneven).split())
    assert "各エポックの最後のステップは10行だけ" in re.sub(r"\s", "", uneven.text(lang="ja"))
    assert "larger batch_size" in text
    whole = fitted(km.SGD(lr=0.3, steps=4000), seed=2)
    assert "batch" not in str(whole)
    assert whole.state == "converged"


X11 = np.array([10.0, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5])
Y11 = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])


def line(solver: Any, **more: Any) -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit("y ~ a*x + b", {"x": X11, "y": Y11}, start={"a": 0.5, "b": 0.5}, solver=solver, **more)


@pytest.mark.parametrize(
    "solver",
    [
        km.Adam(lr=0.01, steps=300, batch_size=4),
        km.Adam(lr=0.001, steps=300, batch_size=8),
        km.SGD(lr=0.001, steps=5000, batch_size=4),
        km.Adam(lr=0.01, steps=11, batch_size=1),  # an epoch is the whole run
    ],
)
def test_a_run_on_batches_that_was_too_short_is_told_what_one_on_all_rows_is(solver: Any) -> None:
    for seed in range(3):
        fit = line(solver, seed=seed)
        whole = line(dataclasses.replace(solver, batch_size=None))
        assert fit.state == "slow"
        assert "noise" not in fit.solution.reason
        said, of_all = ([one for one in each.findings if one.code == "SLOW"] for each in (fit, whole))
        assert [one.remedy for one in said] == [one.remedy for one in of_all]
        for text in (str(fit), fit.explain().text()):
            assert "batch_size" not in text.split("verdict")[0].split("remedy")[-1].split("next")[-1]
            assert "gradient is not that of all" not in text
        nearer = line(dataclasses.replace(solver, lr=2.0 * solver.lr), seed=seed)
        calmer = line(dataclasses.replace(solver, lr=0.5 * solver.lr), seed=seed)
        assert nearer.loss < fit.loss < calmer.loss  # as the remedy says


@pytest.mark.parametrize(("lr", "steps"), [(0.01, 6000), (0.1, 3000)])
def test_a_run_that_noise_keeps_away_is_told_so(lr: float, steps: int) -> None:
    for seed in range(3):
        fit = line(km.Adam(lr=lr, steps=steps, batch_size=4), seed=seed)
        assert "noise" in fit.solution.reason
        assert "a smaller lr with more steps, a larger batch_size" in " ".join(fit.explain().text().split())
        calmer = line(km.Adam(lr=lr / 10, steps=10 * steps, batch_size=4), seed=seed)
        one, other = fit.solution.reason["noise"]["scatter"], calmer.solution.reason["noise"]["scatter"]
        assert all(other[name] < 0.5 * one[name] for name in "ab")  # as the remedy says


def test_noise_of_a_thinned_run_weighs_steps_that_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = km.Adam(lr=0.01, steps=20_000, batch_size=4)
    whole = line(solver).solution.reason["noise"]
    monkeypatch.setattr(first_order_run, "WHOLE", 30_000)
    thin = line(solver)
    assert len(thin.trace) < 6000
    told = thin.solution.reason["noise"]
    assert told["steps"] == whole["steps"] == 2001
    for name in "ab":
        assert abs(told["middle"][name] - whole["middle"][name]) < 0.5 * whole["scatter"][name]
        assert 0.8 < told["scatter"][name] / whole["scatter"][name] < 1.25


def test_a_batch_of_all_rows_is_judged_as_all_rows_are() -> None:
    fit = fitted(km.SGD(lr=0.3, steps=4000, batch_size=90))
    assert fit.state == "converged"
    assert fitted(km.RMSprop(lr=0.001, steps=6000, batch_size=500)).state == "cycle"
    assert fitted(km.RMSprop(lr=0.001, steps=6000, batch_size=50)).state == "slow"


def test_without_residuals_a_run_on_batches_converges() -> None:
    data = {"x": X, "y": 2.0 * np.exp(-0.7 * X)}
    fit = km.fit("y ~ a*exp(-b*x)", data, start={"a": 1.0, "b": 0.5}, solver=km.SGD(lr=0.3, steps=4000, batch_size=10))
    assert fit.state == "converged"
    assert abs(fit.params["a"] - 2.0) <= 2e-6


def test_too_large_a_learning_rate_diverges_and_says_so() -> None:
    with pytest.raises(km.NotConverged, match="loss of a batch passed 1e12") as caught:
        km.fit("y ~ a*x + b", {"x": X, "y": Y}, solver=km.SGD(lr=3.0, steps=500, batch_size=8), start={"a": 0, "b": 0})
    assert "batch_size" in caught.value.remedy
    assert len(caught.value.fit.trace) < 500


def test_the_seed_decides_and_threads_do_not() -> None:
    solver = km.Adam(lr=0.01, steps=200, batch_size=8)
    one, two = fitted(solver, seed=4), fitted(solver, seed=4, threads=2)
    assert one.params == two.params
    assert fitted(solver, seed=5).params != one.params


@pytest.mark.parametrize("given", [0, -1, 2.5, "x", True, np.int64(0), np.float64(4), np.bool_(True)])
def test_a_batch_size_that_is_none_is_refused_by_name(given: Any) -> None:
    for kind in FIRST_ORDER:
        with pytest.raises(km.BoundsError, match="batch_size must be a whole number, 1 or more, or None"):
            kind(batch_size=given)


@pytest.mark.parametrize("kind", [km.LBFGS, km.LevenbergMarquardt, km.Linear])
def test_solvers_that_need_all_rows_have_no_batches(kind: Any) -> None:
    why = "sums over all rows" if kind is km.Linear else "each must see all rows"
    with pytest.raises(km.BoundsError, match=f"{kind.__name__} has no batch_size: .*{why}") as caught:
        kind(batch_size=4)
    assert "km.Adam(batch_size=64)" in str(caught.value)
    with pytest.raises(TypeError, match="batch_sizes"):
        kind(batch_sizes=4)
    assert "batch_size" not in inspect.signature(kind).parameters


def test_numbers_of_numpy_are_taken_as_what_they_are(tmp_path: Path) -> None:
    plain = km.Adam(lr=0.5, betas=(0.5, 0.875), steps=20, batch_size=5)
    given = km.Adam(lr=np.float32(0.5), betas=(np.float32(0.5), 0.875), steps=np.int64(20), batch_size=np.int16(5))
    assert repr(given) == repr(plain)
    assert repr(km.LBFGS(steps=np.int64(3), history_size=np.uint8(4))) == repr(km.LBFGS(steps=3, history_size=4))
    assert repr(km.LevenbergMarquardt(max_steps=np.int64(30))) == repr(km.LevenbergMarquardt(max_steps=30))
    one, two = fitted(plain), fitted(given)
    assert one.params == two.params
    two.save(tmp_path / "fit.json")
    assert km.load(tmp_path / "fit.json").solution.options == one.solution.options
    fitted(km.LevenbergMarquardt(max_steps=np.int64(30))).save(tmp_path / "lm.json")
    assert km.load(tmp_path / "lm.json").solution.options == {"max_steps": 30}


def test_rprop_and_its_smallest_step_are_judged_without_a_false_reason() -> None:
    fit = fitted(Rprop(steps=3000, batch_size=9))
    assert not {"smallest", "noise"} & fit.solution.reason.keys()
    assert fit.solution.reason["shrunk"] == 1e-6
    assert np.abs(fit.trace.step[-21:-1]).max() < 1e-5
    for text in (str(fit), fit.explain().text()):
        assert "signs of the gradient differ from batch to batch" in " ".join(text.split())
        assert "all rows in every step (no batch_size), or solver lm" in " ".join(text.split())
        assert max(map(len, text.splitlines())) <= 80
    said = next(one for one in fit.findings if one.code == "SLOW")
    assert "no nearer by more steps" in said.text
    assert "batch_size=None" in said.remedy
    more, whole = fitted(Rprop(steps=6000, batch_size=9)), fitted(Rprop(steps=3000))
    least = whole.solution.reference.loss
    assert more.loss - least > 0.5 * (fit.loss - least)  # more steps do not help, all rows do
    assert whole.loss - least < 1e-9
    early = fitted(Rprop(steps=25, batch_size=9))
    assert "shrunk" not in early.solution.reason


def test_weight_decay_and_a_missing_answer_are_said_of_batches_too() -> None:
    fit = fitted(km.AdamW(lr=0.01, weight_decay=0.1, steps=300, batch_size=9))
    assert "a pull towards 0" in str(fit)
    assert [one.text for one in fit.findings if "weight decay" in one.text]
    plain = fitted(km.Adam(lr=0.01, steps=3000, batch_size=9))
    said = next(one for one in plain.findings if one.code == "SLOW")
    assert "on mini-batches the loss of all rows is" in said.text
    assert "a smaller lr" in said.remedy
    alone = of_batches(plain.trace, km.Adam(batch_size=9), None, 10, False)
    assert (alone.state, dict(alone.facts)) == ("slow", {"batches": 10})
    lost = of_batches(plain.trace, km.Adam(batch_size=9), None, 10, True)
    assert lost.state == "diverged"


def test_a_cycle_of_whole_batches_is_dated_in_a_thinned_trace_too(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = km.RMSprop(lr=0.001, steps=6000, batch_size=90)
    whole = fitted(solver)
    monkeypatch.setattr(first_order_run, "WHOLE", 30_000)
    monkeypatch.setattr(first_order_run, "FURTHER", 1.1)
    thin = fitted(solver)
    assert len(thin.trace) < 600
    assert thin.solution.cycle == whole.solution.cycle


def test_the_check_reproduces_a_run_on_batches() -> None:
    fit = fitted(km.Adam(lr=0.01, steps=300, batch_size=9), weights=W)
    assert fit.check().verdict == "PASS"
    wrong = dataclasses.replace(fit.solution, loss=float(fit.trace.loss[-2]))  # a batch's loss is not the claim
    object.__setattr__(fit, "solution", wrong)
    assert fit.check().verdict == "FAIL"
