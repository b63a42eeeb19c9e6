"""From where a solver ended to the fit's claim: parameters, error bars, state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from katamuki.covariance import Uncertainty, uncertainty
from katamuki.identifiability import combinations
from katamuki.problem import Problem
from katamuki.problem.distant import Distant
from katamuki.records import Array, Combination, SigmaIs
from katamuki.solvers import linear
from katamuki.solvers.damped_step import BOUND
from katamuki.solvers.levenberg_marquardt import Descent

ROUNDING = 16 * 2.0**-52  # of y
NEARLY = 1e8  # times that, squared: residuals that are the noise of the formula's own evaluation


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
    """The linearisation at a point that no converging solver chose; its trace is that point."""
    out = problem.triangle(values, exact=True)
    p = problem.p
    rss, triangle = float(out[0]), out[1:].reshape(p + 1, p + 1)
    slope = -2.0 / problem.n * (triangle[:p, :p].T @ triangle[:p, p])
    row = np.concatenate([values[problem.free], slope, np.full(p, np.nan), [rss / problem.n, np.nan, 1.0]])
    return Descent("converged", values, rss, triangle, row[None, :], np.zeros(p), 1, 0.0, 0.0)


def without_rounding(
    problem: Problem, descent: Descent, bounds: Mapping[str, tuple[float, float]] | None = None
) -> Descent:
    """A perfect fit with parameters that are 0 but for rounding put to 0: what they multiply is seen to be open then.

    A constant y under ``a*sin(b*x + c) + d`` leaves a = 1e-17, and slopes along b and c of that size. A parameter is 0
    but for rounding where |θ|·‖∂f/∂θ‖ is within rounding of y; the fit must stay as perfect as rounding lets it, and
    within its bounds.
    """
    p, floor = problem.p, ROUNDING**2 * problem.tss_about_zero
    if descent.edges or not descent.rss <= NEARLY * floor:
        return descent
    values, lengths = descent.values.copy(), np.linalg.norm(descent.triangle[:p, :p], axis=0)
    size = np.abs(values[problem.free]) * lengths
    tiny = (size <= math.sqrt(floor)) & (values[problem.free] != 0.0)
    if not tiny.any():
        return descent
    for k, name in enumerate(problem.free_names):
        low, high = (bounds or {}).get(name, (0.0, 0.0))
        if tiny[k] and low <= 0.0 <= high:
            values[problem.free[k]] = 0.0
    out = problem.triangle(values, exact=True)
    if not out[0] <= max(descent.rss, floor):
        return descent
    triangle = out[1:].reshape(p + 1, p + 1)
    last = descent.rows[-1]
    last[:p] = values[problem.free]
    last[p : 2 * p] = -2.0 / problem.n * (triangle[:p, :p].T @ triangle[:p, p])
    last[3 * p] = out[0] / problem.n
    return replace(descent, values=values, rss=float(out[0]), triangle=triangle)


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
            loss = problem.sample.loss if isinstance(problem, Distant) else problem.loss
            parts = combinations(problem.free_names, descent.values[problem.free], found.null, loss)
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
