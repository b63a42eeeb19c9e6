"""The stability limit of every rule, found by the rule itself on a parabola, and where runs pass it, by NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

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
from katamuki.solvers.first_order_stability import largest, rate_and_limit, scaled
from test_first_order_diagnosis import ANSWER, judged

LATE = 10_000  # a step at which corrections for the beginning are over


def slopes(solver: FirstOrder, curvature: float, steps: int) -> float:
    """How a parabola's parameter grows under the rule itself: |x| at the end over its largest at the beginning."""
    options, x, state = solver.packed(), np.array([1.0]), np.zeros(solver.blocks)
    path = []
    for t in range(LATE, LATE + steps):
        solver.update(x, curvature * x, state, options, 1, float(t))
        path.append(abs(float(x[0])))
        if path[-1] > 1e30:
            return math.inf
    return max(path[-50:]) / max(path[:50])


HELD = 1e60  # an eps beside which √v is nothing: the divisor is held, and lr counted in it
LIMITED: list[Any] = [
    lambda lr: SGD(lr=lr),
    lambda lr: SGD(lr=lr, momentum=0.5),
    lambda lr: SGD(lr=lr, momentum=0.9),
    lambda lr: SGD(lr=lr, momentum=0.9, dampening=0.5),
    lambda lr: SGD(lr=lr, momentum=0.5, nesterov=True),
    lambda lr: SGD(lr=lr, momentum=0.9, nesterov=True),
    lambda lr: ASGD(lr=lr, lambd=0.3 / lr, alpha=0.0),
    lambda lr: Adagrad(lr=lr * HELD, eps=HELD),
    lambda lr: Adadelta(lr=lr, eps=HELD),
    lambda lr: RMSprop(lr=lr * HELD, eps=HELD),
    lambda lr: RMSprop(lr=lr * HELD, eps=HELD, momentum=0.7),
    lambda lr: Adam(lr=lr * HELD, eps=HELD, betas=(0.9, 0.9)),
    lambda lr: Adam(lr=lr * HELD, eps=HELD, betas=(0.5, 0.9)),
    lambda lr: AdamW(lr=lr * HELD, eps=HELD, betas=(0.9, 0.9), weight_decay=0.3 / (lr * HELD)),
    lambda lr: Adamax(lr=lr * HELD, eps=HELD),
    lambda lr: NAdam(lr=lr * HELD, eps=HELD, betas=(0.9, 0.9), momentum_decay=0.0),
    lambda lr: NAdam(lr=lr * HELD, eps=HELD, betas=(0.7, 0.9), momentum_decay=1.0),
    lambda lr: NAdam(
        lr=lr * HELD,
        eps=HELD,
        betas=(0.9, 0.9),
        momentum_decay=0.0,
        weight_decay=0.3 / (lr * HELD),
        decoupled_weight_decay=True,
    ),
    lambda lr: RAdam(lr=lr * HELD, eps=HELD, betas=(0.9, 0.9)),
    lambda lr: RAdam(lr=lr, betas=(0.9, 0.5)),  # never divides
]


def acting(solver: FirstOrder) -> float:
    """Rate over divisor, of a rule whose divisor is held."""
    found = rate_and_limit(solver)
    assert found is not None
    state = np.zeros(solver.blocks)
    solver.update(np.array([1.0]), np.array([1.0]), state, solver.packed(), 1, float(LATE))
    return found[0] / float(state[-1]) if solver.divides else found[0]


@pytest.mark.parametrize("make", LIMITED)
def test_each_rule_is_stable_below_its_limit_and_not_above(make: Any) -> None:
    found = rate_and_limit(make(1.0))
    assert found is not None
    largest = found[1] / acting(make(1.0)) / 3.0  # for curvature 3
    assert slopes(make(0.99 * largest), 3.0, 3000) < 1e-3
    assert slopes(make(1.01 * largest), 3.0, 3000) > 1e3


def test_rprop_has_no_limit_and_asgd_the_one_of_its_rate() -> None:
    assert rate_and_limit(Rprop()) is None
    solver = ASGD(lr=0.01, lambd=0.5, alpha=0.75)
    assert rate_and_limit(solver, 1) == (0.01, 2.0 - 0.5 * 0.01)
    rate, limit = rate_and_limit(solver, 1001) or (0.0, 0.0)
    assert rate == pytest.approx(0.01 / (1 + 0.5 * 0.01 * 1000) ** 0.75, rel=1e-15)
    assert limit == 2.0 - 0.5 * rate


DIVIDED = [
    Adagrad(lr=20.0, steps=500),
    Adadelta(lr=0.1),
    RMSprop(lr=0.001, momentum=0.5),
    Adam(lr=0.1),
    Adam(lr=0.1, weight_decay=0.5),
    AdamW(lr=0.1, weight_decay=0.5),
    Adamax(lr=0.1),
    NAdam(lr=0.1),
    RAdam(lr=0.1),
]


@pytest.mark.parametrize("solver", DIVIDED)
def test_stability_and_the_step_that_passes_its_limit_are_numpys(solver: FirstOrder) -> None:
    trace, found = judged(solver)
    decay = 0.5 if isinstance(solver, Adam) and solver.weight_decay else 0.0
    root = np.sqrt(solver.lr / trace.extra["scale"][:-1])
    curvature = ANSWER.curvature + decay * np.eye(2)
    largest = np.linalg.eigvalsh(root[:, :, None] * curvature * root[:, None, :])[:, -1]
    assert found.facts["stability"] == pytest.approx(largest[-1], rel=1e-12)
    assert found.facts["passed"] == int(np.argmax(largest > found.facts["stability_limit"])) + 1


@pytest.mark.parametrize("solver", [RMSprop(lr=0.01), Adadelta(lr=0.1, steps=20_000), NAdam(lr=0.1, steps=20_000)])
def test_rules_whose_divisor_shrinks_end_at_the_limit(solver: FirstOrder) -> None:
    facts = judged(solver)[1].facts
    assert facts["stability"] == pytest.approx(facts["stability_limit"], rel=1e-3)


def test_the_largest_eigenvalue_is_numpys_of_the_matrix_that_is_not_symmetric() -> None:
    rng = np.random.default_rng(3)
    j = rng.normal(size=(9, 4))
    h, scale = j.T @ j, 10.0 ** rng.uniform(-3, 3, size=(5, 4))
    plain = [np.sort(np.linalg.eigvals(0.3 * np.diag(1.0 / one) @ h).real) for one in scale]
    assert largest(h, 0.3, scale) == pytest.approx([one[-1] for one in plain], rel=1e-12)
    assert largest(h, 0.3, scale[1]) == pytest.approx(plain[1][-1], rel=1e-12)
    assert largest(h, 0.3) == pytest.approx(0.3 * np.linalg.eigvals(h).real.max(), rel=1e-12)
    assert np.linalg.eigvalsh(scaled(h, 0.3, scale[2])) == pytest.approx(plain[2], rel=1e-9)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan])
def test_a_divisor_that_is_no_positive_number_has_no_eigenvalue(bad: float) -> None:
    found = largest(np.eye(2), 1.0, np.array([[1.0, 1.0], [bad, 1.0]]))
    assert found[0] == 1.0
    assert math.isnan(found[1])
