"""How a run ended: cycles, the stability limit, divergence and convergence, against NumPy and against experiments."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katamuki.problem import Problem
from katamuki.records import Array, Reference, Trace
from katamuki.solvers.first_order import (
    ASGD,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    FirstOrder,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
)
from katamuki.solvers.first_order_diagnosis import Diagnosis, diagnose, find_cycle
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
    assert found.facts["factor"] == pytest.approx(float(((X + 1.0) ** 2).mean()), rel=1e-12)
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
        for name in "ab":
            assert found.cycle.middle[name] == pytest.approx(ANSWER.params[name], abs=1e-9)
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


def test_a_cycle_whose_swing_settles_slowly_counts_from_where_it_has() -> None:
    trace, found = judged(NAdam(lr=0.1, steps=60_000))
    assert found.cycle is not None
    swings = np.abs(np.diff(trace.params[:, 0]))
    assert (np.abs(swings[found.cycle.since - 1 :] / swings[-1] - 1) <= 0.1).all()
    assert abs(swings[found.cycle.since - 2] / swings[-1] - 1) > 0.1
    assert found.cycle.middle == pytest.approx(ANSWER.params, abs=1e-6)


def penalised(decay: float) -> Array:
    """The minimum of the loss + ½·decay·Σx², by NumPy."""
    answer = np.array(list(ANSWER.params.values()))
    return np.linalg.solve(ANSWER.curvature + decay * np.eye(2), ANSWER.curvature @ answer)


@pytest.mark.parametrize(
    ("solver", "decay"),
    [
        (SGD(lr=0.01, weight_decay=0.1, steps=20_000), 0.1),
        (SGD(lr=0.01, weight_decay=0.1, momentum=0.9), 0.1),
        (ASGD(steps=40_000), 1e-4),
        (ASGD(weight_decay=0.1, lambd=0.05, alpha=0.0, steps=20_000), 0.15),
        (Adagrad(lr=0.5, weight_decay=0.1), 0.1),
        (Adam(lr=0.01, weight_decay=0.1), 0.1),
        (Adamax(lr=0.01, weight_decay=0.1), 0.1),
        (NAdam(lr=0.01, weight_decay=0.1), 0.1),
    ],
)
def test_weight_decay_rests_elsewhere_and_that_is_said(solver: FirstOrder, decay: float) -> None:
    trace, found = judged(solver)
    assert trace.params[-1] == pytest.approx(penalised(decay), rel=1e-6)
    assert found.state == "slow"
    assert found.facts["pulled"] is True
    assert "pull" not in found.facts
    free = dataclasses.replace(solver, weight_decay=0.0, **({"lambd": 0.0} if isinstance(solver, ASGD) else {}))
    assert "pulled" not in judged(free)[1].facts


def test_decoupled_decay_rests_where_the_divided_gradient_holds_it() -> None:
    solver = AdamW(lr=0.1, weight_decay=0.2, eps=1.0, steps=20_000)
    trace, found = judged(solver)
    assert found.facts["pulled"] is True
    slope = trace.gradient[-1]
    assert -slope / (np.abs(slope) + 1.0) == pytest.approx(0.2 * trace.params[-1], rel=1e-6)
    assert np.abs(trace.params[-1] - np.array(list(ANSWER.params.values()))).max() > 0.1


@pytest.mark.parametrize("solver", [SGD(lr=0.001, weight_decay=0.1), AdamW(), ASGD(), AdamW(lr=0.1)])
def test_a_run_with_weight_decay_that_has_not_come_to_rest_is_told_apart(solver: FirstOrder) -> None:
    facts = judged(solver)[1].facts
    assert facts["pull"] is True
    assert "pulled" not in facts


def test_the_middle_of_a_cycle_with_weight_decay_is_not_the_answer() -> None:
    _, found = judged(RMSprop(lr=0.001, weight_decay=0.1))
    assert found.cycle is not None
    assert list(found.cycle.middle.values()) == pytest.approx(penalised(0.1), abs=1e-6)
    assert found.facts["pulled"] is True
    assert "factor" not in found.facts
    assert "pulled" not in judged(RMSprop(lr=0.001))[1].facts
    assert "pulled" not in judged(RMSprop(lr=0.001, weight_decay=1e-12))[1].facts


def test_rprop_comes_no_nearer_than_its_smallest_step() -> None:
    trace, found = judged(Rprop())
    assert found.state == "slow"
    assert found.facts["smallest"] == 1e-6
    assert np.abs(np.diff(trace.params[-100:], axis=0)).max() == pytest.approx(1e-6, rel=1e-3)
    assert find_cycle(trace, Rprop()) is None
    _, finer = judged(Rprop(step_sizes=(1e-14, 50.0)))
    assert finer.state == "converged"
    assert "stability" not in finer.facts
    assert "smallest" not in judged(Rprop(steps=40))[1].facts


@pytest.mark.parametrize("solver", [Adam(lr=0.1, steps=20_000), Adadelta(), Adamax(lr=0.1)])
def test_a_run_that_left_a_nearer_point_says_when_it_was_there(solver: FirstOrder) -> None:
    trace, found = judged(solver)
    assert found.state == "slow"
    assert found.facts["nearer"] == int(np.argmin(trace.loss)) + 1
    assert trace.loss.min() - ANSWER.loss < 0.5 * (trace.loss[-1] - ANSWER.loss)


@pytest.mark.parametrize(
    "solver",
    [SGD(lr=0.001), SGD(lr=0.01, momentum=0.99, steps=500), Adagrad(lr=0.1), Adam(), RMSprop(lr=1e-4), RAdam()],
)
def test_a_run_that_is_on_its_way_is_only_slow(solver: FirstOrder) -> None:
    _, found = judged(solver)
    assert found.state == "slow"
    assert not {"pull", "pulled", "smallest", "nearer"} & found.facts.keys()


def test_asgd_that_diverges_names_a_rate_at_which_every_step_is_stable() -> None:
    from katamuki.errors import NotConverged

    _, found = judged(ASGD(lr=0.02))
    assert found.state == "diverged"
    assert found.facts["largest_lr"] == pytest.approx(2 / (183.7823 + 1e-4), rel=1e-6)
    said = NotConverged("E-DIVERGED", found.facts["key"], **found.facts["values"]).render()
    assert "every step is stable with lr < 0.010882" in said
    assert judged(ASGD(lr=0.0108))[1].state == "slow"


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
