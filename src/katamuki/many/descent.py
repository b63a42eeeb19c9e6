"""Levenberg–Marquardt for one small curve after the other, whole fits in one compiled function.

The fast twin of :mod:`katamuki.solvers.damped_step` for well-behaved curves: normal equations with columns of length 1
(their digits suffice while no diagonal of the Cholesky factor is small), damping by the gain ratio (Nielsen 1999), then
undamped Gauss–Newton steps until they no longer shrink. It claims nothing that it cannot: a curve whose steps do not
settle, whose columns nearly depend on each other, or whose answer lies outside its bounds is handed back with a status,
and the careful solver fits it. Nothing here is shared between curves, so a curve's bits do not depend on the others.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, function, inline
from katamuki.many.facts import FACTS, facts_room, judge
from katamuki.problem.passes import normal_sums

# Statuses.
CLEAN, NOT_FITTED, NO_VALUE, UNSETTLED, ILL, OUTSIDE, HIGHER = range(7)
# Slots of a curve's result; all parameters and the square roots of the diagonal of (JᵀJ)⁻¹ follow.
STATUS, RSS, EVALUATIONS, TRY, LEAST = range(5)
OF_FACTS = 5  # where what the residuals say begins, see katamuki.many.facts
HEAD = OF_FACTS + FACTS

FIRST = 1e-3  # damping
LONGEST = 1e12  # damping
LEAST_GAIN = 1e-4  # of what was promised, for a step to be taken
NEAR = 1e-5  # of the rss: a promised gain below it is taken undamped
SURE = 1e-13  # of the parameters: what is still to go after a step this short changes no digit
LAST = 3e-11  # of the parameters: a step so short leaves error bars ten digits
WORSE = 1e-6  # of the rss: an undamped step that leads so much higher left no minimum
DIAGONAL = 1e-2  # of a Cholesky factor with columns of length 1: normal equations keep twelve digits
BETTER = 1e-6  # of the rss: a start that is so much lower than the end leads elsewhere


def room(p: int, all_p: int) -> int:
    """How many doubles a curve's fit works in, beside a block."""
    size = 1 + p + p * (p + 1) // 2 + 4
    descending = 2 * all_p + 2 * size + p * p + 2 * p
    return descending + p * p + facts_room(p)


@inline
def cholesky(sums, p, damping, matrix, length):  # type: ignore[no-untyped-def]
    """The factor L (p, p) by rows of the scaled normal matrix plus damping; its least diagonal, 0 if there is none."""
    row = 1 + p
    for i in range(p):
        length[i] = math.sqrt(sums[row])
        row += p - i
    least = 1.0
    row = 1 + p
    for i in range(p):
        if not length[i] > 0.0:
            return 0.0
        for k in range(i, p):
            value = sums[row + k - i] / (length[i] * length[k])
            if k == i:
                value += damping
            for j in range(i):
                value -= matrix[i * p + j] * matrix[k * p + j]
            if k == i:
                if not value > 1e-14:
                    return 0.0
                matrix[i * p + i] = math.sqrt(value)
                least = min(least, matrix[i * p + i])
            else:
                matrix[k * p + i] = value / matrix[i * p + i]
        row += p - i
    return least


@inline
def step_of(sums, p, matrix, length, step):  # type: ignore[no-untyped-def]
    """``step`` in units of 1/length, so that its length is that of the change of the curve."""
    for i in range(p):
        value = sums[1 + i] / length[i]
        for j in range(i):
            value -= matrix[i * p + j] * step[j]
        step[i] = value / matrix[i * p + i]
    for i in range(p - 1, -1, -1):
        value = step[i]
        for j in range(i + 1, p):
            value -= matrix[j * p + i] * step[j]
        step[i] = value / matrix[i * p + i]


@inline
def promised(sums, p, length, damping, step):  # type: ignore[no-untyped-def]
    """By how much a damped step lowers the rss of the linearisation: δ·g + damping‖δ‖² (Nielsen 1999)."""
    total = 0.0
    for j in range(p):
        total += step[j] * (sums[1 + j] / length[j] + damping * step[j])
    return total


@inline
def invert(matrix, p, length, inverse, out):  # type: ignore[no-untyped-def]
    """``inverse`` W (p, p) with WWᵀ = (JᵀJ)⁻¹, from L of the scaled normal matrix; ``out`` (p,) its rows' lengths."""
    for k in range(p):
        row, total = at(inverse, k * p), 0.0
        for i in range(p):
            value = 1.0 if i == k else 0.0
            for j in range(k, i):
                value -= matrix[i * p + j] * row[j]
            row[i] = value / matrix[i * p + i] if i >= k else 0.0
            total += row[i] * row[i]
        for i in range(p):
            row[i] /= length[k]
        out[k] = math.sqrt(total) / length[k]


