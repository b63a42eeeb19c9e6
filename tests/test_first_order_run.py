"""The compiled loop takes PyTorch's steps, records each truly, and stops when it should.

Strangers: PyTorch's own loop, a NumPy loop written here, and the plain-Python rules.
"""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import katamuki as km
from katamuki import formula
from katamuki.backends.kernel import Kernel
from katamuki.problem import SMALL, Problem
from katamuki.records import Array
from katamuki.solvers import first_order_run
from katamuki.solvers.first_order import SGD, Adam, FirstOrder, RMSprop
from katamuki.solvers.first_order_run import kept_steps, minimise

X = np.array([10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0])
Y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
START = np.array([0.5, 0.5])
SOLVERS = [
    RMSprop(lr=0.001),
    RMSprop(lr=0.001, centered=True, momentum=0.5, weight_decay=0.1),
    SGD(lr=0.01),
    SGD(lr=0.001, momentum=0.9, nesterov=True),
    Adam(lr=0.01, amsgrad=True),
]


def line(x: Array = X, y: Array = Y, weights: Array | None = None, **rest: Any) -> Problem:
    model = formula.parse("y ~ a*x + b", ("x", "y"))
    return Problem(Kernel(model.rhs), [x], y, weights, {"a": 0.5, "b": 0.5}, rest.pop("free", ("a", "b")), **rest)


def pytorch(solver: FirstOrder, steps: int, weights: Array | None = None, start: Array = START) -> Array:
    """Parameters before each step and after the last, (steps + 1, 2), by PyTorch in float64."""
    from torch_optim import options_of

    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    x, y = torch.tensor(X), torch.tensor(Y)
    a, b = (torch.tensor(value, requires_grad=True) for value in start.tolist())
    optim = getattr(torch.optim, type(solver).__name__)([a, b], foreach=False, **options_of(solver))
    found = np.empty((steps + 1, 2))
    for k in range(steps):
        found[k] = a.item(), b.item()
        if weights is None:
            loss = torch.nn.functional.mse_loss(a * x + b, y)
        else:
            loss = (torch.tensor(weights) * (a * x + b - y) ** 2).mean()
        optim.zero_grad()
        loss.backward()
        optim.step()
    found[steps] = a.item(), b.item()
    torch.set_default_dtype(default)
    return found


def test_the_tutorials_whole_run_is_pytorchs() -> None:
    solver = RMSprop(lr=0.001, steps=6000)
    run = minimise(solver, line(), START)
    theirs = pytorch(solver, 6000)
    assert run.ending == "steps_over"
    assert run.steps == 6000
    assert np.abs(run.trace.params - theirs)[:501].max() <= 1e-12
    assert np.abs(run.trace.params[-1] - theirs[-1]).max() <= 1e-9
    other = minimise(solver, line(), START + np.array([1e-10, 0.0]))
    assert np.abs(other.trace.params - theirs)[:501].max() > 1e-12


def test_the_tutorials_run_ends_on_one_of_the_two_points() -> None:
    run = minimise(RMSprop(lr=0.001), line(), START)
    pair = np.array([[0.4995909090909, 2.9995909090909], [0.5005909090909, 3.0005909090909]])
    assert np.abs(pair - run.values).max(axis=1).min() <= 1e-9
    assert round(float(run.trace.loss[-1]), 5) == 1.25118


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_five_hundred_steps_of_each_solver_are_pytorchs(solver: FirstOrder, weighted: bool) -> None:
    weights = np.linspace(0.5, 2.0, 11) if weighted else None
    if isinstance(solver, SGD) and weighted:
        solver = SGD(lr=solver.lr / 4, momentum=solver.momentum, nesterov=solver.nesterov)
    run = minimise(solver, line(weights=weights), START)
    assert np.abs(run.trace.params[:501] - pytorch(solver, 500, weights)).max() <= 1e-12


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_row_is_the_state_before_its_step_and_the_last_has_no_step(solver: FirstOrder) -> None:
    run = minimise(solver, line(), START)
    trace = run.trace
    assert len(trace) == 6001
    assert trace.index.tolist() == list(range(6001))
    assert (np.diff(trace.params, axis=0) == trace.step[:-1]).all()
    assert np.isnan(trace.step[-1]).all()
    residuals = Y - trace.params @ np.array([X, np.ones(11)])
    assert np.abs(trace.loss - (residuals**2).mean(axis=1)).max() <= 1e-13 * trace.loss.max()
    gradient = -2 / 11 * residuals @ np.array([X, np.ones(11)]).T
    assert np.abs(trace.gradient - gradient).max() <= 1e-13 * np.abs(gradient).max()
    assert (trace.params[-1] == run.values).all()
    if solver.divides and not getattr(solver, "momentum", 0) and isinstance(solver, RMSprop):
        taken = -solver.lr * trace.gradient[:-1] / trace.extra["scale"][:-1]
        assert np.abs(taken - trace.step[:-1]).max() <= 1e-15


