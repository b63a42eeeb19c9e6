"""Least squares in closed form for one curve after the other, with what its residuals say; compiled.

The derivatives of a formula that is linear in its parameters depend on the data alone, so the model's kernel fills
whole blocks of 256 rows, whatever curves they belong to, and each curve's rows are worked on where they lie in the
block. A curve is solved by modified Gram–Schmidt on [J, r] (Björck 1967; 1996, section 2.4), as good as Householder's
reflections and the residuals come with it; its columns are then orthogonal, so leverages cost a square each. The tests
are those of :mod:`katamuki.findings`, by comparison with the critical values of :mod:`katamuki.many.limits`. What a
curve's columns leave too few digits for is left to :mod:`katamuki.many.straight_exact`.

A block is always evaluated as 256 rows, and a curve's sums begin at its own first row: its bits depend on its rows
only.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, call_rows, function, inline
from katamuki.findings.passes import LONE, ordered_runs
from katamuki.many.limits import (
    BENT,
    CHI2,
    FAR,
    FEW_RUNS,
    FOLLOWS,
    HIGH,
    INFLUENTIAL,
    LOW,
    NO_FREEDOM,
    OUTLIERS,
    OUTLYING,
    PULL,
    QUIET,
    RUNS,
    SPREAD,
    WEAK,
    WIDTH,
)

# What else a curve's status may be, beside its code.
TOO_FEW, ILL, WHOLE = -1, -2, -3
FIRST = -4  # OUTLIERS, named first
LONG = 4096  # rows up to which a curve is worked on here
STRIDE = LONG + 16
SHORT = 272  # doubles between the columns of a curve of a block: not a multiple of 4096 bytes apart

LEAST = 1e-6  # of a column's squared length: what is left of it beside those before it has twelve digits
ALONE = 1e-3  # 1 − leverage below which a row in effect fixes a parameter
PERFECT = 1e-26  # of Σ w y²: residuals that are rounding
ROUNDING = (16.0 * 2.0**-52) ** 2  # of Σ w y²
NEARLY = 1e8  # times that
DEPENDENT = 1e4  # variance inflation
SMALLEST, LARGEST = 1e-260, 1e300  # Σ w y²
PAIRS = 96  # rows up to which all pairs are compared to put them in order


def work_size(p: int, all_p: int, columns: int) -> int:
    """How many doubles a thread works in: a block, padded columns, a curve's own columns and its small matrices."""
    return 256 * (1 + all_p) + 256 * columns + STRIDE * (p + 5) + 2 * p * p + 5 * p + all_p


@inline
def fill(kernel, columns, k, pad, padded, params, start, rows, block):  # type: ignore[no-untyped-def]
    """Values and derivatives of the 256 rows from ``start`` on; the last row again and again beyond the end."""
    if start + 256 <= rows:
        call_rows(kernel, columns, params, start, 256, block, at(block, 256), 1)
        return
    for j in range(k):
        column, copy = columns[j], at(pad, 256 * j)
        for i in range(256):
            copy[i] = column[min(start + i, rows - 1)]
    call_rows(kernel, padded, params, 0, 256, block, at(block, 256), 1)


@inline
def bring(block, y, root, weighted, n, free, p, w, stride):  # type: ignore[no-untyped-def]
    """A curve's weighted residuals about the fixed part and its weighted derivatives, as columns of ``w``."""
    if weighted == 0:
        for i in range(n):
            w[i] = y[i] - block[i]
        for k in range(p):
            source, column = at(block, 256 * (1 + free[k])), at(w, (1 + k) * stride)
            for i in range(n):
                column[i] = source[i]
        return
    for i in range(n):
        w[i] = (y[i] - block[i]) * root[i]
    for k in range(p):
        source, column = at(block, 256 * (1 + free[k])), at(w, (1 + k) * stride)
        for i in range(n):
            column[i] = source[i] * root[i]


