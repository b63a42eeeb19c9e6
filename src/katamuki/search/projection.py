"""Variable projection, compiled: at each point of the nonlinear parameters the linear ones are solved for exactly.

What is left is a least-squares problem in the nonlinear parameters alone, with fewer valleys and no starting values for
the others (Golub & Pereyra 1973). Its Gauss–Newton step in Kaufman's form (1975) is read from one triangle of
[J linear, J nonlinear, r]: the rows below the linear ones hold the nonlinear columns with the linear ones projected
out. Steps are damped as in :mod:`katamuki.solvers.damped_step`; a descent ends where nothing is left to gain that a
search would see, and whoever wants the last digits goes on from there.

Order of parameters: ``free`` (p,) are places among all, the q linear ones first; bounds are in this order.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, function, inline
from katamuki.problem.passes import linearise
from katamuki.solvers.triangle import PUSHED, column_norm, finite, gain, solve

CONVERGED, STEPS_OVER, NO_START, STUCK = 1.0, 2.0, 3.0, 4.0
DEPENDENT = 1e-12  # a diagonal of R this small against its column: the parameter stays where it is
GAINED = 1e-10  # of the rss: a predicted gain below it ends a descent
ALIKE = 1e-7  # of the rss: so near a minimum that is known, it is that one
SETTLED = 1e-15  # of the parameters: steps this short are none
WANTED = 1e-9  # of length and residual: a pull away from a bound that is more than rounding
LEAST_GAIN = 1e-4  # of the promised one, for a step to be taken
LONGEST = 1e16  # damping


def room(p: int, all_p: int) -> int:
    """How many doubles a descent works in."""
    q = p + 1
    return 2 * (1 + q * q) + 2 * p * q + q + 6 * p + 2 * all_p


@inline
def copy(source, target, count):  # type: ignore[no-untyped-def]
    """``target`` = ``source``."""
    for i in range(count):
        target[i] = source[i]


@inline
def settle(triangle, q, x, free, lower, upper, matrix, step, held, ones):  # type: ignore[no-untyped-def]
    """The step of the q linear parameters to their best values within their bounds; ``held`` says which are stopped.

    All that would cross a bound are stopped there, then the one that its bound holds back most is let go, in turns:
    bounded least squares by an active set (Stark & Parker 1995).
    """
    for _ in range(3 * q + 1):
        solve(triangle, q, ones, held, 0.0, matrix, step)
        crossed = False
        for j in range(q):
            low, high = lower[j] - x[free[j]], upper[j] - x[free[j]]
            if held[j] == 0.0 and (step[j] < low or step[j] > high):
                step[j] = low if step[j] < low else high
                held[j] = PUSHED
                crossed = True
        if crossed:
            continue
        first, most = -1, WANTED
        for j in range(q):
            if held[j] == PUSHED and lower[j] < upper[j]:
                pull = 0.0
                for i in range(j + 1):
                    left = triangle[i * (q + 1) + q]
                    for k in range(i, q):
                        left -= triangle[i * (q + 1) + k] * step[k]
                    pull += triangle[i * (q + 1) + j] * left
                inward = pull if step[j] <= lower[j] - x[free[j]] else -pull
                inward /= column_norm(triangle, q, j) * math.fabs(triangle[q * (q + 1) + q]) + 1e-300
                if inward > most:
                    first, most = j, inward
        if first < 0:
            return
        held[first] = 0.0


@inline
def eliminate(  # type: ignore[no-untyped-def]
    kernel, columns, x, y, root, weighted, n, free, q, order, lower, upper, block, out, matrix, step, held, ones
):
    """Put the best values of the q linear parameters into ``x``, within their bounds; Σ w r² there, or infinity.

    ``held`` tells those that stop at a bound (``PUSHED``).
    """
    for j in range(q):
        x[free[j]] = min(max(0.0, lower[j]), upper[j])
    linearise(kernel, columns, x, y, root, weighted, 0, n, free, q, order, block, out)
    if not finite(out, q + 1):
        return math.inf
    triangle = at(out, 1)
    for j in range(q):
        held[j] = 1.0 if math.fabs(triangle[j * (q + 1) + j]) <= DEPENDENT * column_norm(triangle, q, j) else 0.0
        ones[j], step[j] = 0.0, 0.0
    settle(triangle, q, x, free, lower, upper, matrix, step, held, ones)
    whole = True
    for j in range(q):
        whole = whole and held[j] == 0.0
        x[free[j]] = min(max(x[free[j]] + step[j], lower[j]), upper[j])
    if whole:
        return triangle[q * (q + 1) + q] * triangle[q * (q + 1) + q] if q > 0 else out[0]
    return max(out[0] - gain(triangle, q, step), 0.0)


@inline
def bend(work, p, q, corner, scale):  # type: ignore[no-untyped-def]
    """``corner`` = the triangle (m, m + 1), m = p − q, of the nonlinear columns and r below the linear rows.

    ``scale`` (m,) remembers the largest lengths of its columns.
    """
    triangle = at(work, 1)
    m = p - q
    for i in range(m + 1):
        for j in range(m + 1):
            corner[i * (m + 1) + j] = triangle[(q + i) * (p + 1) + q + j] if j >= i else 0.0
    for j in range(m):
        scale[j] = max(scale[j], column_norm(corner, m, j))
        if scale[j] == 0.0:
            scale[j] = 1.0


@inline
def eased(damping, ratio):  # type: ignore[no-untyped-def]
    """The damping after a step that gained so much of what it promised (Nielsen 1999)."""
    turn = 2.0 * ratio - 1.0
    return max(damping * max(1.0 / 3.0, 1.0 - turn * turn * turn), 1e-15)


@inline
def moving(free, whole, p, q, held, places):  # type: ignore[no-untyped-def]
    """How many of p parameters move; their ``places`` (p,), and behind them a block's columns in the order of [J, r].

    A linear parameter at its bound does not: nothing is projected out along its column.
    """
    count = 0
    for j in range(p):
        if j >= q or held[j] != PUSHED:
            places[count] = free[j]
            places[p + count] = whole[j]
            count += 1
    places[p + count] = 0
    return count


@inline
def propose(x, trial, all_p, free, q, m, corner, scale, lower, upper, damping, held, matrix, step):  # type: ignore[no-untyped-def]
    """Write the damped step's end within the bounds into ``trial``; the gain it promises, 0 where it is no step."""
    for j in range(m):
        downhill = 0.0
        for i in range(j + 1):
            downhill += corner[i * (m + 1) + j] * corner[i * (m + 1) + m]
        value = x[free[q + j]]
        stopped = (value <= lower[q + j] and downhill <= 0.0) or (value >= upper[q + j] and downhill >= 0.0)
        held[j] = 1.0 if stopped or column_norm(corner, m, j) == 0.0 else 0.0
    solve(corner, m, scale, held, damping, matrix, step)
    moved = False
    copy(x, trial, all_p)
    for j in range(m):
        before = x[free[q + j]]
        after = min(max(before + step[j], lower[q + j]), upper[q + j])
        step[j] = after - before
        trial[free[q + j]] = after
        moved = moved or math.fabs(step[j]) > SETTLED * math.fabs(after)
    return gain(corner, m, step) if moved else 0.0