def test_the_first_steps_are_those_that_ux_works_out_by_hand() -> None:
    trace = minimise(RMSprop(lr=0.001), line(), START).trace
    assert trace.loss[0] == pytest.approx(7.5057, rel=1e-12)
    assert trace.gradient[0] == pytest.approx([-2 / 11 * 247.60, -2 / 11 * 27.51], rel=1e-12)
    assert trace.params[1] == pytest.approx([0.509999999977787, 0.509999999800073], abs=1e-14)
    assert trace.loss[[1, 9, 99, 999]] == pytest.approx([7.0165, 5.460662, 2.297513, 1.549429], abs=5e-7)
    peak = int(np.argmax(trace.params[:, 0]))
    assert round(float(trace.params[peak, 0]), 4) == 0.7195


FORMULAS: dict[str, Any] = {
    "y ~ a*x + b": lambda x, a, b: (a * x, b + 0 * x),
    "y ~ a*exp(-b*x) + c": lambda x, a, b, c: (a * torch.exp(-b * x), c + 0 * x),
    "y ~ a*sin(b*x + c) + d*x**2": lambda x, a, b, c, d: (a * torch.sin(b * x + c), d * x**2),
    "y ~ a + b*x + c*x**2 + d*x**3": lambda x, a, b, c, d: (a + 0 * x, b * x, c * x**2, d * x**3),
    "y ~ a/(1 + exp(-b*(x - c)))": lambda x, a, b, c: (a * torch.sigmoid(b * (x - c)),),
    "y ~ a*x/(b**2 + 1 + x**2)": lambda x, a, b: (a * x / (b**2 + 1 + x**2),),
}
KERNELS = {text: Kernel(formula.parse(text, ("x", "y")).rhs) for text in FORMULAS}


