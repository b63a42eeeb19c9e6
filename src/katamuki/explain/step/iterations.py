"""The iterations of L-BFGS within one step: the run once more, one evaluation at a time, watched.

The compiled machine of :mod:`katamuki.solvers.lbfgs_step` runs again from the start, bit for bit; after each evaluation
its state is read. Its slots are those of :mod:`katamuki.solvers.lbfgs_search`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from katamuki.explain.step.record import Iteration
from katamuki.problem import Problem
from katamuki.records import Array
from katamuki.solvers import lbfgs_search as at
from katamuki.solvers.lbfgs import LBFGS, evaluations


def iterations_of(solver: LBFGS, problem: Problem, start: Array, k: int, moves: int) -> tuple[Iteration, ...]:
    """The iterations of step ``k`` of a run.

    Parameters
    ----------
    solver : LBFGS
        What ran.
    problem : Problem
        On what.
    start : (all_p,) float64
        From where.
    k : int
        The step, counted from 1.
    moves : int
        How many of its iterations moved; one more may have begun and found nothing to do.

    Returns
    -------
    tuple of Iteration
        In order; none if the step is not reached.
    """
    p, names = problem.p, problem.free_names
    capacity = int(solver.packed()[at.CAPACITY])
    searched = solver.line_search_fn is not None
    found: list[Iteration] = []
    known = before = 0  # iterations of the run that were seen; steps that were over before this evaluation

    def named(state: Array, which: int) -> dict[str, float]:
        return _named(names, state[at.SLOTS + which * p :])

    for state in evaluations(solver, problem, start):
        begun, outer = int(state[at.ITERATION]), int(state[at.OUTER])
        if found:
            last = found[-1]
            found[-1] = replace(last, evaluations=last.evaluations + 1)
            if searched and (begun != known or outer >= k):
                found[-1] = replace(found[-1], length=float(state[at.TAKEN]))
        if begun != known and before == k - 1:
            turned, moved = _newest(state, names, capacity)
            found.append(
                Iteration(
                    number=begun,
                    pairs=int(state[at.COUNT]),
                    diagonal=float(state[at.DIAGONAL]),
                    gradient=named(state, at.PREVIOUS),
                    direction=named(state, at.DIRECTION),
                    moved=moved,
                    turned=turned,
                    slope=float(state[at.SLOPE]),
                    length=float(state[at.LENGTH]),
                    evaluations=0,
                )
            )
        if outer >= k:
            break
        known, before = begun, outer
    return tuple(found[:moves])


def _named(names: Sequence[str], values: Array) -> dict[str, float]:
    return dict(zip(names, values[: len(names)].tolist(), strict=True))


def _newest(
    state: Array, names: Sequence[str], capacity: int
) -> tuple[dict[str, float], dict[str, float]] | tuple[None, None]:
    """Δg and Δp of the newest pair, as the machine keeps them."""
    p, count = len(names), int(state[at.COUNT])
    if not count:
        return None, None
    place = (int(state[at.HEAD]) + count - 1) % capacity
    kept = state[at.SLOTS + at.VECTORS * p + place * (2 * p + 2) :]
    return _named(names, kept), _named(names, kept[p:])
