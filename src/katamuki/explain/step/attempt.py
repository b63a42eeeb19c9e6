"""One attempt of Levenberg–Marquardt, told from the trace: the small system it solved, and how it judged the result.

The matrices are made anew at the recorded point; the scaling D and the growth of the damping are followed along the
attempts before it. What the attempt really tried is the trace's; where bounds, a held parameter or an extrapolated step
made that differ from the system's solution, the record says so. Method and source:
:mod:`katamuki.solvers.damped_step`.
"""

from __future__ import annotations

import numpy as np

from katamuki.explain.step.record import Attempt
from katamuki.problem import Problem
from katamuki.records import Array, Trace

SAME = 1e-6  # of a step: the trace's and the system's are one


def attempt_at(problem: Problem, trace: Trace, row: int) -> Attempt:
    """The attempt of a row of the trace.

    Parameters
    ----------
    problem : Problem
        What was solved.
    trace : Trace
        Of Levenberg–Marquardt: one row per attempt.
    row : int
        Counted from 0.

    Returns
    -------
    Attempt
        Over the free parameters.
    """
    damping, accepted = trace.extra["damping"], trace.extra["accepted"]
    scale, growth = _followed(problem, trace, row)
    values = problem.full(trace.params[row])
    sums = problem.normal(values)
    normal, moment = _unpacked(sums, problem.p)
    step = trace.step[row]
    moved = step != 0.0
    solved = np.zeros(problem.p)
    solved[moved] = _solved(problem, values, moved, float(damping[row]), scale)
    promised = float(2.0 * step @ moment - step @ normal @ step)
    trial = problem.full(trace.params[row] + step)
    came = float(sums[0] - problem.rss(trial))
    follows = row + 1 < len(trace) - 1
    return Attempt(
        damping=float(damping[row]),
        normal=normal,
        moment=moment,
        scale=scale,
        solved=solved,
        step=step.copy(),
        stretch=_stretch(solved, step),
        promised=promised,
        came=came,
        ratio=came / promised if promised != 0.0 else float("nan"),
        accepted=bool(accepted[row]),
        growth=growth,
        next_damping=float(damping[row + 1]) if follows else None,
    )


def _unpacked(sums: Array, p: int) -> tuple[Array, Array]:
    """JᵀJ and Jᵀr from rss, Jᵀr and the upper triangle by rows."""
    normal = np.zeros((p, p))
    normal[np.triu_indices(p)] = sums[1 + p :]
    return normal + np.triu(normal, 1).T, sums[1 : 1 + p].copy()


def _followed(problem: Problem, trace: Trace, row: int) -> tuple[Array, float]:
    """D and the growth of the damping before an attempt, as the attempts up to it left them."""
    damping, accepted = trace.extra["damping"], trace.extra["accepted"]

    def norms(at: int) -> Array:
        normal, _ = _unpacked(problem.normal(problem.full(trace.params[at])), problem.p)
        return np.sqrt(np.diag(normal))

    scale, growth = norms(0), 2.0
    scale[scale == 0.0] = 1.0
    for k in range(row):
        polish = damping[k] == 0.0
        if accepted[k]:
            here = norms(k + 1)
            scale = np.where((here > scale) | polish, here, scale)
            scale[scale == 0.0] = 1.0
            growth = 2.0
        else:
            growth *= 2.0
        if polish and damping[k + 1] != 0.0:  # it went back to damped steps, as at the start
            here = norms(k + 1)
            scale, growth = np.where(here > 0.0, here, 1.0), 2.0
    return scale, growth


def _solved(problem: Problem, values: Array, moved: Array, damping: float, scale: Array) -> Array:
    """δ of the parameters that moved, by least squares on [R; √damping·D]: no digits lost to squares."""
    q = problem.p + 1
    triangle = problem.triangle(values, exact=True)[1:].reshape(q, q)
    r, qtr = np.triu(triangle[: problem.p, : problem.p]), triangle[: problem.p, problem.p]
    matrix = np.vstack([r, np.sqrt(damping) * np.diag(scale)])[:, moved]
    right = np.concatenate([qtr, np.zeros(problem.p)])
    found: Array = np.linalg.lstsq(matrix, right, rcond=None)[0]
    return found


def _stretch(solved: Array, step: Array) -> float | None:
    """What times the solution the step is: 1, or more or less along one line; None where it is something else."""
    size = float(solved @ solved)
    if size == 0.0:
        return None
    factor = float(step @ solved) / size
    if not np.allclose(step, factor * solved, rtol=SAME, atol=SAME * float(np.abs(step).max())):
        return None
    return 1.0 if abs(factor - 1.0) < SAME else factor
