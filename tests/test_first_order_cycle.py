"""A thinned trace tells the step from which on a run cycles as the whole trace of the same run tells it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import katamuki as km
from katamuki.records import Cycle
from katamuki.solvers import first_order_cycle, first_order_run
from katamuki.solvers.first_order_cycle import since_when

START = {"a": 0.5, "b": 0.5}
FORMULA = "y ~ a*x + b"


def fitted(solver: object) -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit(FORMULA, km.datasets("tutorial"), start=START, solver=solver)


def cycle_of(fit: km.Fit) -> Cycle:
    assert fit.state == "cycle"
    found = fit.solution.cycle
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("solver", "whole"),
    [
        (km.RMSprop(lr=0.01, steps=6000), 300_000),  # it began among rows that were thinned
        (km.RMSprop(lr=0.01, steps=6000), 200_000),
        (km.RMSprop(lr=0.1, steps=20_000), 100_000),  # among the first rows, which are all there
        (km.RMSprop(lr=0.003, steps=20_000), 400_000),
        (km.RMSprop(lr=0.01, centered=True, steps=20_000), 200_000),
    ],
)
def test_a_thinned_trace_tells_the_same_step(monkeypatch: pytest.MonkeyPatch, solver: km.RMSprop, whole: int) -> None:
    expected = cycle_of(fitted(solver))
    monkeypatch.setattr(first_order_run, "WHOLE", whole)
    thinned = fitted(solver)
    trace = thinned.trace
    assert trace is not None
    assert len(trace) < solver.steps
    after_the_gaps = int(trace.index[np.flatnonzero(np.diff(trace.index) != 1)[-1] + 1]) + 1
    assert expected.since < after_the_gaps  # the rows after the last gap do not tell it
    assert cycle_of(thinned) == expected


def test_a_cycle_that_began_after_the_last_gap_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = km.RMSprop(lr=0.01, steps=2190)
    expected = cycle_of(fitted(solver))
    monkeypatch.setattr(first_order_run, "WHOLE", 157_000)
    monkeypatch.setattr("katamuki.solvers.first_order_cycle.window", None)  # nothing is computed again
    thinned = fitted(solver)
    assert thinned.trace is not None
    assert len(thinned.trace) < solver.steps
    assert cycle_of(thinned) == expected


def test_a_stretch_that_left_the_cycle_is_seen_where_a_row_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = km.RMSprop(lr=0.01, steps=6000)
    monkeypatch.setattr(first_order_run, "WHOLE", 300_000)
    thinned = fitted(solver)
    trace, cycle = thinned.trace, cycle_of(thinned)
    assert trace is not None
    real = first_order_run.window

    def astray(solver: object, problem: object, trace: km.Trace, first: int, count: int, *more: object) -> km.Trace:
        found = real(solver, problem, trace, first, count, *more)  # type: ignore[arg-type]
        there = (found.index >= 3000) & (found.index < 3400)
        found.params[there] += found.index[there, None]
        return found

    monkeypatch.setattr(first_order_cycle, "window", astray)
    problem = thinned._problem()
    gaps = np.flatnonzero(np.diff(trace.index) != 1)
    late = Cycle(int(trace.index[gaps[-1] + 1]) + 1, cycle.low, cycle.high, cycle.middle, cycle.half_width)
    assert since_when(solver, problem, trace, late).since == 3401