@inline
def orthogonalise(w, stride, n, p, g, d, z, norm):  # type: ignore[no-untyped-def]
    """Make the columns of J orthogonal, and r to them, in place; False where a column has too few digits left.

    J = V G, G unit upper triangular; ``d`` the squared lengths of V's columns, ``norm`` of J's; ``z`` = V'r/d.
    """
    own, right, next_ = 0.0, 0.0, 0.0
    v = at(w, stride)
    for i in range(n):
        own += v[i] * v[i]
        right += v[i] * w[i]
    for k in range(p):
        v = at(w, (1 + k) * stride)
        length = own
        for j in range(k):
            length += g[j * p + k] * g[j * p + k] * d[j]
        norm[k], d[k] = length, own
        if not own > LEAST * length:
            return False
        share = right / own
        z[k] = share
        if k + 1 == p:
            for i in range(n):
                w[i] -= share * v[i]
            return True
        following = at(w, (2 + k) * stride)
        next_ = 0.0
        for i in range(n):
            next_ += v[i] * following[i]
        part = next_ / own
        g[k * p + k + 1] = part
        for j in range(k + 2, p):
            other = at(w, (1 + j) * stride)
            total = 0.0
            for i in range(n):
                total += v[i] * other[i]
            total /= own
            g[k * p + j] = total
            for i in range(n):
                other[i] -= total * v[i]
        own, right = 0.0, 0.0
        for i in range(n):
            first = following[i] - part * v[i]
            rest = w[i] - share * v[i]
            following[i] = first
            w[i] = rest
            own += first * first
            right += first * rest
    return True


@inline
def substitute(p, g, d, z, theta, inverse, spread):  # type: ignore[no-untyped-def]
    """``theta`` (p,) from G theta = z, ``inverse`` = G⁻¹, ``spread`` (p,) the diagonal of (J'J)⁻¹."""
    for i in range(p - 1, -1, -1):
        value = z[i]
        for j in range(i + 1, p):
            value -= g[i * p + j] * theta[j]
        theta[i] = value
        total = 1.0 / d[i]
        inverse[i * p + i] = 1.0
        for k in range(i + 1, p):
            entry = -g[i * p + k]
            for j in range(i + 1, k):
                entry -= g[i * p + j] * inverse[j * p + k]
            inverse[i * p + k] = entry
            total += entry * entry / d[k]
        spread[i] = total


@inline
def squares_of(a, n):  # type: ignore[no-untyped-def]
    """Σ a²."""
    total = 0.0
    for i in range(n):
        total += a[i] * a[i]
    return total


@inline
def level_of(y, root, weighted, n):  # type: ignore[no-untyped-def]
    """Σ w y²."""
    total = 0.0
    if weighted == 0:
        for i in range(n):
            total += y[i] * y[i]
    else:
        for i in range(n):
            total += (y[i] * root[i]) * (y[i] * root[i])
    return total


@inline
def without_rounding(  # type: ignore[no-untyped-def]
    kernel, columns, params, y, root, weighted, begin, n, free, p, norm, level, rss, block, full, theta
):  # fmt: skip
    """Σ w r² of a perfect fit whose parameters that are 0 but for rounding are put to 0, if it is as perfect then.

    See :func:`katamuki.api.claims.without_rounding`.
    """
    floor = ROUNDING * level
    tiny = 0
    for k in range(p):
        if theta[k] != 0.0 and theta[k] * theta[k] * norm[k] <= floor:
            tiny += 1
    if tiny == 0:
        return rss
    for k in range(p):
        full[free[k]] = 0.0 if theta[k] * theta[k] * norm[k] <= floor else theta[k]
    total = 0.0
    start = 0
    while start < n:
        m = min(256, n - start)
        call_rows(kernel, columns, full, begin + start, m, block, at(block, 256), 0)
        for i in range(m):
            rest = y[start + i] - block[i]
            if weighted == 1:
                rest *= root[start + i]
            total += rest * rest
        start += m
    if total <= max(rss, floor):
        for k in range(p):
            theta[k] = full[free[k]]
        rss = total
    for k in range(p):
        full[free[k]] = 0.0
    return rss


