"""How a run ended: cycles, the stability limit, divergence and convergence, against NumPy and against experiments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katamuki.problem import Problem
from katamuki.records import Array, Reference, Trace
from katamuki.solvers.first_order import SGD, Adam, FirstOrder, RMSprop
from katamuki.solvers.first_order_diagnosis import Diagnosis, diagnose, find_cycle, rate_and_limit
from katamuki.solvers.first_order_run import minimise
from test_first_order_run import START, X, Y, line


def reference() -> Reference:
    """The tutorial's least-squares answer, from its normal equations."""
    design = np.array([X, np.ones(11)]).T
    answer = np.linalg.solve(design.T @ design, design.T @ Y)
    rss = float(((Y - design @ answer) ** 2).sum())
    spread = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * rss / 9)
    names = ("a", "b")
    return Reference(
        dict(zip(names, answer.tolist(), strict=True)),
        dict(zip(names, spread.tolist(), strict=True)),
        rss / 11,
        2 / 11 * design.T @ design,
    )


ANSWER = reference()


def judged(solver: FirstOrder, start: Array = START, problem: Problem | None = None) -> tuple[Trace, Diagnosis]:
    trace = minimise(solver, problem or line(), start).trace
    return trace, diagnose(trace, solver, ANSWER)


def test_the_tutorial_ends_in_the_cycle_that_ux_describes() -> None:
    trace, found = judged(RMSprop(lr=0.001))
    assert found.state == "cycle"
    assert found.cycle is not None
    assert abs(found.cycle.since - 3419) <= 20
    for name, value in found.cycle.middle.items():
        assert value == pytest.approx(ANSWER.params[name], abs=1e-9)
        assert found.cycle.half_width[name] == pytest.approx(0.0005, rel=2e-6)  # eps over √v = 0.01
        assert found.cycle.low[name] == pytest.approx(value - 0.0005, abs=1e-9)
        assert found.cycle.high[name] == pytest.approx(value + 0.0005, abs=1e-9)
    assert abs(found.facts["passed"] - 1183) <= 1
    assert found.facts["zigzag"] == 1258
    assert found.facts["stability"] == pytest.approx(2.0, abs=1e-4)
    assert found.facts["stability_limit"] == 2.0
    assert found.facts["floor"] == pytest.approx(110 * 0.0005**2, rel=1e-5)
    assert trace.loss[-1] == pytest.approx(1.25118, abs=5e-6)


def test_the_limit_is_passed_where_numpys_eigenvalues_say() -> None:
    trace, found = judged(RMSprop(lr=0.001))
    root = np.sqrt(0.001 / trace.extra["scale"][:-1])
    largest = np.linalg.eigvalsh(root[:, :, None] * ANSWER.curvature * root[:, None, :])[:, -1]
    assert found.facts["passed"] == int(np.argmax(largest > 2)) + 1
    assert found.facts["stability"] == pytest.approx(largest[-1], rel=1e-12)
    halved = Reference(ANSWER.params, ANSWER.stderr, ANSWER.loss, ANSWER.curvature / 2)
    assert diagnose(trace, RMSprop(lr=0.001), halved).facts.get("passed") != found.facts["passed"]


@pytest.mark.parametrize("lr", [0.1, 0.01, 0.001])
def test_rmsprop_cycles_with_half_its_learning_rate(lr: float) -> None:
    _, found = judged(RMSprop(lr=lr))
    assert found.state == "cycle"
    assert found.cycle is not None
    for name in "ab":
        assert found.cycle.half_width[name] == pytest.approx(lr / 2, rel=1e-4)
        assert found.cycle.middle[name] == pytest.approx(ANSWER.params[name], abs=1e-9)


def test_which_of_the_two_points_a_run_ends_on_depends_on_its_start() -> None:
    rng = np.random.default_rng(0)
    ends = []
    for _ in range(40):
        trace, found = judged(RMSprop(lr=0.001, steps=6000), rng.uniform(0, 1, 2))
        assert found.cycle is not None
        assert found.cycle.middle["a"] == pytest.approx(ANSWER.params["a"], abs=1e-9)
        ends.append(trace.params[-1, 0] > ANSWER.params["a"])
    assert 5 < sum(ends) < 35


