"""Whole fits of many curves, eight at a time: rows side by side, descents from the best starts, and what residuals say.

Curves of different length stand side by side with rows of weight 0. What a curve's fit does with them is exact, so its
bits are its own.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, call_rows, function, inline
from katamuki.backends.vectors import choose, fused, load, root_of, size_of, splat, store
from katamuki.many import descent
from katamuki.many.descent import CLEAN, ENDED, STATE, descend, invert, larger, spread_out
from katamuki.many.descent import EVALUATIONS as TAKEN
from katamuki.many.descent import LEAST as SMALLEST
from katamuki.many.facts import FACTS, facts_room, judge

LONG = 4096  # rows of a curve that is worth a fit of its own
# Slots of a curve's result; all parameters and the square roots of the diagonal of (JᵀJ)⁻¹ follow.
STATUS, RSS, EVALUATIONS, TRY, LEAST, BEND = range(6)
OF_FACTS = 6  # where what the residuals say begins, see katamuki.many.facts
HEAD = OF_FACTS + FACTS
NOT_FITTED, OUTSIDE = 0.0, 5.0  # statuses beside those of a descent
BETTER = 1e-6  # of the rss: a start that is so much lower than the end leads elsewhere


def room(p: int, all_p: int) -> int:
    """How many doubles the fit of eight curves works in, beside rows and a block."""
    return descent.room(p, all_p) + 8 * (2 * all_p + STATE + 1 + 2 * p * p + 6 * p + 33) + p * p + facts_room(p)


@inline
def side_by_side(source, begin, count, lane, n, tile):  # type: ignore[no-untyped-def]
    """One curve's rows in its lane of a tile; its first row again where it has no more."""
    for r in range(count):
        tile[8 * r + lane] = source[begin + r]
    for r in range(count, n):
        tile[8 * r + lane] = source[begin] if count > 0 else 1.0


@inline
def fill(columns, count_columns, y, root, weighted, offsets, shared, k, lane, n, same, stride, tiles):  # type: ignore[no-untyped-def]
    """Bring curve k's columns, response and weights to its lane; ``same``: columns stand there already."""
    own = min(offsets[k + 1] - offsets[k], n)
    begin = 0 if shared == 1 else offsets[k]
    if same == 0:
        for c in range(count_columns):
            side_by_side(columns[c], begin, own, lane, n, at(tiles, c * stride))
    side_by_side(y, offsets[k], own, lane, n, at(tiles, count_columns * stride))
    weight = at(tiles, (count_columns + 1) * stride)
    for r in range(n):
        weight[8 * r + lane] = 0.0 if r >= own else root[begin + r] if weighted == 1 else 1.0


@inline
def keep(result, lane, p, all_p, free, lower, upper, state, rss, x, bars, inverse, one, best):  # type: ignore[no-untyped-def]
    """Take an end into the curve's result if it is the best so far; ``best`` (p, p) keeps its W."""
    status = state[8 * ENDED + lane]
    result[EVALUATIONS] += state[8 * TAKEN + lane]
    if status == CLEAN and not rss[lane] < result[RSS]:
        return
    for j in range(p):
        if status == CLEAN and not lower[j] < x[8 * free[j] + lane] < upper[j]:
            status = OUTSIDE
    if status != CLEAN:
        if result[STATUS] != CLEAN:
            result[STATUS], result[LEAST] = status, state[8 * SMALLEST + lane]
        return
    result[STATUS], result[RSS], result[TRY], result[LEAST] = CLEAN, rss[lane], one, state[8 * SMALLEST + lane]
    for j in range(all_p):
        result[HEAD + j] = x[8 * j + lane]
    for j in range(p):
        result[HEAD + all_p + j] = bars[8 * j + lane]
    for j in range(p * p):
        best[8 * j + lane] = inverse[8 * j + lane]


