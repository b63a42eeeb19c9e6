"""Gauss–Newton steps on rows that are elsewhere, as few as their number of digits needs.

From the sample's answer the minimum is a few standard errors away, where undamped steps contract fast, the more so with
the model's curvature (:mod:`katamuki.solvers.curvature`): each pass gives a step δₖ, the ratio ρ of two steps says how
far the next would go, and where ρ·δₖ is below the digits of a double the step is taken without a pass to look at it:
what it leaves of the sum of squares is known from the triangle, and how it turns the triangle from the curvature.
Anything else (steps that do not shrink, a bound in the way, columns that depend on each other) is left to
Levenberg–Marquardt. Source: Björck 1996, section 9.2 (the linear rate of Gauss–Newton).
"""

from __future__ import annotations

import math
import time

import numpy as np

from katamuki.problem.distant import Distant
from katamuki.records import Array
from katamuki.solvers.curvature import Curvature
from katamuki.solvers.levenberg_marquardt import Descent, Progress

MOST = 8  # passes; more digits a pass are wanted than this would bring
CONTRACTS = 0.2  # the largest ratio of two steps
DIGITS = 1e-13  # of a parameter: what the next step would change of it
NEAR = 3e-13  # of a parameter: how far the last step may go where nobody says how it turns the triangle
TURNED = 3e-11  # of the triangle: how far the sample may be off about that
OPEN = 1e-13  # a diagonal of R, against its column, that is rounding
RISE = 1e-12  # of the rss, by rounding


def settle(
    problem: Distant,
    start: Array,
    lower: Array | float,
    upper: Array | float,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Descent | None:
    """The minimum near ``start`` (all_p,), or None where it is not near, not within the bounds, or not one.

    Parameters
    ----------
    problem : Distant
        Rows that are elsewhere.
    start : (all_p,) float64
        All parameters, near the answer.
    lower, upper : (p,) float64 or float
        Bounds of the free ones.
    seconds : float, optional
        How long it may take: None is returned after the pass in which this time is over.
    progress : function, optional
        Called after each pass with how many there were, and the loss.

    Returns
    -------
    Descent or None
        Its last row is the result, a step after the last pass.

    Source
    ------
    Björck 1996, section 9.2.
    """
    p, free, values = problem.p, problem.free, start.copy()
    rows, before, last, began = [], math.inf, math.inf, time.perf_counter()
    for k in range(MOST):
        out = problem.triangle(values, exact=True)
        triangle = out[1:].reshape(p + 1, p + 1)
        r, qtr = triangle[:p, :p], triangle[:p, p]
        if not np.isfinite(out).all() or out[0] > before * (1.0 + RISE) or _is_open(r):
            return None
        curvature = Curvature(problem, values, r)
        step = curvature.bent(np.asarray(np.linalg.solve(r, qtr), dtype=np.float64))
        size = float(np.linalg.norm(qtr))  # of the step, as far as it moves predictions
        ratio = size / last
        slope, loss = -2.0 / problem.n * (r.T @ qtr), float(out[0]) / problem.n
        rows.append(np.concatenate([values[free], slope, step, [loss, 0.0, 1.0]]))
        if progress is not None:
            progress(k + 1, loss)
        moved = values.copy()
        moved[free] += step
        inside = (moved[free] > lower) & (moved[free] < upper)
        late = seconds is not None and time.perf_counter() - began > seconds
        if late or not inside.all() or (k > 0 and ratio > CONTRACTS):
            return None
        there = np.abs(moved[free])
        last_one = k > 0 and bool((np.abs(step) * ratio <= DIGITS * there).all())
        turned, unsure = curvature.turned(step) if last_one else (r, math.inf)
        if last_one and (unsure <= TURNED or (np.abs(step) <= NEAR * there).all()):
            rss = float(out[0]) - size * size
            end = np.zeros((p + 1, p + 1))
            end[:p, :p] = turned
            end[p, p] = math.sqrt(max(rss, 0.0))
            rows.append(np.concatenate([moved[free], np.zeros(p), np.full(p, np.nan), [rss / problem.n, 0.0, 1.0]]))
            return Descent("converged", moved, rss, end, np.array(rows), np.zeros(p), len(rows), 0.0, 0.0)
        values, before, last = moved, float(out[0]), size
    return None


def _is_open(r: Array) -> bool:
    """Whether a column depends on those before it."""
    return bool((np.abs(np.diag(r)) <= OPEN * np.linalg.norm(r, axis=0)).any())