@given(st.sampled_from(sorted(FORMULAS)), st.integers(1, 600), st.booleans(), st.integers(0, 2**32 - 1))
def test_gradients_are_pytorchs(text: str, n: int, weighted: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel = KERNELS[text]
    start = rng.uniform(-2, 2, len(kernel.parameters))
    x, y, w = rng.uniform(-3, 3, n), rng.standard_normal(n) * 10.0 ** rng.uniform(-2, 2), rng.uniform(0.1, 9, n)
    values = dict(zip(kernel.parameters, start.tolist(), strict=True))
    problem = Problem(kernel, [x], y, w if weighted else None, values, kernel.parameters)
    params = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    order = [kernel.parameters.index(name) for name in "abcd"[: len(start)]]
    parts = FORMULAS[text](torch.tensor(x), *(params[k] for k in order))
    residuals = sum(parts) - torch.tensor(y)
    weights = torch.tensor(w) if weighted else torch.ones(n, dtype=torch.float64)
    (weights * residuals**2).mean().backward()
    # Σ|term|: each row's derivative times all that its residual is made of
    sizes = np.abs(y) + sum(np.abs(one.detach().numpy()) for one in parts)
    slopes = kernel.evaluate([x], start, n, True)[1:]
    terms = 2 / n * (weights.numpy() * sizes * np.abs(slopes)).sum(axis=1)
    theirs = params.grad.numpy()
    assert (np.abs(problem.gradient(start) - theirs) <= 1e-13 * terms).all()
    first = minimise(SGD(lr=1e-300, steps=1), problem, start).trace.gradient[0]
    assert (np.abs(first - theirs) <= 1e-13 * terms).all()
    assert not (np.abs(first * (1 + 1e-6) + 1e-9 * terms - theirs) <= 1e-13 * terms).all()


def test_a_fixed_parameter_stays_where_it_is() -> None:
    run = minimise(SGD(lr=0.1, steps=2000), line(free=("b",)), START)
    assert run.values[0] == 0.5
    assert run.trace.names == ("b",)
    assert run.values[1] == pytest.approx((Y - 0.5 * X).mean(), rel=1e-12)


def descend(x: Array, y: Array, w: Array, steps: int, lr: float) -> Array:
    params = START.copy()
    for _ in range(steps):
        r = y - params[0] * x - params[1]
        params = params + 2 * lr / len(x) * np.array([(w * r * x).sum(), (w * r).sum()])
    return params


@pytest.mark.parametrize("n", [1, 3, 4, 15, 16, 17, 255, 256, 257, 1000, SMALL, SMALL + 1])
@pytest.mark.parametrize("weighted", [False, True])
def test_any_number_of_rows_gives_what_numpy_gives(n: int, weighted: bool) -> None:
    rng = np.random.default_rng(n)
    x, y, w = rng.uniform(0, 1, n), rng.standard_normal(n), rng.uniform(0.5, 2, n)
    steps = 20 if n > 1000 else 100
    run = minimise(SGD(lr=0.1, steps=steps), line(x, y, w if weighted else None), START)
    assert run.values == pytest.approx(descend(x, y, w if weighted else np.ones(n), steps, 0.1), rel=1e-11)
    assert run.evaluations == steps + 1


def test_threads_do_not_change_a_bit() -> None:
    rng = np.random.default_rng(5)
    n = SMALL + 5000
    x, y = rng.uniform(0, 1, n), rng.standard_normal(n)
    one, two = (minimise(Adam(steps=15), line(x, y, threads=k), START).trace for k in (1, 2))
    assert one.params.tobytes() == two.params.tobytes()


@pytest.mark.parametrize("solver", SOLVERS)
def test_slices_do_not_change_a_bit(solver: FirstOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = minimise(solver, line(), START).trace
    monkeypatch.setattr(first_order_run, "SLICE", 1e-5)
    sliced = minimise(solver, line(), START).trace
    for one, two in ((whole.params, sliced.params), (whole.loss, sliced.loss), (whole.step, sliced.step)):
        assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_long_trace_is_thinned_and_can_be_replayed(solver: FirstOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = minimise(solver, line(), START).trace
    monkeypatch.setattr(first_order_run, "WHOLE", 30_000)
    monkeypatch.setattr(first_order_run, "FURTHER", 1.1)
    thin = minimise(solver, line(), START).trace
    assert len(thin) < 500
    assert thin.index[[0, -1]].tolist() == [0, 6000]
    assert thin.params.tobytes() == whole.params[thin.index].tobytes()
    assert thin.step[:-1].tobytes() == whole.step[thin.index[:-1]].tobytes()
    assert thin.loss.tobytes() == whole.loss[thin.index].tobytes()
    options = solver.packed()
    gaps = np.flatnonzero(np.diff(thin.index) > 1)
    assert len(gaps) > 10
    for row in gaps[:: len(gaps) // 5]:
        params, state = thin.params[row].copy(), thin.extra["state"][row].copy()
        first, until = int(thin.index[row]), int(thin.index[row + 1])
        for t in range(first + 1, until + 1):
            solver.update(params, whole.gradient[t - 1], state, options, 2, float(t))
        assert params.tobytes() == whole.params[until].tobytes()


@given(st.integers(1, 10**8), st.integers(1, 400))
def test_the_rows_that_are_kept_fit_and_hold_both_ends(steps: int, width: int) -> None:
    kept = kept_steps(steps, width)
    assert (np.diff(kept) > 0).all()
    assert kept[0] == 0
    assert kept[-1] == steps - 1
    if 8 * width * steps <= first_order_run.WHOLE:
        assert len(kept) == steps
    else:
        window = min(first_order_run.WINDOW, first_order_run.WHOLE // (32 * width))
        assert kept[window - 1] == window - 1
        assert kept[-window] == steps - window
        assert np.diff(kept).max() <= 0.002 * steps + 1


@pytest.mark.parametrize(("lr", "step"), [(0.011, 655), (0.0109, 4335)])
def test_too_large_a_learning_rate_diverges_where_ux_says(lr: float, step: int) -> None:
    run = minimise(SGD(lr=lr), line(), START)
    assert run.ending == "diverged"
    assert len(run.trace) == step
    assert run.trace.loss[-1] > 1e12 * run.trace.loss[0] >= run.trace.loss[-2]
    assert (run.values == run.trace.params[-1]).all()
    assert np.isnan(run.trace.step[-1]).all()


def test_a_loss_that_overflows_ends_the_run_and_a_start_without_a_value_is_none() -> None:
    model = formula.parse("y ~ a*exp(b*x)", ("x", "y"))
    problem = Problem(Kernel(model.rhs), [X], Y, None, {"a": 1.0, "b": 1.0}, ("a", "b"))
    run = minimise(SGD(lr=10.0), problem, np.array([1.0, 0.0]))
    assert run.ending == "diverged"
    assert run.steps >= 1
    bad = minimise(SGD(), problem, np.array([1.0, 1000.0]))
    assert bad.ending == "no_start"
    assert bad.steps == 0
    assert len(bad.trace) == 1


@pytest.mark.parametrize("solver", [RMSprop(lr=0.01), Adam(lr=0.1), SGD(lr=0.001)])
def test_a_start_at_a_perfect_answer_does_not_count_as_divergence(solver: FirstOrder) -> None:
    run = minimise(solver, line(y=0.3 * X + 0.1), np.array([0.3, 0.1 + 1e-15]))
    assert run.ending == "steps_over"
    assert run.trace.loss[0] < 1e-28


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_a_run_that_never_left_its_start_is_no_fit(backend: str) -> None:
    assert round(2.0 * float(((X + 1.0 - Y) * X).mean())) == 55  # the slope by a at the start, 1 and 1
    with pytest.raises(km.NotConverged, match=r"SGD never left its start.*largest slope 55\)") as caught:
        km.fit("y ~ a*x + b", {"x": X, "y": Y}, solver=SGD(lr=1e-30, steps=5), backend=backend)
    assert caught.value.code == "E-CONVERGENCE"


def test_ctrl_c_keeps_what_was_reached() -> None:
    def pressed(step: int, loss: float) -> None:
        if step > 3000:
            raise KeyboardInterrupt

    problem = line(np.tile(X, 50), np.tile(Y, 50))
    run = minimise(RMSprop(lr=0.001, steps=200_000), problem, START, progress=pressed)
    assert run.ending == "interrupted"
    assert 3000 < run.steps < 200_000
    assert len(run.trace) == run.steps + 1
    again = minimise(RMSprop(lr=0.001, steps=run.steps), problem, START)
    assert again.trace.params.tobytes() == run.trace.params.tobytes()
    assert again.trace.loss.tobytes() == run.trace.loss.tobytes()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_a_signal_is_heard_between_slices() -> None:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        run = minimise(RMSprop(lr=0.001, steps=2_000_000_000), line(), START)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert run.ending == "interrupted"
    assert run.trace.index[-1] == run.steps > 0


def test_a_time_limit_ends_the_run_and_progress_is_told() -> None:
    told: list[tuple[int, float]] = []
    run = minimise(
        RMSprop(lr=0.001, steps=2_000_000_000), line(), START, max_seconds=0.1, progress=lambda *one: told.append(one)
    )
    assert run.ending == "time_over"
    steps = [step for step, _ in told]
    assert steps == sorted(steps)
    assert 0 < steps[-1] == run.steps
    assert all(np.isfinite(loss) for _, loss in told)
