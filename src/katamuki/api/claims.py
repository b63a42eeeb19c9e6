"""From where a solver ended to the fit's claim: parameters, error bars, state."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from katamuki.covariance import Uncertainty, uncertainty
from katamuki.identifiability import combinations
from katamuki.problem import Problem
from katamuki.records import Array, Combination, SigmaIs
from katamuki.solvers import linear
from katamuki.solvers.damped_step import BOUND
from katamuki.solvers.levenberg_marquardt import Descent


@dataclass(slots=True)
class Answer:
    """A minimum with its error bars, over the free parameters.

    ``values`` (all_p,); ``triangle`` (p, p) is R of the weighted Jacobian, for judging rows; ``covariance`` (p, p), NaN
    where undetermined; ``stderr`` (p,), NaN where there is none.
    """

    values: Array
    rss: float
    triangle: Array
    covariance: Array
    stderr: Array
    uncertainty: Uncertainty
    at_bound: tuple[str, ...]
    combinations: tuple[Combination, ...]
    held: NDArray[np.bool_] | None = None


def descent_at(problem: Problem, values: Array) -> Descent:
    """The linearisation at a point that no converging solver chose."""
    out = problem.triangle(values, exact=True)
    q = problem.p + 1
    return Descent("converged", values, float(out[0]), out[1:].reshape(q, q), out[:0], np.zeros(problem.p), 1, 0.0, 0.0)


def answer_of(problem: Problem, descent: Descent, sigma_is: SigmaIs | None, bounded: bool) -> Answer:
    """Error bars from the triangle; a parameter held by a bound has none, and the others are conditional on it."""
    p = problem.p
    triangle = descent.triangle[:p, :p]
    held = descent.held == BOUND if bounded else None
    found = uncertainty(triangle, descent.rss, problem.n, sigma_is == "known", None, held)
    at_bound: tuple[str, ...] = ()
    if held is not None:
        at_bound = tuple(name for name, stuck in zip(problem.free_names, held, strict=True) if stuck)
    parts: tuple[Combination, ...] = ()
    if math.isfinite(descent.rss) and found.rank < p - len(at_bound):
        if problem.named:
            parts = combinations(problem.free_names, descent.values[problem.free], found.null, problem.loss)
        else:  # weights of a network: which ones, and no formula for what is determined of them
            open_ones = np.isinf(found.inflation)
            names = tuple(name for name, one in zip(problem.free_names, open_ones, strict=True) if one)
            parts = (Combination(names or problem.free_names, None, None),)
    return Answer(descent.values, descent.rss, triangle, found.covariance, found.stderr, found, at_bound, parts)


def sharpen(problem: Problem, answer: Answer, found: linear.ExactAnswer, sigma_is: SigmaIs | None) -> None:
    """Put the double-double answer of a linear problem in the place of the one from doubles."""
    dof = problem.n - problem.p
    answer.values = problem.full(found.params)
    answer.rss = found.rss
    variance = 1.0 if sigma_is == "known" else found.rss / dof if dof > 0 else math.nan
    answer.covariance = found.inverse * variance
    answer.stderr = np.sqrt(np.diag(answer.covariance))
    answer.combinations = ()