@pytest.mark.parametrize(
    ("solver", "state"),
    [
        (SGD(lr=0.01), "slow"),
        (SGD(lr=0.01, steps=20_000), "converged"),
        (SGD(lr=0.0108, steps=20_000), "converged"),
        (SGD(lr=0.01, momentum=0.9), "converged"),
        (Adam(lr=0.01), "converged"),
        (Adam(lr=0.001), "slow"),
        (RMSprop(lr=0.001, steps=2000), "slow"),
        (SGD(lr=0.011), "diverged"),
        (SGD(lr=0.0109), "diverged"),
    ],
)
def test_other_runs_are_what_they_are(solver: FirstOrder, state: str) -> None:
    _, found = judged(solver)
    assert found.state == state
    assert found.cycle is None


@pytest.mark.parametrize(("lr", "step"), [(0.011, 655), (0.0109, 4335)])
def test_a_divergence_names_its_step_and_the_learning_rates_that_work(lr: float, step: int) -> None:
    from katamuki.errors import NotConverged

    _, found = judged(SGD(lr=lr))
    assert found.facts["step"] == step
    assert found.facts["largest_lr"] == pytest.approx(2 / 183.782, rel=1e-5)
    assert found.facts["fastest_lr"] == pytest.approx(2 / (183.782 + 0.21765), rel=1e-5)
    said = NotConverged("E-DIVERGED", found.facts["key"], **found.facts["values"]).render(surface="cli")
    assert said.split("\n") == [
        f"diverged: the loss passed 1e12 times its start at step {step}",
        "  for these data gradient descent needs lr < 0.010882 (fastest: 0.010870)",
        "  try: --lr 0.01, or centre the columns [E-DIVERGED]",
    ]


@pytest.mark.parametrize("solver", [SGD(lr=0.03, momentum=0.9), RMSprop(lr=1e300), SGD(lr=1e300), Adam(lr=1e300)])
def test_every_divergence_has_its_sentence(solver: FirstOrder) -> None:
    from katamuki.errors import NotConverged

    _, found = judged(solver)
    assert found.state == "diverged"
    assert "{" not in NotConverged("E-DIVERGED", found.facts["key"], **found.facts["values"]).render()


def test_a_run_without_a_reference_is_not_called_converged() -> None:
    trace = minimise(SGD(lr=0.01, steps=20_000), line(), START).trace
    assert diagnose(trace, SGD(lr=0.01, steps=20_000), None).state == "slow"


def test_a_run_that_reached_six_digits_only_is_slow() -> None:
    trace = minimise(SGD(lr=0.01, steps=20_000), line(), START).trace
    params = trace.params.copy()
    params[-1] *= 1 + 1e-5
    nudged = Trace(trace.names, trace.index, params, trace.loss, trace.gradient, trace.step)
    assert diagnose(nudged, SGD(lr=0.01, steps=20_000), ANSWER).state == "slow"


def test_a_perfect_fit_is_converged_although_its_residuals_are_rounding() -> None:
    y = 0.25 * X + 1.5
    trace = minimise(SGD(lr=0.01, momentum=0.9, steps=6000), line(y=y), START).trace
    perfect = Reference({"a": 0.25, "b": 1.5}, {"a": 0.0, "b": 0.0}, 0.0, ANSWER.curvature)
    assert diagnose(trace, SGD(lr=0.01, momentum=0.9), perfect).state == "converged"


def swinging(rows: int, since: int, drift: float, shrink: float, lr: float = 0.01) -> Trace:
    """A made-up run: parameter a drifts, then swings by lr about 1; b stands still."""
    k = np.arange(rows)
    swing = lr / 2 * (-1.0) ** k * np.exp(-shrink * k)
    a = 1 + np.where(k < since, 3 * lr * (since - k), 0.0) + swing + drift * k
    params = np.stack([a, np.full(rows, 7.0)], axis=1)
    step = np.diff(params, axis=0, append=np.nan)
    loss = np.ones(rows)
    return Trace(("a", "b"), k.astype(np.int64), params, loss, step * 0, step, {"scale": np.ones((rows, 2))})


