"""Whole fits of many curves of a formula that is not linear, eight at a time, compiled.

Descents from the best starts (:mod:`katamuki.many.relay`); then, curves side by side in their order, one more step from
the orthogonal columns of J at the answer, which has all its digits, what the residuals say
(:mod:`katamuki.many.straight_remarks`), and how much the formula bends between the ends of its error bars. A curve
without a clean answer, or whose formula bends much there, is left for the whole road: other minima stand near such.
"""

from __future__ import annotations

from katamuki.backends.native import at, call_rows, function, inline
from katamuki.backends.vectors import choose, fused, load, root_of, size_of, splat, store
from katamuki.many.descent import CLEAN, larger
from katamuki.many.descent import room as descent_room
from katamuki.many.relay import BEND, HOW, TOLD, descend_all
from katamuki.many.straight_passes import orthogonalise, side_by_side, substitute, sum_up
from katamuki.many.straight_remarks import ROUNDING, conclude
from katamuki.many.straight_slots import DOF, FACTS, LEVEL, ROUGH, RSS, WHOLE, WORKING

BENT = 0.3  # of the way between the ends of an error bar: below it no second minimum was seen on 1,200 noisy curves


def room(p: int, all_p: int, columns: int, rows: int) -> int:
    """How many doubles a thread works in."""
    straight = 8 * rows * (columns + 2 + p + 1 + WORKING) + 256 * (1 + all_p) + 8 * (2 * p * p + 5 * p + FACTS)
    return straight + descent_room(p, all_p) + 8 * (2 * all_p + 2 + 4 * p)


@inline
def look(each, columns, x, y, root, masked, n, free, p, block, w, stride):  # type: ignore[no-untyped-def]
    """Weighted residuals and weighted derivatives of n rows of eight curves, as columns of ``w``; then predictions."""
    middle = at(w, (1 + p) * stride)
    start = 0
    while start < n:
        m = min(32, n - start)
        call_rows(each, columns, x, 8 * start, m, block, at(block, 256), 1)
        own = at(w, 8 * start)
        for r in range(m):
            found = load(block, r)
            value = load(y, start + r) - found
            store(middle, start + r, found)
            store(own, r, value * load(root, start + r) if masked == 1 else value)
        for k in range(p):
            source, column = at(block, 256 * (1 + free[k])), at(own, (1 + k) * stride)
            for r in range(m):
                store(column, r, load(source, r) * load(root, start + r) if masked == 1 else load(source, r))
        start += m


@inline
def ends_of(x, all_p, free, p, k, g, d, reach, moved, sign):  # type: ignore[no-untyped-def]
    """``moved`` = all parameters where the k-th free one goes to an end of its error bar; ``reach`` is t·s.

    Row k of (JᵀJ)⁻¹ = G⁻¹D⁻¹G⁻ᵀ, ``g`` being G⁻¹ above its diagonal of ones.
    """
    square = splat(1.0) / load(d, k)
    for i in range(k + 1, p):
        one = load(g, k * p + i)
        square = square + one * one / load(d, i)
    scale = reach / root_of(square)
    if sign == 1:
        scale = -scale
    for j in range(all_p):
        store(moved, j, load(x, j))
    for j in range(p):
        total = splat(0.0)
        for i in range(max(j, k), p):
            one = splat(1.0) if i == k else load(g, k * p + i)
            other = splat(1.0) if i == j else load(g, j * p + i)
            total = fused(one * other, splat(1.0) / load(d, i), total)
        store(moved, free[j], load(x, free[j]) + total * scale)


@inline
def bends(  # type: ignore[no-untyped-def]
    each, columns, y, root, masked, n, free, p, all_p, curved, count, x, g, d, reach, block, moved, middle, sums
):  # fmt: skip
    """How much the formula bends between the ends of its error bars, as a share of the way between them.

    The largest of :func:`katamuki.findings.bending.bend_pass`'s three shares, over the ``count`` nonlinear parameters:
    ``curved`` are their places among the free ones, ``middle`` the predictions. ``sums`` has room for 4p.
    """
    for k in range(4 * p):
        store(sums, k, splat(0.0))
    start = 0
    while start < n:
        m = min(32, n - start)
        for one in range(count):
            for sign in range(2):
                ends_of(x, all_p, free, p, curved[one], g, d, reach, moved, sign)
                # Values at one end stand in the block's first column, at the other in its second.
                call_rows(each, columns, moved, 8 * start, m, at(block, 256 * sign), block, 0)
            along, itself = load(sums, 4 * one), load(sums, 4 * one + 1)
            across, velocity = load(sums, 4 * one + 2), load(sums, 4 * one + 3)
            for r in range(m):
                here, above, below = load(middle, start + r), load(block, r), load(at(block, 256), r)
                a, v, left = (above - here) + (below - here), splat(0.5) * (above - below), load(y, start + r) - here
                if masked == 1:
                    w = load(root, start + r)
                    a, v, left = a * w, v * w, left * w
                along, itself = fused(a, v, along), fused(a, a, itself)
                across, velocity = fused(a, left, across), fused(v, v, velocity)
            store(sums, 4 * one, along)
            store(sums, 4 * one + 1, itself)
            store(sums, 4 * one + 2, across)
            store(sums, 4 * one + 3, velocity)
        start += m
    worst = splat(0.0)
    for k in range(count):
        most = larger(larger(size_of(load(sums, 4 * k)), size_of(load(sums, 4 * k + 2))), load(sums, 4 * k + 1))
        share = most / load(sums, 4 * k + 3)
        worst = choose(share <= worst, worst, share)  # what is not finite stays
    return worst


