"""Profile intervals by brute force: SciPy fits the others again at each value, stepping outwards from the answer."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq, least_squares

from judged import jacobian, residuals
from katamuki.problem import Problem

STRIDE = 0.1  # of the half-width of the interval from the standard error


def end(rows: Problem, values: np.ndarray, k: int, half: float, target: float, far: float = 40.0) -> float:
    """Where along free parameter k, going by ``half``, the sum of squares has risen by ``target``.

    Infinite beyond ``far`` times ``half``.
    """
    others = [j for j in range(rows.p) if j != k]
    answer = values[rows.free]
    least = float(np.sum(residuals(rows, values) ** 2))
    near = answer[others].copy()

    def at(u: float, rest: np.ndarray) -> np.ndarray:
        free = answer.copy()
        free[k] += u * half
        free[others] = rest
        return rows.full(free)

    def rise(u: float) -> float:
        nonlocal near
        if not others:
            return float(np.sum(residuals(rows, at(u, near)) ** 2)) - least - target
        found = least_squares(
            lambda rest: residuals(rows, at(u, rest)),
            near,
            jac=lambda rest: -jacobian(rows, at(u, rest))[:, others],
            x_scale="jac",
            method="lm",
            ftol=1e-15,
            xtol=1e-15,
            gtol=1e-15,
        )
        near = found.x
        return 2 * float(found.cost) - least - target

    u, wide = 0.0, STRIDE
    while rise(wide) < 0.0:
        u, wide = wide, wide + STRIDE * max(1.0, wide)
        if u > far:
            return math.copysign(math.inf, half)
    return float(answer[k] + half * brentq(rise, u, wide, xtol=1e-13, rtol=1e-13))
