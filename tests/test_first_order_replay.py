"""Steps done again are the steps that were taken, bit for bit; gradients that accumulate do so as PyTorch's.

Strangers: the plain-Python rules along a whole trace, PyTorch's own loop without ``zero_grad``, and momentum 1.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from katamuki import formula
from katamuki.backends.kernel import Kernel
from katamuki.problem import SMALL, Problem
from katamuki.records import Array, Trace
from katamuki.solvers import first_order_run
from katamuki.solvers.first_order import FIRST_ORDER, SGD, Adam, FirstOrder, RMSprop
from katamuki.solvers.first_order_run import memory, minimise, window
from test_first_order_run import SOLVERS, START, X, Y, line

DECAY = Kernel(formula.parse("y ~ a*exp(-b*x) + c", ("x", "y")).rhs)
DECAY_X = np.linspace(0.0, 3.0, 15)
DECAY_Y = 2.0 * np.exp(-1.3 * DECAY_X) + 0.5 + 0.05 * np.sin(9.0 * DECAY_X)

# Momentum on top of gradients that accumulate flies away.
EVERY = [*SOLVERS, *(one(lr=0.01) for one in FIRST_ORDER if one not in {type(solver) for solver in SOLVERS})]
RUNS = [(one, also) for one in EVERY for also in (False, True) if not (also and getattr(one, "momentum", 0.0) == 0.9)]


def decay() -> Problem:
    return Problem(DECAY, [DECAY_X], DECAY_Y, None, {"a": 1.0, "b": 1.0, "c": 0.0}, ("a", "b", "c"))


def thinned(monkeypatch: pytest.MonkeyPatch, **more: float) -> None:
    for name, value in ({"WHOLE": 30_000, "FURTHER": 1.1} | more).items():
        monkeypatch.setattr(first_order_run, name, value)


def by_rule(solver: FirstOrder, trace: Trace, row: int) -> Array:
    """The memory before the step of a row by the readable rule along a whole trace."""
    p = len(trace.names)
    state, options = np.zeros(solver.blocks * p), solver.packed()
    for k, gradient in enumerate(trace.extra.get("accumulated", trace.gradient)[:row]):
        solver.update(trace.params[k].copy(), gradient.copy(), state, options, p, float(k + 1))
    return state


def same(one: Trace, other: Trace, rows: slice) -> None:
    """``one`` is those rows of ``other`` bit for bit, but for the step of its last row, which is empty."""
    assert one.index.tolist() == other.index[rows].tolist()
    assert one.params.tobytes() == other.params[rows].tobytes()
    assert one.gradient.tobytes() == other.gradient[rows].tobytes()
    assert one.loss.tobytes() == other.loss[rows].tobytes()
    assert one.step[:-1].tobytes() == other.step[rows][:-1].tobytes()
    assert np.isnan(one.step[-1]).all()
    for name in other.extra.keys() - {"state"}:
        until = -1 if name == "scale" else None
        assert one.extra[name][:until].tobytes() == other.extra[name][rows][:until].tobytes()


@pytest.mark.parametrize(("solver", "accumulate"), RUNS)
def test_memory_is_what_the_rule_kept(solver: FirstOrder, accumulate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = minimise(solver, line(), START, accumulate=accumulate)
    rows = len(whole.trace) - 1
    for row in (0, 1, 2, 17, rows // 2, rows):
        assert memory(solver, whole.trace, row).tobytes() == by_rule(solver, whole.trace, row).tobytes()
    assert memory(solver, whole.trace, rows).tobytes() == whole.state.tobytes()
    thinned(monkeypatch)
    thin = minimise(solver, line(), START, accumulate=accumulate).trace
    assert len(thin) < rows // 5
    for row in thin.index[:: len(thin) // 60].tolist():
        assert memory(solver, thin, row).tobytes() == memory(solver, whole.trace, row).tobytes()
    if whole.state.any():
        assert memory(solver, thin, 5).tobytes() != memory(solver, whole.trace, 6).tobytes()


def test_a_row_that_was_thinned_away_has_no_memory_but_a_window_has(monkeypatch: pytest.MonkeyPatch) -> None:
    thinned(monkeypatch)
    solver = RMSprop(lr=0.001)
    trace = minimise(solver, line(), START).trace
    row = int(trace.index[np.flatnonzero(np.diff(trace.index) > 2)[3]]) + 1
    with pytest.raises(LookupError, match="window"):
        memory(solver, trace, row)
    cut = window(solver, line(), trace, row + 1, 3)
    monkeypatch.undo()
    whole = minimise(solver, line(), START).trace
    for k in range(row, row + 4):
        assert memory(solver, cut, k).tobytes() == memory(solver, whole, k).tobytes()
    for row in (-1, 6001):
        with pytest.raises(LookupError):
            memory(solver, whole, row)
    with pytest.raises(LookupError, match="begin"):
        memory(solver, dataclasses.replace(cut, extra={}), row=int(cut.index[1]))


@pytest.mark.parametrize(("solver", "accumulate"), RUNS)
def test_a_window_of_a_thinned_trace_is_the_whole_ones(
    solver: FirstOrder, accumulate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = minimise(solver, line(), START, accumulate=accumulate).trace
    thinned(monkeypatch)
    thin = minimise(solver, line(), START, accumulate=accumulate).trace
    last = len(whole) - 1
    assert len(thin) < last / 5
    rng = np.random.default_rng(3)
    spans = [(1, 1), (1, last), (last, 1), (last - 30, 20), *((int(k), 40) for k in rng.integers(1, last - 40, 12))]
    for first, count in spans:
        cut = window(solver, line(), thin, first, count)
        same(cut, whole, slice(first - 1, first + count))
        assert memory(solver, cut, first - 1).tobytes() == memory(solver, whole, first - 1).tobytes()
        same(window(solver, line(), whole, first, count), whole, slice(first - 1, first + count))
    for first, count in ((0, 1), (-1, 5), (1, 0), (last, 2), (last + 1, 1)):
        with pytest.raises(LookupError):
            window(solver, line(), thin, first, count)


def test_a_replay_on_other_data_is_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    thinned(monkeypatch)
    solver = RMSprop(lr=0.001)
    trace = minimise(solver, line(), START).trace
    first = int(trace.index[np.flatnonzero(np.diff(trace.index) > 2)[3]]) + 2
    other = window(solver, line(y=Y * (1 + 1e-15)), trace, first, 3)
    assert other.loss.tobytes() != window(solver, line(), trace, first, 3).loss.tobytes()
    with pytest.raises(LookupError):
        window(solver, line(X * 1e12), trace, first, 3)


@pytest.mark.parametrize("accumulate", [False, True])
def test_runs_that_ended_early_are_repeated_too(accumulate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(steps: int, stop: int | None) -> first_order_run.Run:
        def pressed(step: int, loss: float) -> None:
            if stop is not None and step > stop:
                raise KeyboardInterrupt

        return minimise(RMSprop(lr=0.001, steps=steps), line(), START, progress=pressed, accumulate=accumulate)

    solver = RMSprop(lr=0.001, steps=50_000)
    whole = run(50_000, None).trace
    thinned(monkeypatch, SLICE=1e-4)
    stopped = run(50_000, 20_000)
    assert stopped.ending == "interrupted"
    assert 20_000 < stopped.steps < 21_000
    steps, trace = stopped.steps, stopped.trace
    assert memory(solver, trace, steps).tobytes() == memory(solver, whole, steps).tobytes()
    for first, count in ((steps - 99, 100), (15_001, 200), (steps, 1)):
        same(window(solver, line(), trace, first, count), whole, slice(first - 1, first + count))
    with pytest.raises(LookupError):
        window(solver, line(), trace, steps, 2)


@pytest.mark.parametrize("lr", [0.011, 0.0109])
def test_a_run_that_diverged_is_repeated_to_its_end(lr: float, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = SGD(lr=lr)
    whole = minimise(solver, line(), START)
    thinned(monkeypatch, WHOLE=10_000)
    thin = minimise(solver, line(), START)
    assert thin.ending == whole.ending == "diverged"
    steps = whole.steps
    cut = window(solver, line(), thin.trace, steps - 50, 51)
    same(cut, whole.trace, slice(steps - 51, steps + 1))
    assert cut.loss[-1] > 1e12 * whole.trace.loss[0]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_window_of_any_run_is_exact(data: st.DataObject) -> None:
    solver = data.draw(st.sampled_from([Adam(lr=0.01, steps=3000), SGD(lr=0.05, momentum=0.9, steps=3000)]))
    accumulate = data.draw(st.booleans()) and isinstance(solver, Adam)
    first = data.draw(st.integers(1, 3000))
    count = data.draw(st.integers(1, 3001 - first))
    whole = minimise(solver, decay(), np.array([1.0, 1.0, 0.0]), accumulate=accumulate).trace
    with pytest.MonkeyPatch.context() as patch:
        thinned(patch, WHOLE=data.draw(st.integers(5_000, 60_000)), FURTHER=data.draw(st.floats(1.01, 1.5)))
        thin = minimise(solver, decay(), np.array([1.0, 1.0, 0.0]), accumulate=accumulate).trace
        same(window(solver, decay(), thin, first, count), whole, slice(first - 1, first + count))


@pytest.mark.parametrize("accumulate", [False, True])
def test_large_data_are_repeated_by_threads(accumulate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    n = SMALL + 3000
    x, y, solver = rng.uniform(0, 1, n), rng.standard_normal(n), Adam(lr=0.01, steps=120)
    whole = minimise(solver, line(x, y, threads=2), START, accumulate=accumulate).trace
    thinned(monkeypatch, WHOLE=1500)
    thin = minimise(solver, line(x, y, threads=2), START, accumulate=accumulate).trace
    assert len(thin) < 60
    same(window(solver, line(x, y, threads=1), thin, 47, 30), whole, slice(46, 77))


def without_zero_grad(solver: FirstOrder, steps: int) -> tuple[Array, Array]:
    """Parameters before each step and after the last, and the gradients that the optimizer saw, by PyTorch."""
    from torch_optim import options_of

    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    x, y = torch.tensor(X), torch.tensor(Y)
    a, b = (torch.tensor(value, requires_grad=True) for value in START.tolist())
    optim = getattr(torch.optim, type(solver).__name__)([a, b], foreach=False, **options_of(solver))
    found, seen = np.empty((steps + 1, 2)), np.empty((steps, 2))
    for k in range(steps):
        found[k] = a.item(), b.item()
        torch.nn.functional.mse_loss(a * x + b, y).backward()
        seen[k] = a.grad.item(), b.grad.item()
        optim.step()
    found[steps] = a.item(), b.item()
    torch.set_default_dtype(default)
    return found, seen


@pytest.mark.parametrize("solver", SOLVERS)
def test_gradients_accumulate_as_pytorchs_do_without_zero_grad(solver: FirstOrder) -> None:
    if isinstance(solver, SGD):
        solver = SGD(lr=0.001)
    trace = minimise(solver, line(), START, accumulate=True).trace
    params, seen = without_zero_grad(solver, 500)
    assert np.abs(trace.params[:501] - params).max() <= 1e-11
    assert np.abs(trace.extra["accumulated"][:500] - seen).max() <= 1e-11 * np.abs(seen).max()
    fresh = -2 / 11 * (Y - trace.params @ np.array([X, np.ones(11)])) @ np.array([X, np.ones(11)]).T
    assert np.abs(trace.gradient - fresh).max() <= 1e-13 * np.abs(fresh).max()
    assert (trace.extra["accumulated"][1:] == trace.extra["accumulated"][:-1] + trace.gradient[1:]).all()
    zeroed = minimise(solver, line(), START).trace
    assert np.abs(zeroed.params[:501] - params).max() > 0.01


@pytest.mark.parametrize(
    ("problem", "start", "lr"),
    [
        (line(), START, 0.001),
        (line(weights=np.linspace(0.5, 2.0, 11)), START, 0.0007),
        (decay(), np.array([1.0, 1.0, 0.0]), 0.02),
    ],
)
def test_gradient_descent_without_zero_grad_is_momentum_one(problem: Problem, start: Array, lr: float) -> None:
    left = minimise(SGD(lr=lr, steps=6000), problem, start, accumulate=True).trace
    ball = minimise(SGD(lr=lr, momentum=1.0, steps=6000), problem, start).trace
    assert len(left) == 6001
    assert np.abs(left.params - ball.params).max() == 0.0
    assert left.params.tobytes() == ball.params.tobytes()
    slower = minimise(SGD(lr=lr, momentum=0.999, steps=6000), problem, start).trace
    assert np.abs(left.params - slower.params).max() > 1e-3


def test_the_tutorial_without_zero_grad_ends_as_ux_says() -> None:
    trace = minimise(RMSprop(lr=0.001, steps=6000), line(), START, accumulate=True).trace
    assert trace.extra["accumulated"][:2] == pytest.approx(
        np.array([[-45.0182, -5.0018], [-88.0364, -9.8036]]), abs=5.1e-5
    )
    last = trace.params[5999]  # as everywhere: the state before step 6000
    assert [round(float(one), 6) for one in (*last, trace.loss[5999])] == [0.449420, 3.475312, 1.277197]
    assert round(float(trace.loss.min()), 6) == 1.251413
    assert int(trace.index[trace.loss.argmin()]) + 1 == 2182
    assert round(float(trace.loss[2999]), 6) == 1.314888


def test_gradient_descent_on_the_tutorial_swings_for_ever_as_ux_says() -> None:
    trace = minimise(SGD(lr=0.001, steps=20_000), line(), START, accumulate=True).trace
    late = trace.loss[10_000:]
    assert 1.25 < late.min() < 1.30
    assert 7.0 < late.max() < 7.9
    kept: dict[str, Any] = {"early": trace.loss[100:5000].max(), "late": late.max()}
    assert kept["late"] > 0.9 * kept["early"]
