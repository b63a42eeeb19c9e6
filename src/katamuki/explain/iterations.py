"""The iterations of L-BFGS within one step: the run once more, one evaluation at a time, watched.

The compiled machine of :mod:`katamuki.solvers.lbfgs_step` runs again from the start, bit for bit; after each evaluation
its state is read. Its slots are those of :mod:`katamuki.solvers.lbfgs_search`.
"""

from __future__ import annotations

from dataclasses import replace

from katamuki.explain.step import Iteration
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
    searched = solver.line_search_fn is not None
    found: list[Iteration] = []
    known = before = 0  # iterations of the run that were seen; steps that were over before this evaluation

    def named(state: Array, which: int) -> dict[str, float]:
        first = at.SLOTS + which * p
        return dict(zip(names, state[first : first + p].tolist(), strict=True))

    for state in evaluations(solver, problem, start):
        begun, outer = int(state[at.ITERATION]), int(state[at.OUTER])
        if found:
            last = found[-1]
            found[-1] = replace(last, evaluations=last.evaluations + 1)
            if searched and (begun != known or outer >= k):
                found[-1] = replace(found[-1], length=float(state[at.TAKEN]))
        if begun != known and before == k - 1:
            found.append(
                Iteration(
                    number=begun,
                    pairs=int(state[at.COUNT]),
                    diagonal=float(state[at.DIAGONAL]),
                    gradient=named(state, at.PREVIOUS),
                    direction=named(state, at.DIRECTION),
                    slope=float(state[at.SLOPE]),
                    length=float(state[at.LENGTH]),
                    evaluations=0,
                )
            )
        if outer >= k:
            break
        known, before = begun, outer
    return tuple(found[:moves])
