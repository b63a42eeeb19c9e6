"""What the residuals of eight curves say, and the row of each: the tests of :mod:`katamuki.findings`, compiled.

Sums over rows are made for eight curves at once; then each is compared with the critical values for its number of rows
(:mod:`katamuki.many.limits`).
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, call_rows, inline
from katamuki.backends.vectors import both, choose, either, fused, load, root_of, size_of, somewhere, splat, store
from katamuki.findings.passes import LONE
from katamuki.many.limits import (
    CHI2,
    FEW_RUNS,
    FOLLOWS,
    INFLUENTIAL,
    NO_FREEDOM,
    OUTLIERS,
    QUIET,
    RUNS,
    SPREAD,
    WEAK,
    WIDTH,
)
from katamuki.many.straight_runs import changes_in_order, count_signs, mark, put_in_order, runs_of, too_few_runs
from katamuki.many.straight_slots import (
    BENDING,
    CHANGES,
    COUNT,
    DISORDER,
    DOF,
    FARTHER,
    FEW,
    HIGHEST,
    ILL,
    IS_BENT,
    IS_CHI2,
    IS_FAR,
    IS_LONE,
    IS_OUT,
    IS_SPREAD,
    IS_WEAK,
    LEAST_RSS,
    LEVEL,
    LOSS,
    MOST_RSS,
    NEAREST,
    OUTEST,
    PERFECTLY,
    PLUS,
    PRECISION,
    PULL_MOST,
    PULLED,
    ROUGH,
    RSS,
    SHIFT,
    SMALLEST_REST,
    SORTED_CHANGES,
    USABLE,
    VARIANCE,
    VARIES,
    WHOLE,
)

ALONE = 1e-3  # 1 − leverage below which a row in effect fixes a parameter
PERFECT = 1e-26  # of Σ w y²: residuals that are rounding
ROUNDING = (16.0 * 2.0**-52) ** 2  # of Σ w y²
NEARLY = 1e8  # times that
DEPENDENT = 1e4  # variance inflation
SMALLEST, LARGEST = 1e-260, 1e300  # Σ w y²


@inline
def without_rounding(  # type: ignore[no-untyped-def]
    kernel, columns, params, y, root, weighted, begin, response, n, free, p, norm, theta, lane, facts, block
):  # fmt: skip
    """Put parameters of a perfect fit that are 0 but for rounding to 0, if it is as perfect then; 1 if that was done.

    See :func:`katamuki.api.claims.without_rounding`. ``params`` are as they were afterwards.
    """
    floor, changed = ROUNDING * facts[8 * LEVEL + lane], 0
    tiny = 0
    for k in range(p):
        value = theta[8 * k + lane]
        is_tiny = value != 0.0 and value * value * norm[8 * k + lane] <= floor
        params[free[k]] = 0.0 if is_tiny else value
        tiny += 1 if is_tiny else 0
    total, start = 0.0, 0
    while tiny > 0 and start < n:
        m = min(256, n - start)
        call_rows(kernel, columns, params, begin + start, m, block, at(block, 256), 0)
        for i in range(m):
            rest = y[response + start + i] - block[i]
            if weighted == 1:
                rest *= root[begin + start + i]
            total += rest * rest
        start += m
    if tiny > 0 and total <= max(facts[8 * RSS + lane], floor):
        facts[8 * RSS + lane] = total
        changed = 1
        for k in range(p):
            theta[8 * k + lane] = params[free[k]]
    for k in range(p):
        params[free[k]] = 0.0
    return changed


@inline
def is_weak(w, stride, own_root, masked, n, p, g, norm, spread, theta, lane, variance):  # type: ignore[no-untyped-def]
    """Whether a parameter's error bar is above its value since others could do its work (see ``findings``)."""
    for k in range(p):
        inflation, value = norm[8 * k + lane] * spread[8 * k + lane], theta[8 * k + lane]
        if not (inflation > DEPENDENT and variance * spread[8 * k + lane] > value * value):
            continue
        total, weight = 0.0, 0.0
        for i in range(n):
            entry = w[(1 + k) * stride + 8 * i + lane]
            for j in range(k):
                entry += g[8 * (j * p + k) + lane] * w[(1 + j) * stride + 8 * i + lane]
            root = own_root[8 * i + lane] if masked == 1 else 1.0
            total += entry * root
            weight += root * root
        if inflation * max(0.0, 1.0 - total * total / norm[8 * k + lane] / weight) > DEPENDENT:
            return True
    return False