@inline
def bends(each, columns, y, root, masked, n, free, p, all_p, x, inverse, reach, block, expanded, moved, sums):  # type: ignore[no-untyped-def]
    """How much the formula bends between the ends of its error bars, as a share of the way between them.

    The largest of :func:`katamuki.findings.bending.bend_pass`'s three shares over the parameters; ``reach`` is t·s,
    ``sums`` has room for 4p and a block's values.
    """
    middle = at(sums, 32 * p)
    for k in range(4 * p):
        store(sums, k, splat(0.0))
    start = 0
    while start < n:
        m = min(32, n - start)
        spread_out(x, all_p, m, expanded)
        call_rows(each, columns, expanded, 8 * start, 8 * m, block, at(block, 256), 0)
        for r in range(m):
            store(middle, r, load(block, r))
        for k in range(p):
            square = splat(0.0)
            for i in range(p):
                square = fused(load(inverse, k * p + i), load(inverse, k * p + i), square)
            scale = reach / root_of(square)
            for sign in range(2):
                for j in range(all_p):
                    store(moved, j, load(x, j))
                for j in range(p):
                    total = splat(0.0)
                    for i in range(p):
                        total = fused(load(inverse, k * p + i), load(inverse, j * p + i), total)
                    move = total * scale
                    store(moved, free[j], load(moved, free[j]) + (move if sign == 0 else -move))
                spread_out(moved, all_p, m, expanded)
                # Values at one end stand in the block's first column, at the other in its second.
                target = block if sign == 0 else at(block, 256)
                call_rows(each, columns, expanded, 8 * start, 8 * m, target, at(block, 256), 0)
            along, itself = load(sums, 4 * k), load(sums, 4 * k + 1)
            across, velocity = load(sums, 4 * k + 2), load(sums, 4 * k + 3)
            for r in range(m):
                here, above, below = load(middle, r), load(block, r), load(at(block, 256), r)
                a, v, left = (above - here) + (below - here), splat(0.5) * (above - below), load(y, start + r) - here
                if masked == 1:
                    w = load(root, start + r)
                    a, v, left = a * w, v * w, left * w
                along, itself = fused(a, v, along), fused(a, a, itself)
                across, velocity = fused(a, left, across), fused(v, v, velocity)
            store(sums, 4 * k, along)
            store(sums, 4 * k + 1, itself)
            store(sums, 4 * k + 2, across)
            store(sums, 4 * k + 3, velocity)
        start += m
    worst = splat(0.0)
    for k in range(p):
        most = larger(larger(size_of(load(sums, 4 * k)), size_of(load(sums, 4 * k + 2))), load(sums, 4 * k + 1))
        share = most / load(sums, 4 * k + 3)
        worst = choose(share <= worst, worst, share)  # what is not finite stays
    return worst


