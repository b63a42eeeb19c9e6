"""Least squares for a formula that is linear in its free parameters: the exact answer, in closed form.

One Gauss–Newton step by Householder QR from zero, and one that corrects it, are the answer of a well-conditioned
problem. Where the scaled columns' condition passes 1e3 the normal equations are summed in double-double and solved
in 64-digit decimal arithmetic, so that ill-conditioned polynomials keep their digits (NIST's Filip: 13 of them).
Sources: Björck 1996, chapter 2 (QR, iterative refinement); Hida, Li & Bailey 2001 (double-double).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Context, Decimal, localcontext
from typing import ClassVar

import numpy as np

from katamuki.backends.native import address_of
from katamuki.problem import Problem
from katamuki.problem.double_double import double_double_pass
from katamuki.records import Array
from katamuki.solvers.all_rows import needs_all_rows
from katamuki.solvers.pace import Pace

CONDITION = 1e3  # of the scaled columns: beyond it QR in doubles leaves fewer than 12 digits
DIGITS = 64
CANCELLED = 1e-28  # of Σ w y²: what the sums cannot tell from 0; the residuals themselves can
# A scaled pivot: columns that agree to 13 digits cannot be told apart in data held in doubles.
DEPENDENT = Decimal("1e-26")


@needs_all_rows("solvers.batches_closed")
@dataclass(frozen=True, kw_only=True)
class Linear:
    """The closed form, for formulas linear in their free parameters.

    β = (JᵀWJ)⁻¹ JᵀWy, from a QR decomposition or, for ill-conditioned columns, in double-double.

    Example
    -------
    >>> import katamuki as km
    >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=km.Linear())
    >>> fit.state
    'exact'
    """

    pace: ClassVar[Pace] = "none"


@dataclass(frozen=True, slots=True)
class ExactAnswer:
    """The answer in 64 digits, rounded: free parameters (p,), rss, (JᵀWJ)⁻¹ (p, p), and R (p, p) of √W J = QR."""

    params: Array
    rss: float
    inverse: Array
    triangle: Array


def refine(problem: Problem) -> ExactAnswer | None:
    """Solve a linear problem in double-double; ``None`` where its columns are dependent."""
    values = problem.full(0.0)
    terms = 1 + problem.p + problem.p * (problem.p + 1) // 2
    weights = address_of(problem.weights) if problem.weights is not None else 0
    out = np.empty(2 * terms)
    block = np.zeros(2 * 256 * (1 + problem.all_p))
    lanes = np.empty(512 * terms)
    double_double_pass(
        problem.kernel.double_double_address,
        problem.columns_address,
        address_of(values),
        problem.y_address,
        weights,
        int(problem.weights is not None),
        0,
        problem.n,
        problem.layout.free_address,
        problem.p,
        problem.all_p,
        address_of(block),
        address_of(lanes),
        address_of(out),
    )
    if not np.isfinite(out).all():
        return None
    with localcontext(Context(prec=DIGITS)):
        sums = [Decimal(h) + Decimal(t) for h, t in zip(out[::2].tolist(), out[1::2].tolist(), strict=True)]
    return solved(problem, sums)


def solved(problem: Problem, sums: list[Decimal]) -> ExactAnswer | None:
    """The answer from r₀ᵀWr₀, JᵀWr₀ and the upper triangle of JᵀWJ by rows, r₀ the residuals where all free are 0."""
    with localcontext(Context(prec=DIGITS)):
        found = _solve(sums, problem.p)
    if found is not None and found.rss <= CANCELLED * float(sums[0]):
        return replace(found, rss=problem.rss(problem.full(found.params)))
    return found


def _solve(sums: list[Decimal], p: int) -> ExactAnswer | None:
    """LDLᵀ of the scaled normal matrix, the parameters, the rss and the inverse."""
    right = sums[1 : 1 + p]
    upper = iter(sums[1 + p :])
    matrix = [[Decimal(0)] * p for _ in range(p)]
    for j in range(p):
        for i in range(j, p):
            matrix[i][j] = matrix[j][i] = next(upper)
    if any(matrix[j][j] <= 0 for j in range(p)):
        return None
    scale = [1 / matrix[j][j].sqrt() for j in range(p)]
    lower = [[matrix[i][j] * scale[i] * scale[j] for j in range(p)] for i in range(p)]
    pivots: list[Decimal] = []
    for j in range(p):
        pivot = lower[j][j] - sum((lower[j][k] ** 2 * pivots[k] for k in range(j)), Decimal(0))
        if pivot <= DEPENDENT:
            return None
        pivots.append(pivot)
        for i in range(j + 1, p):
            known = sum((lower[i][k] * lower[j][k] * pivots[k] for k in range(j)), Decimal(0))
            lower[i][j] = (lower[i][j] - known) / pivot
    answer = _substitute(lower, pivots, [right[j] * scale[j] for j in range(p)])
    params = [answer[j] * scale[j] for j in range(p)]
    rss = sums[0] - sum((params[j] * right[j] for j in range(p)), Decimal(0))
    inverse = np.empty((p, p))
    for j in range(p):
        unit = [scale[j] if k == j else Decimal(0) for k in range(p)]
        inverse[:, j] = [float(value * scale[k]) for k, value in enumerate(_substitute(lower, pivots, unit))]
    triangle = np.zeros((p, p))
    for j in range(p):
        root = pivots[j].sqrt()
        for i in range(j, p):
            triangle[j, i] = float(root * (lower[i][j] if i > j else 1) / scale[i])
    return ExactAnswer(np.array([float(one) for one in params]), float(rss), inverse, triangle)


def _substitute(lower: list[list[Decimal]], pivots: list[Decimal], right: list[Decimal]) -> list[Decimal]:
    """x of LDLᵀ x = right."""
    p = len(right)
    x = list(right)
    for i in range(p):
        x[i] -= sum((lower[i][k] * x[k] for k in range(i)), Decimal(0))
    x = [x[i] / pivots[i] for i in range(p)]
    for i in range(p - 1, -1, -1):
        x[i] -= sum((lower[k][i] * x[k] for k in range(i + 1, p)), Decimal(0))
    return x
