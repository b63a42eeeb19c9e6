"""The closed form of rows that are elsewhere: one pass, as a rule.

The sample says what is to be expected. Well-conditioned columns: one pass at the sample's answer, whose residuals are
small, so that the step from there loses nothing to cancellation; a second pass where it was far after all. Others: one
pass in double-double (:mod:`katamuki.solvers.linear`), whose sums add up to those of all rows however many there are.
Columns that depend on each other: Gauss–Newton by blocked QR, as in memory.
"""

from __future__ import annotations

import math

import numpy as np

from katamuki.problem import Problem
from katamuki.problem.distant import Distant
from katamuki.problem.large import LargeProblem
from katamuki.records import Array
from katamuki.solvers.levenberg_marquardt import Descent, minimise
from katamuki.solvers.linear import CONDITION, ExactAnswer, solved

SHRUNK = 1e-6  # of the rss: where less is left of it after a step, ten digits of the rest are rounding
PASSES = 3  # at most, until a step is short
OPEN = 1e-13  # a diagonal of R, against its column, that is rounding


def near_by(problem: Distant | LargeProblem) -> tuple[Array, float]:
    """The answer on the sample (all_p,), 0 where it has none, and the condition of its scaled columns."""
    sample, p, condition = problem.sample, problem.p, math.inf
    near = minimise(sample, sample.full(0.0), linear=True, max_steps=1)
    if np.isfinite(near.triangle).all():
        condition = scaled_condition(near.triangle[:p, :p])
    usable = near.ending == "converged" and condition < math.inf
    return near.values if usable else problem.full(0.0), condition


def scaled_condition(r: Array) -> float:
    """The condition of a triangle whose columns have length 1; infinite where they depend on each other."""
    lengths = np.linalg.norm(r, axis=0)
    singular = np.linalg.svd(r / np.where(lengths > 0.0, lengths, 1.0), compute_uv=False)
    return float(singular[0] / singular[-1]) if singular[-1] > OPEN * singular[0] else math.inf


def closed_form(problem: Distant | LargeProblem, near: Array, condition: float) -> tuple[Descent, ExactAnswer | None]:
    """The least-squares answer of a linear problem, and that in 31 digits where the columns ask for it.

    Parameters
    ----------
    problem : Distant or LargeProblem
        Rows that are elsewhere, or many.
    near : (all_p,) float64
        The answer on the sample; any place where it has none.
    condition : float
        Of the scaled columns of the sample; infinite where they depend on each other.

    Returns
    -------
    Descent, ExactAnswer or None
        The answer with its triangle; the second is None where doubles are enough or columns depend on each other.

    Source
    ------
    Björck 1996, sections 2.2 and 2.9.
    """
    if not condition <= CONDITION or problem.sample.rough:
        sums = problem.exact_sums()
        found = None if sums is None else solved(problem, sums)
        if found is not None:
            return _descent(problem, problem.full(found.params), found.rss, found.triangle), found
    values = near
    for _ in range(PASSES):
        problem.begin(values)
        out = problem.triangle(values, exact=True)
        triangle = out[1:].reshape(problem.p + 1, problem.p + 1)
        if not np.isfinite(out).all() or _is_open(triangle):
            break
        step = np.linalg.solve(triangle[:-1, :-1], triangle[:-1, -1])
        values = values.copy()
        values[problem.free] += step
        rss = float(triangle[-1, -1] ** 2)
        if rss > SHRUNK * out[0]:
            return _descent(problem, values, rss, triangle[:-1, :-1]), None
    return minimise(problem, problem.full(0.0), linear=True, max_steps=1), None


def _is_open(triangle: Array) -> bool:
    """Whether a column depends on those before it."""
    r = triangle[:-1, :-1]
    return bool((np.abs(np.diag(r)) <= OPEN * np.linalg.norm(r, axis=0)).any())


def _descent(problem: Problem, values: Array, rss: float, r: Array) -> Descent:
    """An answer as a descent that begins and ends there."""
    p = problem.p
    triangle = np.zeros((p + 1, p + 1))
    triangle[:p, :p] = r
    triangle[p, p] = math.sqrt(max(rss, 0.0))
    row = np.concatenate([values[problem.free], np.zeros(p), np.full(p, np.nan), [rss / problem.n, np.nan, 1.0]])
    return Descent("converged", values, rss, triangle, row[None, :], np.zeros(p), problem.evaluations, 0.0, 0.0)