@inline
def descend(  # type: ignore[no-untyped-def]
    kernel, columns, y, root, weighted, start, stop, free, p, all_p, max_steps, x, block, work, result
):  # fmt: skip
    """From ``x`` (all_p,) to the minimum below it, in place; a status, and the sums there in ``work``."""
    size = 1 + p + p * (p + 1) // 2 + 4
    sums, fresh = work, at(work, size)
    trial = at(fresh, size)
    matrix = at(trial, all_p)
    length = at(matrix, p * p)
    step = at(length, p)
    normal_sums(kernel, columns, x, y, root, weighted, start, stop, free, p, block, sums)
    result[EVALUATIONS] += 1.0
    total = 0.0
    for k in range(size - 4):
        total += sums[k] * 0.0
    if total != 0.0:
        return NO_VALUE
    damping, growth, before, polishing = FIRST, 2.0, math.inf, False
    for k in range(all_p):
        trial[k] = x[k]
    for _ in range(max_steps):
        used = 0.0 if polishing else damping
        least = cholesky(sums, p, used, matrix, length)
        result[LEAST] = least
        if polishing and least < DIAGONAL:
            return ILL
        if least == 0.0:
            damping *= 10.0
            if damping > LONGEST:
                return ILL
            continue
        step_of(sums, p, matrix, length, step)
        hope = promised(sums, p, length, used, step)
        if not polishing and hope <= NEAR * sums[0]:
            polishing = True
            continue
        moved, reach = 0.0, 0.0
        for j in range(p):
            moved += step[j] * step[j]
            value = x[free[j]] * length[j]
            reach = max(reach, math.fabs(value))
            trial[free[j]] = x[free[j]] + step[j] / length[j]
        moved = math.sqrt(moved)
        if polishing:
            if moved <= LAST * reach and (moved <= SURE * reach or moved * moved <= SURE * reach * before):
                for j in range(p):
                    x[free[j]] = trial[free[j]]
                return CLEAN
            if moved > 0.7 * before:
                return CLEAN if moved <= SURE * reach else UNSETTLED
        normal_sums(kernel, columns, trial, y, root, weighted, start, stop, free, p, block, fresh)
        result[EVALUATIONS] += 1.0
        total = 0.0
        for k in range(size - 4):
            total += fresh[k] * 0.0
        ratio = (sums[0] - fresh[0]) / hope if total == 0.0 and hope > 0.0 else -1.0
        if polishing:
            if total != 0.0 or fresh[0] > sums[0] * (1.0 + WORSE):
                return UNSETTLED
            before = moved
        elif ratio > LEAST_GAIN:
            turn = 2.0 * ratio - 1.0
            damping, growth = max(damping * max(1.0 / 3.0, 1.0 - turn * turn * turn), 1e-15), 2.0
        else:
            damping, growth = damping * growth, 2.0 * growth
            if damping > LONGEST:
                return UNSETTLED
            continue
        for k in range(size - 4):
            sums[k] = fresh[k]
        for j in range(p):
            x[free[j]] = trial[free[j]]
    return UNSETTLED


@function(
    "int64(int64, double**, int64, double*, double*, int64, int64*, int64, int64, int64, int64*, int64, int64, int64,"
    " int64, double*, double*, double*, double*, double*, double*, int64*, double*)",
    sums=True,
)
def fit_each(  # type: ignore[no-untyped-def]
    kernel, columns, ordered, y, root, weighted, offsets, shared, first, last, free, p, all_p, tries, max_steps,
    starts, levels, lower, upper, block, work, order, out,
):  # fmt: skip
    """Fit the curves first to last. ``starts`` (b, tries, all_p) and ``levels`` (b, tries), Σ w r² there: best first.

    A start is left for the next one where it leads nowhere, or to an end above the next one's level. ``out`` (b, HEAD +
    all_p + p): status and so on, all parameters, the square roots of the diagonal of (JᵀJ)⁻¹.
    """
    width = HEAD + all_p + p
    size = 1 + p + p * (p + 1) // 2 + 4
    matrix = at(work, 2 * size + all_p)
    x = at(matrix, p * p + 2 * p)
    inverse = at(x, all_p)
    for k in range(first, last):
        result = at(out, k * width)
        n = offsets[k + 1] - offsets[k]
        begin = 0 if shared == 1 else offsets[k]
        own = at(y, offsets[k]) if shared == 1 else y
        result[STATUS], result[RSS], result[EVALUATIONS], result[TRY] = NOT_FITTED, math.inf, 0.0, -1.0
        if n <= p:
            continue
        for one in range(tries):
            level = levels[k * tries + one]
            if not level < math.inf or level >= result[RSS] * (1.0 - BETTER):
                break
            here = at(starts, (k * tries + one) * all_p)
            for j in range(all_p):
                x[j] = here[j]
            status = descend(
                kernel, columns, own, root, weighted, begin, begin + n, free, p, all_p, max_steps, x, block, work,
                result,
            )  # fmt: skip
            if status == CLEAN and work[0] >= result[RSS]:
                continue
            for j in range(p):
                if status == CLEAN and not lower[j] < x[free[j]] < upper[j]:
                    status = OUTSIDE
            if status != CLEAN:
                if result[STATUS] != CLEAN:
                    result[STATUS] = status
                continue
            result[STATUS], result[RSS], result[TRY] = CLEAN, work[0], one
            for j in range(all_p):
                result[HEAD + j] = x[j]
            invert(matrix, p, at(matrix, p * p), inverse, at(result, HEAD + all_p))
        if result[STATUS] == CLEAN:
            judge(
                kernel, columns, ordered, own, root, weighted, begin, n, free, p, at(result, HEAD), result[RSS],
                inverse, block, at(inverse, p * p), order, at(result, OF_FACTS),
            )  # fmt: skip
    return 0