@function(
    "int64(int64, int64, double**, int64, double*, double*, int64, int64*, int64, int64, int64, int64*, int64, int64,"
    " int64, int64, double*, double*, double*, double*, double*, int64, int64, double**, double*, double*, double*,"
    " int64*, double*)",
    sums=True,
)
def fit_each(  # type: ignore[no-untyped-def]
    each, kernel, columns, count_columns, y, root, weighted, offsets, shared, first, last, free, p, all_p,
    tries, max_steps, starts, levels, lower, upper, reaches, known, stride, pointers, tiles, block, work, order, out,
):  # fmt: skip
    """Fit the curves first to last. ``starts`` (b, tries, all_p) and ``levels`` (b, tries), Σ w r² there: best first.

    A start is left for the next one where it leads nowhere, or to an end above the next one's level. ``reaches`` (b,)
    are the t of an error bar's ends, ``known`` 1 where they are not to be multiplied by the scatter. ``tiles`` has room
    for count_columns + 2 times ``stride``, eight times the most rows; ``pointers`` are its columns. ``out`` (b, HEAD +
    all_p + p): status and so on, all parameters, the square roots of the diagonal of (JᵀJ)⁻¹.
    """
    width = HEAD + all_p + p
    size = (p + 1) * (p + 2) // 2
    matrix = at(work, 16 * size)
    length = at(matrix, 8 * p * p)
    x = at(length, 16 * p + 8 * all_p + 256 * all_p)
    state = at(x, 8 * all_p)
    waits = at(state, 8 * STATE)
    inverse = at(waits, 8)
    best = at(inverse, 8 * p * p)
    bars = at(best, 8 * p * p)
    sums = at(bars, 8 * p)
    moved = at(sums, 32 * p + 256)
    own_inverse = at(moved, 8 * all_p)
    expanded = at(length, 16 * p + 8 * all_p)
    for k in range(first, last):
        result = at(out, k * width)
        result[STATUS], result[RSS], result[EVALUATIONS], result[TRY] = NOT_FITTED, math.inf, 0.0, -1.0
    for group in range(first, last, 8):
        n, fewest = 0, LONG
        for lane in range(8):
            k = min(group + lane, last - 1)
            own = offsets[k + 1] - offsets[k]
            if own <= LONG:
                n = max(n, own)
                fewest = min(fewest, own)
            else:
                fewest = 0
        masked = 1 if weighted == 1 or fewest < n else 0
        same = 1 if shared == 1 and group > first else 0
        for lane in range(8):
            k = min(group + lane, last - 1)
            fill(columns, count_columns, y, root, weighted, offsets, shared, k, lane, n, same, stride, tiles)
        for one in range(tries):
            count = 0
            for lane in range(8):
                k = min(group + lane, last - 1)
                own, level = offsets[k + 1] - offsets[k], levels[k * tries + one]
                goes = group + lane < last and p < own <= LONG and level < math.inf
                goes = goes and not level >= out[k * width + RSS] * (1.0 - BETTER)
                waits[lane] = 0.0 if goes else 1.0
                count += 1 if goes else 0
                for j in range(all_p):
                    x[8 * j + lane] = starts[(k * tries + one) * all_p + j]
            if count == 0:
                break
            descend(
                each, pointers, at(tiles, count_columns * stride), at(tiles, (count_columns + 1) * stride), masked, n,
                free, p, all_p, max_steps, x, load(waits, 0) > splat(0.5), block, work, state,
            )  # fmt: skip
            invert(matrix, p, length, inverse, bars)
            for lane in range(8):
                if waits[lane] == 0.0:
                    keep(
                        at(out, (group + lane) * width), lane, p, all_p, free, lower, upper, state,
                        at(work, 8 * (size - 1)), x, bars, inverse, one, best,
                    )  # fmt: skip
        for lane in range(8):  # of a curve without an answer nothing is read
            k = min(group + lane, last - 1)
            result, own = at(out, k * width), offsets[k + 1] - offsets[k]
            found = result[STATUS] == CLEAN
            waits[lane] = reaches[k] if found else 0.0
            if found and known == 0:
                waits[lane] *= math.sqrt(result[RSS] / (own - p))
            for j in range(all_p):
                x[8 * j + lane] = result[HEAD + j] if found else 1.0
        worst = bends(
            each, pointers, at(tiles, count_columns * stride), at(tiles, (count_columns + 1) * stride), masked, n, free,
            p, all_p, x, best, load(waits, 0), block, expanded, moved, sums,
        )  # fmt: skip
        store(waits, 0, worst)
        for lane in range(min(8, last - group)):
            k = group + lane
            result = at(out, k * width)
            result[BEND] = waits[lane]
            if result[STATUS] == CLEAN:
                for j in range(p * p):
                    own_inverse[j] = best[8 * j + lane]
                begin = 0 if shared == 1 else offsets[k]
                judge(
                    kernel, columns, min(count_columns, 1), at(y, offsets[k]) if shared == 1 else y, root, weighted,
                    begin, offsets[k + 1] - offsets[k], free, p, at(result, HEAD), result[RSS], own_inverse, block,
                    at(own_inverse, p * p), order, at(result, OF_FACTS),
                )  # fmt: skip
    return 0