@inline
def is_weak(w, stride, root, weighted, n, p, g, norm, spread, theta, variance):  # type: ignore[no-untyped-def]
    """Whether a parameter's error bar is above its value since others could do its work (see ``findings``)."""
    for k in range(p):
        inflation = norm[k] * spread[k]
        if not (inflation > DEPENDENT and variance * spread[k] > theta[k] * theta[k]):
            continue
        total, weight = 0.0, 0.0
        for i in range(n):
            value = w[(1 + k) * stride + i]
            for j in range(k):
                value += g[j * p + k] * w[(1 + j) * stride + i]
            total += value * root[i] if weighted == 1 else value
            weight += root[i] * root[i] if weighted == 1 else 1.0
        if inflation * max(0.0, 1.0 - total * total / norm[k] / weight) > DEPENDENT:
            return True
    return False


@inline
def leverages(w, stride, n, p, d, h):  # type: ignore[no-untyped-def]
    """``h`` of each row: the squares of the orthonormal columns."""
    first, second = w, w
    for k in range(0, p, 2):
        first, one = at(w, (1 + k) * stride), 1.0 / d[k]
        if k + 1 < p:
            second, two = at(w, (2 + k) * stride), 1.0 / d[k + 1]
            if k == 0:
                for i in range(n):
                    h[i] = first[i] * first[i] * one + second[i] * second[i] * two
            else:
                for i in range(n):
                    h[i] += first[i] * first[i] * one + second[i] * second[i] * two
        elif k == 0:
            for i in range(n):
                h[i] = first[i] * first[i] * one
        else:
            for i in range(n):
                h[i] += first[i] * first[i] * one


@inline
def is_bent(w, stride, y, root, weighted, n, p, d, rss, shift, f, curve, limit):  # type: ignore[no-untyped-def]
    """Whether the squared prediction would explain more of the residuals than chance; fills ``f``, predictions."""
    along, whole = 0.0, 0.0
    if weighted == 0:
        for i in range(n):
            value = y[i] - w[i] - shift
            bend = value * value
            f[i] = value
            curve[i] = bend
            along += bend * w[i]
            whole += bend * bend
    else:
        for i in range(n):
            value = y[i] - w[i] / root[i] - shift
            bend = value * value * root[i]
            f[i] = value
            curve[i] = bend
            along += bend * w[i]
            whole += bend * bend
    beyond = whole
    for k in range(p):
        column = at(w, (1 + k) * stride)
        total = 0.0
        for i in range(n):
            total += column[i] * curve[i]
        beyond -= total * total / d[k]
    return beyond > 1e-8 * whole and rss * beyond > 0.0 and along * along > limit * rss * beyond


@inline
def runs_of(x, ordered, w, n, room, order):  # type: ignore[no-untyped-def]
    """Runs of equal signs of the residuals along x; −1 without an x. ``room`` gets the signs in that order."""
    if ordered == 0:
        return -1
    falls, rises = 0, 0
    for i in range(1, n):
        falls += 1 if x[i] < x[i - 1] else 0
        rises += 1 if x[i] > x[i - 1] else 0
    if falls > 0 and rises > 0:
        if n > PAIRS:
            return ordered_runs(x, w, n, order)
        for i in range(n):
            place, own = 0, x[i]
            for j in range(i):
                place += 1 if x[j] <= own else 0
            for j in range(i + 1, n):
                place += 1 if x[j] < own else 0
            room[place] = w[i]
    else:
        for i in range(n):
            room[i] = w[i]
    changes, zeros = 0, 0
    for i in range(n):
        zeros += 1 if room[i] == 0.0 else 0
    if zeros == 0:
        for i in range(1, n):
            changes += 1 if (room[i] > 0.0) != (room[i - 1] > 0.0) else 0
        return changes + 1
    last = 0.0
    for i in range(n):
        if room[i] != 0.0:
            changes += 1 if last == 0.0 or (room[i] > 0.0) != (last > 0.0) else 0
            last = room[i]
    return changes