@inline
def numbers(p, theta, norm, spread, known, bars, facts):  # type: ignore[no-untyped-def]
    """Loss, variance, error bars and precision; whether a parameter may be ``WEAK``, a fit perfect."""
    zero, one, nan = splat(0.0), splat(1.0), splat(math.nan)
    rss, level, dof = load(facts, RSS), load(facts, LEVEL), load(facts, DOF)
    store(facts, LOSS, rss / load(facts, COUNT))
    variance = one
    if known == 0:
        variance = choose(dof > zero, rss / choose(dof > zero, dof, one), nan)
    store(facts, VARIANCE, variance)
    store(facts, PRECISION, choose(rss > zero, dof / choose(rss > zero, rss, one), zero))
    store(facts, ROUGH, choose(rss > splat(PERFECT) * level, one, zero))
    store(facts, PERFECTLY, choose(rss <= splat(NEARLY * ROUNDING) * level, one, zero))
    finite, weak = rss + level, zero
    for k in range(p):
        own, value = load(spread, k), load(theta, k)
        finite = finite + own + value
        inflated = both(own * load(norm, k) > splat(DEPENDENT), variance * own > value * value)
        weak = choose(inflated, one, weak)
        store(bars, k, root_of(variance * own))
    store(facts, IS_WEAK, weak)
    usable = both(finite - finite >= zero, either(both(level > splat(SMALLEST), splat(LARGEST) > level), zero >= level))
    store(facts, USABLE, choose(usable, load(facts, USABLE), -size_of(load(facts, USABLE))))


@inline
def bend(w, stride, own_y, own_root, masked, n, p, d, h, f, curve, facts):  # type: ignore[no-untyped-def]
    """Predictions less ``SHIFT`` in ``f``; leverages in ``h``; what their squares would explain of the residuals."""
    one, zero, shift = splat(1.0), splat(0.0), load(facts, SHIFT)
    along, whole = zero, zero
    for r in range(n):
        rest, value = load(w, r), load(own_y, r)
        if masked == 1:
            root = load(own_root, r)
            live = choose(root > zero, one, zero)
            value = (value - rest / choose(root > zero, root, one) - shift) * live
            squared = value * value * root
        else:
            value = value - rest - shift
            squared = value * value
        store(f, r, value)
        store(curve, r, squared)
        along = fused(squared, rest, along)
        whole = fused(squared, squared, whole)
    beyond, highest = whole, zero
    for k in range(p):
        column, total, inverse = at(w, (1 + k) * stride), zero, one / load(d, k)
        for r in range(n):
            value = load(column, r)
            total = fused(value, load(curve, r), total)
            own = value * value * inverse
            if k > 0:
                own = own + load(h, r)
            if k + 1 == p:
                highest = choose(own > highest, own, highest)
            store(h, r, own)
        beyond = beyond - total * total * inverse
    beyond = choose(beyond > splat(1e-8) * whole, beyond, zero)
    store(facts, HIGHEST, highest)
    bent = both(beyond > zero, along * along > load(facts, BENDING) * load(facts, RSS) * beyond)
    store(facts, IS_BENT, choose(bent, one, zero))


