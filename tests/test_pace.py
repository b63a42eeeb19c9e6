"""What sets the length of steps, held to the rules themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from katamuki.api.solving import CLASSES
from katamuki.solvers.first_order import FIRST_ORDER, SGD, RMSprop

EARLY, LATE = 3_000, 20_000  # steps with a slope of 1, and then with one of a thousandth


def lengths(solver: Any) -> tuple[float, float]:
    """How long a step is after many with a slope of 1, and after many with one of a thousandth."""
    x, state, options = np.zeros(1), np.zeros(solver.blocks), solver.packed()
    found = []
    for t in range(1, EARLY + LATE + 1):
        before = x[0]
        slope = 1.0 if t <= EARLY else 1e-3
        solver.update(x, np.array([slope]), state, options, 1, float(t))
        if t in (EARLY, EARLY + LATE):
            found.append(abs(x[0] - before))
    return found[0], found[1]


def follows(solver: Any) -> str:
    early, late = lengths(solver)
    if abs(early - solver.lr) <= 0.1 * solver.lr and abs(late - solver.lr) <= 0.1 * solver.lr:
        return "lr"
    return "slope" if late <= 2e-3 * early else "other"


PULLED = {"weight_decay": 0.0}


@pytest.mark.parametrize("kind", [one for one in FIRST_ORDER if one.pace in {"lr", "slope"}])
def test_a_step_is_lr_long_or_shrinks_with_the_slope_as_its_class_says(kind: Any) -> None:
    assert follows(kind(**PULLED)) == kind.pace


def test_a_class_that_said_otherwise_would_be_noticed() -> None:
    assert follows(SGD()) != RMSprop.pace
    assert follows(RMSprop()) != SGD.pace


def test_every_solver_says_what_sets_its_steps() -> None:
    assert {name for name, one in CLASSES.items() if one.pace == "none"} == {"linear", "levenbergmarquardt"}
    assert {one.pace for one in CLASSES.values()} == {"slope", "lr", "own", "none"}