@inline
def too_few_runs(runs, w, n, deepest, few, most):  # type: ignore[no-untyped-def]
    """Whether so few runs are no chance: by the table of counts up to ``most`` signs, by the normal deviate beyond."""
    positive, negative = 0, 0
    for i in range(n):
        positive += 1 if w[i] > 0.0 else 0
        negative += 1 if w[i] < 0.0 else 0
    if runs <= 0:
        return False
    count = positive + negative
    if positive == 0 or negative == 0 or count < 3:
        return False
    if count <= most:
        return runs <= few[positive * (most + 1) + negative]
    product = 2.0 * positive * negative
    mean = 1.0 + product / count
    deviation = math.sqrt(product * (product - count) / (float(count) * count * (count - 1.0)))
    return deviation > 0.0 and (runs + 0.5 - mean) / deviation < deepest


@inline
def remark(  # type: ignore[no-untyped-def]
    w, stride, x, ordered, y, root, weighted, n, p, d, rss, level, known, limits, few, most, order
):  # fmt: skip
    """The code of what the residuals say: the first warning of ``findings.examine`` about them.

    ``FIRST``: a row is so far away that it is named before anything else.
    """
    limit = at(limits, WIDTH * n)
    dof = n - p
    h, f, curve = at(w, (1 + p) * stride), at(w, (2 + p) * stride), at(w, (3 + p) * stride)
    leverages(w, stride, n, p, d, h)
    precision = dof / rss if rss > 0.0 else 0.0
    rough = rss > PERFECT * level
    shift = 0.5 * (y[0] + y[n - 1])
    bent = is_bent(w, stride, y, root, weighted, n, p, d, rss, shift, f, curve, limit[BENT])
    u1, u2, v1, vf, vuf, vv, vvf, vvff = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    far, outlying, pull, lone = 0.0, 0.0, 0.0, 0.0
    outlier, beyond, moved = limit[OUTLYING], limit[FAR], limit[PULL]
    for i in range(n):
        v = 1.0 - h[i]
        own = w[i] * w[i] * precision
        inverse = 1.0 / v if v > LONE else 0.0
        u = own * inverse
        cook = u * h[i] * inverse
        g = v * f[i]
        u1 += u
        u2 += u * u
        v1 += v
        vf += g
        vuf += own * f[i]
        vv += v * v
        vvf += v * g
        vvff += g * g
        outlying += 1.0 if u > outlier else 0.0
        far += 1.0 if u > beyond else 0.0
        pull += 1.0 if cook > moved else 0.0
        lone += 1.0 if v < ALONE else 0.0
    influential = lone > 0.0 or (rough and pull > 0.0)
    if rough and far > 0.0:
        return FIRST
    if known == 1 and (rss < limit[LOW] or rss > limit[HIGH]):
        return CHI2
    if rough:
        runs = runs_of(x, ordered, w, n, curve, order)
        if bent or too_few_runs(runs, w, n, limits[FEW_RUNS], few, most):
            return RUNS
        middle = vf / v1 if v1 > 0.0 else 0.0
        follows = vuf - middle * rss * precision
        width = vvff - middle * (2.0 * vvf - middle * vv)
        scale = (u2 - u1 * u1 / n) * width
        if dof > 4 and scale > 0.0 and width > 1e-20 * vvff and n * follows * follows > limits[FOLLOWS] * scale:
            return SPREAD
        if outlying > 0.0:
            return OUTLIERS
    return INFLUENTIAL if influential else QUIET