@inline
def studentise(w, own_root, masked, n, h, f, facts):  # type: ignore[no-untyped-def]
    """The rows that stand out most, and the sums that tell whether squared residuals follow the prediction."""
    one, zero, lone = splat(1.0), splat(0.0), splat(LONE)
    precision = load(facts, PRECISION)
    u1, u2, vuf, outest, pull = zero, zero, zero, zero, zero
    for r in range(n):
        rest, leverage = load(w, r), load(h, r)
        v = one - leverage
        own = rest * rest * precision
        inverse = choose(v > lone, one / v, zero)
        u = own * inverse
        cook = u * leverage * inverse
        u1 = u1 + u
        u2 = fused(u, u, u2)
        vuf = fused(own, load(f, r), vuf)
        outest = choose(u > outest, u, outest)
        pull = choose(cook > pull, cook, pull)
    store(facts, OUTEST, outest)
    store(facts, PULL_MOST, pull)
    vf, vv, vvf, vvff = zero, zero, zero, zero
    for r in range(n):
        v = one - load(h, r)
        if masked == 1:
            v = choose(load(own_root, r) > zero, v, zero)
        g = v * load(f, r)
        vf = vf + g
        vv = fused(v, v, vv)
        vvf = fused(v, g, vvf)
        vvff = fused(g, g, vvff)
    dof = load(facts, DOF)
    middle = vf / dof  # leverages add up to p
    follows = vuf - middle * load(facts, RSS) * precision
    width = vvff - middle * (vvf + vvf - middle * vv)
    count = load(facts, COUNT)
    scale = (u2 - u1 * u1 / count) * width
    spreads = both(width > splat(1e-20) * vvff, count * follows * follows > load(facts, VARIES) * scale)
    spreads = both(both(spreads, scale > zero), dof > splat(4.0))
    store(facts, IS_SPREAD, choose(spreads, one, zero))


@inline
def compare(known, facts):  # type: ignore[no-untyped-def]
    """What fires among the tests on single rows and on the sum of squares."""
    one, zero = splat(1.0), splat(0.0)
    rough, rss, outest = load(facts, ROUGH), load(facts, RSS), load(facts, OUTEST)
    store(facts, IS_FAR, choose(outest > load(facts, FARTHER), rough, zero))
    store(facts, IS_OUT, choose(outest > load(facts, NEAREST), rough, zero))
    pulled = choose(load(facts, PULL_MOST) > load(facts, PULLED), rough, zero)
    store(facts, IS_LONE, choose(one - load(facts, HIGHEST) < splat(ALONE), one, pulled))
    chi2 = either(rss < load(facts, LEAST_RSS), rss > load(facts, MOST_RSS))
    store(facts, IS_CHI2, choose(chi2, one, zero) if known == 1 else zero)


@inline
def code_of(facts, lane, n, runs, few, most, deepest, weak):  # type: ignore[no-untyped-def]
    """The first warning of ``findings.examine``, from what fires."""
    if facts[8 * IS_FAR + lane] > 0.0:
        return OUTLIERS  # a row so far away that it is named before anything else
    if weak:
        return WEAK
    if facts[8 * IS_CHI2 + lane] > 0.0:
        return CHI2
    if facts[8 * ROUGH + lane] > 0.0:
        positive = int(facts[8 * PLUS + lane])
        if facts[8 * IS_BENT + lane] > 0.0 or too_few_runs(runs, positive, n - positive, deepest, few, most):
            return RUNS
        if facts[8 * IS_SPREAD + lane] > 0.0:
            return SPREAD
        if facts[8 * IS_OUT + lane] > 0.0:
            return OUTLIERS
    return INFLUENTIAL if facts[8 * IS_LONE + lane] > 0.0 else QUIET


@inline
def nothing_fires(facts):  # type: ignore[no-untyped-def]
    """Whether none of the eight needs a closer look."""
    zero, one = splat(0.0), splat(1.0)
    fired = load(facts, IS_FAR) + load(facts, IS_WEAK) + load(facts, IS_CHI2) + load(facts, IS_BENT)
    fired = fired + load(facts, IS_SPREAD) + load(facts, IS_OUT) + load(facts, IS_LONE)
    changes = choose(load(facts, DISORDER) > zero, load(facts, SORTED_CHANGES), load(facts, CHANGES))
    fired = fired + choose(changes + one > load(facts, FEW), zero, one)
    fired = fired + choose(load(facts, SMALLEST_REST) > zero, zero, one)
    return not somewhere(fired > zero)


@inline
def settle(y, response, n, free, p, all_p, params, theta, bars, facts, lane, values, stderr, loss, k):  # type: ignore[no-untyped-def]
    """Write a curve's numbers; its status."""
    usable = facts[8 * USABLE + lane]
    if usable == 0.0:
        return ILL
    if usable < 0.0:
        return WHOLE
    if facts[8 * LEVEL + lane] == 0.0:
        for i in range(n):
            if y[response + i] != 0.0:
                return WHOLE
    for j in range(all_p if p < all_p else 0):
        values[k * all_p + j] = params[j]
        stderr[k * all_p + j] = math.nan
    for j in range(p):
        values[k * all_p + free[j]] = theta[8 * j + lane]
        stderr[k * all_p + free[j]] = bars[8 * j + lane]
    loss[k] = facts[8 * LOSS + lane]
    return QUIET if facts[8 * DOF + lane] > 0.0 else NO_FREEDOM