@function(
    "int64(int64, double**, double*, double*, int64, int64, int64*, int64, int64, int64, int64*, int64*, double*,"
    " double*, int64, int64, double, double, double*, double*, int64*, double*, double*)",
    sums=True,
)
def descend(  # type: ignore[no-untyped-def]
    kernel, columns, y, root, weighted, n, free, p, q, all_p, order, whole, lower, upper,
    count, max_steps, floor, known, block, work, places, points, out,
):  # fmt: skip
    """Descend from each of ``count`` points (all_p numbers each), which end where the descent does.

    ``out`` has three numbers a point: Σ w r², how it ended, evaluations. ``order`` (q + 1) and ``whole`` (p + 1) name a
    block's columns for the linear ones alone and for all; ``floor`` is the rss that rounding leaves. ``known`` is that
    of the best minimum so far, or negative: a descent that comes so near it has arrived. With ``max_steps`` 0 points
    stay where they are, but for their linear parameters. ``places`` has room for 2p + 1.
    """
    size = 1 + (p + 1) * (p + 1)
    corner = at(work, size)
    matrix = at(corner, size)
    step = at(matrix, 2 * p * (p + 1) + p + 1)
    held = at(step, p)
    scale = at(held, p)
    linear = at(scale, p)  # eliminate's own step, held and ones
    trial = at(linear, 3 * p)
    m = p - q
    for k in range(count):
        x, result = at(points, k * all_p), at(out, 3 * k)
        result[0], result[1], result[2] = math.inf, STEPS_OVER, 0.0
        copy(x, trial, all_p)
        for j in range(m):
            scale[j] = 0.0
        damping, growth, promised = 1e-3, 2.0, math.inf
        for _ in range(max(max_steps, 1)):
            rss = eliminate(
                kernel, columns, trial, y, root, weighted, n, free, q, order, lower, upper, block, work,
                matrix, linear, at(linear, p), at(linear, 2 * p),
            )  # fmt: skip
            result[2] += 1.0
            if promised == math.inf and not rss < math.inf:
                result[1] = NO_START
                break
            ratio = 1.0 if promised == math.inf else (result[0] - rss) / promised if rss < math.inf else -1.0
            if ratio > LEAST_GAIN:
                copy(trial, x, all_p)
                result[0] = rss
                if promised < math.inf:
                    damping, growth = eased(damping, ratio), 2.0
                if max_steps == 0:
                    break
                if rss <= floor or m == 0 or math.fabs(rss - known) <= ALIKE * known:
                    result[1] = CONVERGED
                    break
                loose = moving(free, whole, p, q, at(linear, p), places)
                linearise(kernel, columns, x, y, root, weighted, 0, n, places, loose, at(places, p), block, work)
                result[2] += 1.0
                if not finite(work, loose + 1):
                    result[1] = STUCK
                    break
                bend(work, loose, loose - m, corner, scale)
            else:
                damping, growth = damping * growth, 2.0 * growth
                if damping > LONGEST:
                    result[1] = STUCK
                    break
            promised = propose(x, trial, all_p, free, q, m, corner, scale, lower, upper, damping, held, matrix, step)
            if promised <= GAINED * result[0]:
                result[1] = CONVERGED
                break
        if result[1] == CONVERGED and (known < 0.0 or result[0] < known):
            known = result[0]
    return 0