@given(st.integers(30, 400), st.floats(0.0, 0.9), st.sampled_from([1e-4, 0.01, 1.0]))
def test_a_made_up_cycle_is_found_from_its_first_step(rows: int, share: float, lr: float) -> None:
    since = int(share * (rows - 25))
    found = find_cycle(swinging(rows, since, 0.0, 0.0, lr), RMSprop(lr=lr))
    assert found is not None
    assert found.since == since + 1
    assert found.middle == pytest.approx({"a": 1.0, "b": 7.0})
    assert found.half_width == pytest.approx({"a": lr / 2, "b": 0.0})
    assert found.low["a"] < found.high["a"]


@pytest.mark.parametrize(
    "trace",
    [
        swinging(200, 0, 1e-5, 0.0),  # drifts by 2e-5 in two steps; lr/1000 is 1e-5
        swinging(2000, 0, 0.0, 1e-3),  # dies out
        swinging(200, 190, 0.0, 0.0),  # ten steps are too few
    ],
)
def test_what_drifts_dies_out_or_is_too_short_is_no_cycle(trace: Trace) -> None:
    assert find_cycle(trace, RMSprop(lr=0.01)) is None
    assert find_cycle(trace, SGD(lr=0.01)) is None


def test_a_thinned_trace_shows_its_cycle_in_the_last_window(monkeypatch: pytest.MonkeyPatch) -> None:
    from katamuki.solvers import first_order_run

    monkeypatch.setattr(first_order_run, "WHOLE", 200_000)
    monkeypatch.setattr(first_order_run, "FURTHER", 1.1)
    trace, found = judged(RMSprop(lr=0.001))
    assert len(trace) < 6001
    assert found.state == "cycle"
    assert found.cycle is not None
    assert found.cycle.since >= 3400
    assert found.cycle.middle["a"] == pytest.approx(ANSWER.params["a"], abs=1e-9)


def slopes(solver: FirstOrder, curvature: float, steps: int) -> float:
    """How a parabola's parameter grows under a rule whose divisor is held at 1: |x| at the end over its largest."""
    options = solver.packed()
    x, state = np.array([1.0]), np.zeros(solver.blocks)
    path = []
    for t in range(1, steps):
        if isinstance(solver, Adam):  # the rule with √v held at 1 and without bias correction
            beta = solver.betas[0]
            state[0] += (1 - beta) * (curvature * x[0] - state[0])
            x[0] -= solver.lr * state[0]
        elif isinstance(solver, RMSprop):
            state[0] = solver.momentum * state[0] + curvature * x[0]
            x[0] -= solver.lr * state[0]
        else:
            solver.update(x, curvature * x, state, options, 1, float(t))
        path.append(abs(float(x[0])))
    return max(path[-50:]) / max(path[:50])


LIMITED: list[Any] = [
    lambda lr: SGD(lr=lr),
    lambda lr: SGD(lr=lr, momentum=0.5),
    lambda lr: SGD(lr=lr, momentum=0.9),
    lambda lr: SGD(lr=lr, momentum=0.9, dampening=0.5),
    lambda lr: SGD(lr=lr, momentum=0.5, nesterov=True),
    lambda lr: SGD(lr=lr, momentum=0.9, nesterov=True),
    lambda lr: RMSprop(lr=lr, momentum=0.7),
    lambda lr: Adam(lr=lr),
    lambda lr: Adam(lr=lr, betas=(0.5, 0.999)),
]


@pytest.mark.parametrize("make", LIMITED)
def test_each_rule_is_stable_below_its_limit_and_not_above(make: Any) -> None:
    rate, limit = rate_and_limit(make(1.0))
    largest = limit / rate / 3.0  # for curvature 3
    assert slopes(make(0.99 * largest), 3.0, 3000) < 1e-3
    assert slopes(make(1.01 * largest), 3.0, 3000) > 1e3


def test_a_large_problem_leaves_the_costly_fact_out_and_keeps_the_others() -> None:
    p, rows = 200, 300
    scale = np.ones((rows, p))
    zeros = np.zeros((rows, p))
    trace = Trace(
        tuple(f"p{k}" for k in range(p)), np.arange(rows), zeros, np.ones(rows), zeros, zeros, {"scale": scale}
    )
    ideal = Reference({f"p{k}": 1.0 for k in range(p)}, {f"p{k}": 1.0 for k in range(p)}, 0.5, np.eye(p))
    found = diagnose(trace, RMSprop(lr=0.1), ideal)
    assert found.facts["stability"] == pytest.approx(0.1)
    assert "passed" not in found.facts
    assert not math.isnan(found.facts["floor"])
