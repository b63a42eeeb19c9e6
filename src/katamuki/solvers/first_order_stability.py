"""The stability limit of first-order rules: how large rate times curvature may be, and where a run passed it.

Close to the least-squares answer the loss is a parabola with curvature H, and a solver that divides gradients by d and
multiplies them by lr is stable as long as the largest eigenvalue of lr·diag(1/d)·H stays below a limit. With the
divisor held, a rule is a linear recurrence along each direction, and the limit is where its characteristic polynomial
has the root −1: 2 for plain descent, 2(1 + β) with momentum β, 2(1 + β₁)/(1 − β₁) where that is a mean of gradients, as
Adam's. Weight decay λ that is part of the gradient adds λ to H; apart from it, as AdamW's, it takes the share lr·λ/2
off the limit. NAdam's two parts stand in its divisor, so that its limit is 2. Rprop looks at signs only and has no such
limit. Sources: Polyak 1964 (momentum); Jury 1964 (the polynomial); Cohen et al. 2021 and 2022 (the edge of stability,
with momentum and for divided gradients).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from katamuki.backends.native import address_of, function
from katamuki.records import Array, Trace
from katamuki.solvers.first_order import ASGD, SGD, Adam, Adamax, AdamW, FirstOrder, RAdam, RMSprop, Rprop
from katamuki.solvers.first_order_steps import strided

WORK = 2e8  # multiplications that the search for the stability limit may cost; beyond, that fact is left out
ROOM = 4e6  # numbers that matrices may take at once


@function("int64(double*, int64, int64, int64, double*, double, double*)")
def first_unstable(scale, stride, rows, p, curvature, limit, work):  # type: ignore[no-untyped-def]
    """The first row at which limit·diag(scale) − H is not positive definite; −1 if there is none. ``work``: p².

    Positive definite means: all pivots of its LDLᵀ are positive (Golub & Van Loan 2013, section 4.2).
    """
    for row in range(rows):
        for j in range(p):
            for i in range(j, p):
                rest = -curvature[i * p + j]
                if i == j:
                    rest += limit * scale[row * stride + j]
                for k in range(j):
                    rest -= work[i * p + k] * work[j * p + k] / work[k * p + k]
                work[i * p + j] = rest
            if not work[j * p + j] > 0.0:
                return row
    return -1


@function("int64(double*, int64, int64, int64, int64)")
def first_zigzag(step, stride, first, rows, p):  # type: ignore[no-untyped-def]
    """The first row from ``first`` on whose step turns back in some parameter, and the next one again; −1 if none."""
    for row in range(first, rows - 1):
        for k in range(p):
            before, here = step[(row - 1) * stride + k], step[row * stride + k]
            if before * here < 0.0 and here * step[(row + 1) * stride + k] < 0.0:
                return row
    return -1


def pull(solver: FirstOrder) -> tuple[float, float]:
    """How strongly a solver pulls parameters towards 0: as part of the gradient, and apart from it; 0 where not."""
    decay = float(getattr(solver, "weight_decay", 0.0))
    if getattr(solver, "decoupled_weight_decay", False):
        return 0.0, decay
    return decay, float(getattr(solver, "lambd", 0.0))


def rate_and_limit(solver: FirstOrder, step: int | None = None) -> tuple[float, float] | None:
    """The learning rate that acts, and what it times the (divided) curvature must stay below; None for Rprop.

    ASGD's rate decays: it is that of ``step`` (1, 2, …), the last one that was asked for unless given.
    """
    if isinstance(solver, Rprop):
        return None
    if isinstance(solver, SGD):
        momentum = solver.momentum
        if solver.nesterov:
            return solver.lr, (2.0 + 2.0 * momentum) / (1.0 + 2.0 * momentum)
        return solver.lr * (1.0 - solver.dampening if momentum else 1.0), 2.0 * (1.0 + momentum)
    if isinstance(solver, ASGD):
        taken = (solver.steps if step is None else step) - 1
        rate = solver.lr / (1.0 + solver.lambd * solver.lr * taken) ** solver.alpha
        return rate, 2.0 - solver.lambd * rate
    limit = 2.0
    if isinstance(solver, RMSprop):
        limit = 2.0 * (1.0 + solver.momentum)
    elif isinstance(solver, (Adam, AdamW, Adamax, RAdam)):
        beta = solver.betas[0]
        limit = 2.0 * (1.0 + beta) / (1.0 - beta)
    return solver.lr, limit * (1.0 - solver.lr * pull(solver)[1] / 2.0)


def scaled(curvature: Array, rate: float, scale: Array) -> Array:
    """A symmetric matrix (…, p, p) with the eigenvalues of rate·diag(1/scale)·H, for divisors (…, p)."""
    root = np.sqrt(rate / scale)
    found: Array = curvature * root[..., :, None] * root[..., None, :]
    return found


def largest(curvature: Array, rate: float, scale: Array | None = None) -> Array:
    """The largest eigenvalue (…) of rate·diag(1/scale)·H for divisors (…, p), all 1 if not given.

    NaN where a divisor is not a positive number.

    Example
    -------
    >>> largest(np.diag([1.0, 3.0]), 0.5, np.array([[1.0, 1.0], [1.0, 6.0], [0.0, 1.0]])).round(9).tolist()
    [1.5, 0.5, nan]
    """
    if scale is None:
        return np.asarray(rate * np.linalg.eigvalsh(curvature)[-1])
    rows = scale.reshape(-1, len(curvature))
    found = np.full(len(rows), math.nan)
    usable = np.flatnonzero((np.isfinite(rows) & (rows > 0.0)).all(axis=1))
    step = max(1, int(ROOM / len(curvature) ** 2))
    for first in range(0, len(usable), step):
        some = usable[first : first + step]
        found[some] = np.linalg.eigvalsh(scaled(curvature, rate, rows[some]))[:, -1]
    return found.reshape(scale.shape[:-1])


def about_stability(trace: Trace, solver: FirstOrder, curvature: Array) -> dict[str, Any]:
    """Facts about stability, each only where it has a meaning; the names are those of ``diagnose``."""
    p, steps = len(trace.names), len(trace) - 1
    found = rate_and_limit(solver, max(int(trace.index[-1]), 1))
    if found is None or (steps < 1 and solver.divides):
        return {}
    rate, limit = found
    joined = pull(solver)[0]
    if joined:
        curvature = curvature + joined * np.eye(p)
    if isinstance(solver, (SGD, ASGD)):
        return {"stability_limit": limit} | _of_descent(solver, curvature, rate, limit)
    if "scale" not in trace.extra:
        return {}
    facts: dict[str, Any] = {"stability_limit": limit}
    scale, stride = strided(trace.extra["scale"])
    last = scale[steps - 1]
    if not all(0.0 < one < math.inf for one in last.tolist()):
        return {}
    facts["stability"] = float(np.linalg.eigvalsh(scaled(curvature, rate, last))[-1])
    if limit <= 0.0 or steps * (p**3 / 6 + p) > WORK:
        return facts
    curvature, work = np.ascontiguousarray(curvature), np.empty(p * p)
    pointers = (address_of(curvature), limit / rate, address_of(work))
    row = first_unstable(address_of(scale[0]), stride, steps, p, *pointers)
    if row >= 0:
        facts["passed"] = int(trace.index[row]) + 1
        step, stride = strided(trace.step)
        turn = first_zigzag(address_of(step[0]), stride, max(row, 1), steps, p)
        if turn >= 0:
            facts["zigzag"] = int(trace.index[turn]) + 1
    return facts


def _of_descent(solver: SGD | ASGD, curvature: Array, rate: float, limit: float) -> dict[str, Any]:
    """The stability at the end, and the learning rates that these data allow."""
    bends = np.linalg.eigvalsh(curvature)
    facts: dict[str, Any] = {"stability": rate * float(bends[-1])}
    if bends[-1] > 0.0 and rate > 0.0:
        if isinstance(solver, ASGD):  # of the first step, which has the largest rate
            facts["largest_lr"] = 2.0 / (float(bends[-1]) + solver.lambd)
        else:
            facts["largest_lr"] = limit / float(bends[-1]) * solver.lr / rate
            if solver.momentum == 0.0 and bends[0] > 0.0 and limit == 2.0:
                facts["fastest_lr"] = 2.0 / float(bends[0] + bends[-1])
    return facts