@inline
def set_limits(limits, masked, n, offsets, chosen, group, last, own_y, facts):  # type: ignore[no-untyped-def]
    """What the residuals of the eight are judged by, from their numbers of rows; what predictions are counted from."""
    if masked == 0:  # as many rows in each
        limit = at(limits, WIDTH * n)
        for j in range(WIDTH):
            store(facts, NEAREST + j, splat(limit[j]))
    else:
        for lane in range(8):
            k = chosen[min(group + lane, last - 1)]
            limit = at(limits, WIDTH * (offsets[k + 1] - offsets[k]))
            for j in range(WIDTH):
                facts[8 * (NEAREST + j) + lane] = limit[j]
    store(facts, VARIES, splat(limits[FOLLOWS]))
    store(facts, SHIFT, splat(0.5) * (load(own_y, 0) + load(own_y, n - 1)))  # where rows end the last is repeated


@inline
def conclude(  # type: ignore[no-untyped-def]
    kernel, rounded, columns, k_columns, x, y, own_y, root, own_root, weighted, masked, offsets, shared, chosen, group,
    last, n, free, p, all_p, params, known, w, stride, g, d, bars, norm, theta, spread, facts, block, limits, few, most,
    order, values, stderr, loss, status
):  # fmt: skip
    """The rows of eight curves: numbers, and status; ``rounded``: parameters may be 0 but for rounding."""
    numbers(p, theta, norm, spread, known, bars, facts)
    perfect, judged = 0, 0
    some = rounded == 1 and somewhere(load(facts, PERFECTLY) > splat(0.0))
    for lane in range(min(8, last - group) if some else 0):
        if facts[8 * PERFECTLY + lane] > 0.0 and facts[8 * USABLE + lane] > 0.0:
            k = chosen[group + lane]
            begin = 0 if shared == 1 else offsets[k]
            perfect += without_rounding(
                kernel, columns, params, y, root, weighted, begin, offsets[k], offsets[k + 1] - offsets[k], free, p,
                norm, theta, lane, facts, block,
            )  # fmt: skip
    if perfect > 0:
        numbers(p, theta, norm, spread, known, bars, facts)
    for lane in range(min(8, last - group)):
        k = chosen[group + lane]
        status[k] = settle(
            y, offsets[k], offsets[k + 1] - offsets[k], free, p, all_p, params, theta, bars, facts, lane, values,
            stderr, loss, k,
        )  # fmt: skip
        judged += 1 if status[k] == QUIET else 0
    if judged == 0:
        return
    h, f = at(w, (1 + p) * stride), at(w, (2 + p) * stride)
    keys, marks = at(w, (3 + p) * stride), at(w, (4 + p) * stride)
    first = x if k_columns > 0 else w
    set_limits(limits, masked, n, offsets, chosen, group, last, own_y, facts)
    bend(w, stride, own_y, own_root, masked, n, p, d, h, f, keys, facts)
    studentise(w, own_root, masked, n, h, f, facts)
    compare(known, facts)
    if count_signs(w, own_root, masked, n, first, facts) and k_columns > 0:
        mark(w, own_root, masked, n, first, keys, marks)
        put_in_order(keys, marks, n)
        changes_in_order(marks, n, facts)
    for lane in range(0 if nothing_fires(facts) else min(8, last - group)):
        k = chosen[group + lane]
        if status[k] == QUIET:
            own = offsets[k + 1] - offsets[k]
            runs = runs_of(w, x, k_columns, own, lane, facts, h, order)
            weak = facts[8 * IS_WEAK + lane] > 0.0 and is_weak(
                w, stride, own_root, masked, own, p, g, norm, spread, theta, lane, facts[8 * VARIANCE + lane]
            )
            status[k] = code_of(facts, lane, own, runs, few, most, limits[FEW_RUNS], weak)
    return