@inline
def conclude(  # type: ignore[no-untyped-def]
    kernel, columns, begin, ordered, y, root, weighted, n, p, all_p, free, known, params, w, stride, g, d, norm, spread,
    theta, block, limits, few, most, order, values, stderr, loss
):  # fmt: skip
    """A curve's row from its solution: parameters, error bars, loss; its code, or ``WHOLE``."""
    rss = squares_of(w, n)
    level = level_of(y, root, weighted, n)
    finite = rss + level
    for k in range(p):
        finite += theta[k] + spread[k]
    if finite * 0.0 != 0.0 or (not SMALLEST < level < LARGEST and (level > 0.0 or squares_of(y, n) > 0.0)):
        return WHOLE
    if level == 0.0:
        for i in range(n):
            if y[i] != 0.0:
                return WHOLE
    if rss <= NEARLY * ROUNDING * level:
        rss = without_rounding(
            kernel, columns, params, y, root, weighted, begin, n, free, p, norm, level, rss, block, params, theta
        )
    dof = n - p
    variance = 1.0
    if known == 0:
        variance = rss / dof if dof > 0 else math.nan
    for k in range(all_p):
        values[k] = params[k]
        stderr[k] = math.nan
    for k in range(p):
        values[free[k]] = theta[k]
        stderr[free[k]] = math.sqrt(variance * spread[k])
    loss[0] = rss / n
    if dof == 0:
        return NO_FREEDOM
    code = remark(
        w, stride, at(columns[0], begin), ordered, y, root, weighted, n, p, d, rss, level, known, limits, few, most,
        order,
    )  # fmt: skip
    if code == FIRST:
        return OUTLIERS
    return WEAK if is_weak(w, stride, root, weighted, n, p, g, norm, spread, theta, variance) else code


@function(
    "int64(int64, double**, int64, double**, int64, double*, double*, int64, int64*, int64, int64, int64, int64,"
    " int64*, int64, int64, double*, int64, double*, double*, int64, int64*, double*, double*, double*, double*,"
    " int32*)",
    sums=True,
)
def straight_pass(  # type: ignore[no-untyped-def]
    kernel, columns, k_columns, padded, ordered, y, root, weighted, offsets, shared, first, last, rows, free, p, all_p,
    params, known, limits, few, most, order, work, values, stderr, loss, status
):  # fmt: skip
    """Fit the curves first to last; ``status`` is a code's number, or why there is none.

    ``rows`` is how many rows the columns have; ``params`` (all_p,) holds the fixed parameters, 0 for free ones.
    """
    block = work
    pad = at(block, 256 * (1 + all_p))
    w = at(pad, 256 * k_columns)
    g = at(w, STRIDE * (p + 5))
    inverse = at(g, p * p)
    d = at(inverse, p * p)
    z, norm, spread, theta = at(d, p), at(d, 2 * p), at(d, 3 * p), at(d, 4 * p)
    filled, until = 0, 0  # the rows whose values stand in the block
    for k in range(first, last):
        n = offsets[k + 1] - offsets[k]
        begin = 0 if shared == 1 else offsets[k]
        own = at(y, offsets[k])
        weights = at(root, begin * weighted)
        if n < p or n > LONG:
            status[k] = TOO_FEW if n < p else WHOLE
            continue
        stride = SHORT if n <= 256 else STRIDE
        if n > 256:
            start = 0
            until = 0
            while start < n:
                m = min(256, n - start)
                fill(kernel, columns, k_columns, pad, padded, params, begin + start, rows, block)
                bring(block, at(own, start), at(weights, start * weighted), weighted, m, free, p, at(w, start), stride)
                start += m
        else:
            if begin < filled or begin + n > until:
                filled, until = begin, begin + 256
                fill(kernel, columns, k_columns, pad, padded, params, begin, rows, block)
            bring(at(block, begin - filled), own, weights, weighted, n, free, p, w, stride)
        if not orthogonalise(w, stride, n, p, g, d, z, norm):
            status[k] = ILL
            continue
        substitute(p, g, d, z, theta, inverse, spread)
        status[k] = conclude(
            kernel, columns, begin, ordered, own, weights, weighted, n, p, all_p, free, known, params, w, stride, g, d,
            norm, spread, theta, at(w, stride * (p + 4)), limits, few, most, order, at(values, k * all_p),
            at(stderr, k * all_p), at(loss, k),
        )  # fmt: skip
    return 0
