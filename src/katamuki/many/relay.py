"""Eight places in which curves descend one after the other: what has arrived makes room for the next.

Curves need different numbers of steps. A place that is free takes the next start of its curve, where that is worth a
look, or the next curve; so no curve waits for its neighbours, and none knows of them. What is found, parameters at the
best end and how it ended, is written down curve by curve.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, inline
from katamuki.backends.vectors import load, somewhere, splat
from katamuki.many.descent import (
    CLEAN,
    DAMPING,
    ENDED,
    EVALUATIONS,
    FACTOR,
    FIRST,
    FRESH,
    GOES_ON,
    GROWTH,
    MOVED,
    POLISHING,
    STATE,
    decide,
    parts,
    propose,
    sums_of,
)

# What is told of each curve's descents: how the best ended, evaluations, its start, and the bend at its answer.
HOW, TAKEN, TRY, BEND = range(4)
TOLD = 4
NONE, OUTSIDE = 0.0, 5.0  # how descents ended, besides what :mod:`katamuki.many.descent` says
# Whole numbers of a relay: the curve of each place, −1: none; which of its starts it came from; its rows; who is next.
STARTED, NUMBER, WAITING = 8, 16, 24
BETTER = 1e-6  # of the rss: a start that is so much lower than the end leads elsewhere


@inline
def put_aside(source, begin, count, n, lane, column):  # type: ignore[no-untyped-def]
    """A curve's rows in its lane; the last again where there are no more."""
    for r in range(count):
        column[8 * r + lane] = source[begin + r]
    last = source[begin + count - 1]
    for r in range(count, n):
        column[8 * r + lane] = last


@inline
def bring_rows(columns, k_columns, y, root, weighted, masked, offsets, shared, k, lane, n, stride, work):  # type: ignore[no-untyped-def]
    """A curve's rows to its place; how many it has. Columns that all curves share stand there already."""
    count = offsets[k + 1] - offsets[k]
    begin = 0 if shared == 1 else offsets[k]
    own_y = at(work, stride * k_columns)
    if shared == 0:
        for j in range(k_columns):
            put_aside(columns[j], begin, count, n, lane, at(work, j * stride))
    put_aside(y, offsets[k], count, n, lane, own_y)
    if masked == 1:
        own_root = at(own_y, stride)
        for r in range(n):
            own_root[8 * r + lane] = 0.0 if r >= count else root[begin + r] if weighted == 1 else 1.0
    return count


@inline
def start_from(point, lane, all_p, trial, x, state):  # type: ignore[no-untyped-def]
    """A descent of one place begins."""
    for j in range(all_p):
        trial[8 * j + lane] = point[j]
        x[8 * j + lane] = point[j]
    state[8 * ENDED + lane] = GOES_ON
    state[8 * FRESH + lane] = 1.0
    state[8 * EVALUATIONS + lane] = 0.0
    state[8 * DAMPING + lane] = FIRST
    state[8 * GROWTH + lane] = 2.0
    state[8 * MOVED + lane] = 1e300
    state[8 * POLISHING + lane] = 0.0
    state[8 * FACTOR + lane] = 1.0


@inline
def keep(state, rss, x, one, lane, k, all_p, free, p, lower, upper, best_rss, values, told):  # type: ignore[no-untyped-def]
    """Take an end that is the best of its curve so far; the first is kept whatever it is."""
    said = at(told, k * TOLD)
    how = state[8 * ENDED + lane]
    said[TAKEN] += state[8 * EVALUATIONS + lane]
    if how == CLEAN and not rss[lane] < best_rss[lane]:
        return
    for j in range(p):
        if how == CLEAN and not lower[j] < x[8 * free[j] + lane] < upper[j]:
            how = OUTSIDE
    if how == CLEAN or one == 0:
        for j in range(all_p):
            values[k * all_p + j] = x[8 * j + lane]
    if how == CLEAN:
        best_rss[lane] = rss[lane]
        said[TRY] = one
    if how == CLEAN or said[HOW] != CLEAN:
        said[HOW] = how


@inline
def worth(levels, tries, one, k, best):  # type: ignore[no-untyped-def]
    """Whether a start leads elsewhere than to the best end so far: no end is known below its level."""
    if one >= tries:
        return False
    level = levels[k * tries + one]
    return level < math.inf and not level >= best * (1.0 - BETTER)