@inline
def at_answers(  # type: ignore[no-untyped-def]
    each, columns, y, root, masked, n, free, p, all_p, curved, count_curved, known, best, w, stride, g, inverse, d, z,
    norm, theta, spread, facts, waits, block, moved, sums
):  # fmt: skip
    """Orthogonal columns of J at the answers, a last step from them, error bars; ``waits``: t, then the bends."""
    look(each, columns, best, y, root, masked, n, free, p, block, w, stride)
    orthogonalise(w, stride, n, p, g, d, z, norm, facts)
    substitute(p, g, d, z, theta, inverse, spread)
    sum_up(w, y, root, masked, n, facts)
    for j in range(p):
        store(theta, j, load(theta, j) + load(best, free[j]))
    reach = load(waits, 0)
    if known == 0:
        reach = reach * root_of(load(facts, RSS) / load(facts, DOF))
    worst = bends(
        each, columns, y, root, masked, n, free, p, all_p, curved, count_curved, best, inverse, d, reach, block,
        moved, at(w, (1 + p) * stride), sums,
    )  # fmt: skip
    store(waits, 0, worst)


@inline
def leave(chosen, group, last, p, theta, norm, facts, bent, told, status):  # type: ignore[no-untyped-def]
    """Leave for the whole road what has no clean answer, bends, or has parameters that are 0 but for rounding."""
    for lane in range(min(8, last - group)):
        k = chosen[group + lane]
        said = at(told, k * TOLD)
        said[BEND] = bent[lane]
        doubtful = said[HOW] != CLEAN or status[k] < 0
        if facts[8 * ROUGH + lane] > 0.0:
            doubtful = doubtful or not bent[lane] <= BENT
        for j in range(p):
            value = theta[8 * j + lane]
            doubtful = doubtful or value * value * norm[8 * j + lane] <= ROUNDING * facts[8 * LEVEL + lane]
        if doubtful:
            status[k] = WHOLE


@function(
    "int64(int64, int64, int64, int64, double**, int64, double**, double*, double*, int64, int64*, int64, int64*,"
    " int64, int64, int64*, int64, int64, double*, int64, int64, int64, double*, double*, double*, double*, int64*,"
    " int64, double*, int64, double*, double*, int64, int64*, double*, double*, double*, double*, int32*, double*)",
)
def curved_pass(  # type: ignore[no-untyped-def]
    each, kernel, products, solve, columns, k_columns, pointers, y, root, weighted, offsets, shared, chosen, first,
    last, free, p, all_p, params, known, tries, max_steps, starts, levels, lower, upper, curved, count_curved, reaches,
    stride, limits, few, most, order, work, values, stderr, loss, status, told
):  # fmt: skip
    """Fit the curves ``chosen[first]`` to ``chosen[last]``; ``status`` as in ``straight_pass``, ``told`` (b, TOLD).

    ``starts`` (b, tries, all_p) and ``levels`` (b, tries), Σ w r² there, best first; ``reaches`` (most rows + 1,) the t
    of an error bar's ends; ``params`` (all_p,) holds the fixed parameters.
    """
    own_y = at(work, stride * k_columns)
    own_root = at(own_y, stride)
    w = at(own_root, stride)
    block = at(w, stride * (p + 1 + WORKING))
    g = at(block, 256 * (1 + all_p))
    inverse = at(g, 8 * p * p)
    d = at(inverse, 8 * p * p)
    z, norm, theta, spread = at(d, 8 * p), at(d, 16 * p), at(d, 24 * p), at(d, 32 * p)
    facts = at(d, 40 * p)
    best, moved = at(facts, 8 * FACTS), at(facts, 8 * (FACTS + all_p))
    waits = at(moved, 8 * all_p)
    sums = at(waits, 8)
    below = at(sums, 32 * p)
    counts = at(order, stride // 8 + 8)
    short, long = chosen[first], chosen[last - 1]  # curves stand by their numbers of rows
    ragged = offsets[short + 1] - offsets[short] != offsets[long + 1] - offsets[long]
    masked = 1 if weighted == 1 or ragged else 0
    descend_all(
        each, products, solve, columns, k_columns, pointers, y, root, weighted, masked, offsets, shared, chosen, first,
        last, free, p, all_p, tries, max_steps, starts, levels, lower, upper, stride, order, work, block, below, values,
        told,
    )  # fmt: skip
    for group in range(first, last, 8):
        n, masked = side_by_side(
            columns, k_columns, y, root, weighted, offsets, shared, chosen, group, first, last, p, stride, order, work,
            facts,
        )  # fmt: skip
        for lane in range(8):
            k = chosen[min(group + lane, last - 1)]
            for j in range(all_p):
                best[8 * j + lane] = values[k * all_p + j]
        for lane in range(8):
            waits[lane] = reaches[counts[lane]]
        at_answers(
            each, pointers, own_y, own_root, masked, n, free, p, all_p, curved, count_curved, known, best, w, stride, g,
            inverse, d, z, norm, theta, spread, facts, waits, block, moved, sums,
        )  # fmt: skip
        conclude(
            kernel, 0, columns, k_columns, work, y, own_y, root, own_root, weighted, masked, offsets, shared, chosen,
            group, last, n, free, p, all_p, params, known, w, stride, g, d, z, norm, theta, spread, facts, block,
            limits, few, most, order, values, stderr, loss, status,
        )  # fmt: skip
        leave(chosen, group, last, p, theta, norm, facts, waits, told, status)
    return 0