@inline
def nothing_yet(told, k):  # type: ignore[no-untyped-def]
    """No descent of a curve so far."""
    said = at(told, k * TOLD)
    said[HOW], said[TAKEN], said[TRY], said[BEND] = NONE, 0.0, -1.0, math.nan


@inline
def next_curve(  # type: ignore[no-untyped-def]
    columns, k_columns, y, root, weighted, masked, offsets, shared, chosen, first, tries, levels, lane, n, stride,
    order, work, told
):  # fmt: skip
    """Bring the next curve that has a start to a free place: its number, or −1 where none is left."""
    counts = at(order, NUMBER)
    while order[WAITING] >= first:
        k = chosen[order[WAITING]]
        order[WAITING] -= 1
        nothing_yet(told, k)
        if worth(levels, tries, 0, k, math.inf):
            counts[lane] = bring_rows(
                columns, k_columns, y, root, weighted, masked, offsets, shared, k, lane, n, stride, work
            )
            return k
    counts[lane] = 0
    return -1


@inline
def relieve(  # type: ignore[no-untyped-def]
    columns, k_columns, y, root, weighted, masked, offsets, shared, chosen, first, free, p, all_p, tries, starts,
    levels, lower, upper, n, stride, order, work, x, trial, state, rss, best_rss, values, told
):  # fmt: skip
    """Write down what has arrived, and begin what is next in its place; rows of the longest curve now, 0: all done."""
    rows = 0
    for lane in range(8):
        if state[8 * ENDED + lane] >= CLEAN:
            k, one = order[lane], order[STARTED + lane]
            if k >= 0:
                keep(state, rss, x, one, lane, k, all_p, free, p, lower, upper, best_rss, values, told)
                one += 1
                if not worth(levels, tries, one, k, best_rss[lane]):
                    k = -1
            if k < 0:
                k, one = next_curve(
                    columns, k_columns, y, root, weighted, masked, offsets, shared, chosen, first, tries, levels, lane,
                    n, stride, order, work, told,
                ), 0  # fmt: skip
                best_rss[lane] = math.inf
            order[lane], order[STARTED + lane] = k, one
            if k >= 0:
                start_from(at(starts, (k * tries + one) * all_p), lane, all_p, trial, x, state)
        rows = max(rows, order[NUMBER + lane])
    return rows


@inline
def descend_all(  # type: ignore[no-untyped-def]
    each, products, solve, columns, k_columns, pointers, y, root, weighted, masked, offsets, shared, chosen, first,
    last, free, p, all_p, tries, most, starts, levels, lower, upper, stride, order, work, block, below, values, told
):  # fmt: skip
    """Descend from each curve's starts until the best end is below the levels of those that are left.

    Curves stand by their numbers of rows; the longest come first, so that rows of weight 0 are few.
    """
    own_y = at(work, stride * k_columns)
    own_root = at(own_y, stride)
    fresh, memory, trial, x, state = parts(below, p, all_p)
    rss, best_rss = at(below, 8 * ((p + 1) * (p + 2) // 2 - 1)), at(state, 8 * STATE)
    n = offsets[chosen[last - 1] + 1] - offsets[chosen[last - 1]]
    order[WAITING] = last - 1
    for lane in range(8):
        order[lane] = -1
        state[8 * ENDED + lane] = CLEAN
        if shared == 1:
            for j in range(k_columns):
                put_aside(columns[j], 0, n, n, lane, at(work, j * stride))
    while True:
        if somewhere(load(state, ENDED) > splat(GOES_ON)):
            n = relieve(
                columns, k_columns, y, root, weighted, masked, offsets, shared, chosen, first, free, p, all_p, tries,
                starts, levels, lower, upper, n, stride, order, work, x, trial, state, rss, best_rss, values, told,
            )  # fmt: skip
            if n == 0:
                return
        sums_of(each, products, pointers, own_y, own_root, masked, n, free, p, trial, block, fresh)
        decide(below, fresh, p, free, x, trial, state, memory)
        propose(solve, below, p, free, x, state, trial, memory, most)
