"""Levenberg–Marquardt for eight curves at a time, whole fits in one compiled function.

The fast twin of :mod:`katamuki.solvers.damped_step` for well-behaved curves: normal equations with columns of length 1
(their digits suffice while no diagonal of the Cholesky factor is small), damping by the gain ratio (Nielsen 1999), then
undamped Gauss–Newton steps, lengthened by a secant along the last move, until they no longer shrink. Each of the eight
goes its own way, by choices in the place of branches; sums run along a curve's own rows in their order, so its bits do
not depend on its neighbours. A curve whose steps do not settle, whose columns nearly depend on each other, or whose
answer lies outside its bounds is handed back with a status, and the careful solver fits it.

Memory: place k of an array holds one number of each of the eight, see :mod:`katamuki.backends.vectors`.
"""

from __future__ import annotations

from katamuki.backends.native import at, call_rows, inline
from katamuki.backends.vectors import (
    both,
    choose,
    either,
    fused,
    load,
    neither,
    root_of,
    size_of,
    somewhere,
    splat,
    store,
)

ROWS = 32  # of each of eight curves: a block of 256
# How a descent ended.
GOES_ON, CLEAN, NO_VALUE, UNSETTLED, ILL = 0.0, 1.0, 2.0, 3.0, 4.0
# What is known of a descent: how it ended, what it took, and its present step.
ENDED, EVALUATIONS, LEAST, DAMPING, GROWTH, MOVED, PROMISED, POLISHING, FACTOR = range(9)
STATE = 9

FIRST = 1e-3  # damping
LONGEST = 1e12  # damping
LEAST_GAIN = 1e-4  # of what was promised, for a step to be taken
NEAR = 1e-5  # of the rss: after a step that promises less steps are undamped
NOTHING = 1e-12  # of the rss: a gain so small is rounding, taken or not
SURE = 1e-13  # of the parameters: a step so short is rounding
LAST = 1e-13  # of the parameters: what is still to go after the last step
FAR = 1e299  # no undamped step was taken yet
SHRINKS = 0.7  # undamped steps that shrink less do not settle
WORSE = 1e-6  # of the rss: an undamped step that leads so much higher left no minimum
DIAGONAL = 1e-2  # of a Cholesky factor with columns of length 1: normal equations keep twelve digits
PIVOT = 1e-14  # of a scaled normal matrix: less is rounding


def room(p: int, all_p: int) -> int:
    """How many doubles a descent works in, beside a block."""
    q = p + 1
    return 256 * all_p + 8 * (2 * all_p + 2 * (q * (q + 1) // 2 + q) + p * p + 3 * p + 4)


@inline
def larger(a, b):  # type: ignore[no-untyped-def]
    """The larger of two."""
    return choose(a > b, a, b)


@inline
def spread_out(params, all_p, rows, expanded):  # type: ignore[no-untyped-def]
    """Parameters for each row of a block: ``expanded[256k + 8r + i]`` is parameter k of curve i."""
    for k in range(all_p):
        value = load(params, k)
        column = at(expanded, 256 * k)
        for r in range(rows):
            store(column, r, value)


@inline
def column_of(i, free, p, block):  # type: ignore[no-untyped-def]
    """Column i of [J, r] in a block, the last where there is none."""
    return at(block, 256 * (1 + free[i])) if i < p else block


@inline
def products(left, i, q, m, free, p, block, sums):  # type: ignore[no-untyped-def]
    """Add the sums of products of one column with columns i to i + 3, as far as there are so many."""
    one, two = column_of(i, free, p, block), column_of(i + 1, free, p, block)
    three, four = column_of(i + 2, free, p, block), column_of(i + 3, free, p, block)
    a, b, c, d = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    if i + 3 < q:
        for r in range(m):
            factor = load(left, r)
            a, b = fused(factor, load(one, r), a), fused(factor, load(two, r), b)
            c, d = fused(factor, load(three, r), c), fused(factor, load(four, r), d)
    elif i + 2 < q:
        for r in range(m):
            factor = load(left, r)
            a, b, c = fused(factor, load(one, r), a), fused(factor, load(two, r), b), fused(factor, load(three, r), c)
    elif i + 1 < q:
        for r in range(m):
            factor = load(left, r)
            a, b = fused(factor, load(one, r), a), fused(factor, load(two, r), b)
    else:
        for r in range(m):
            a = fused(load(left, r), load(one, r), a)
    store(sums, 0, load(sums, 0) + a)
    if i + 1 < q:
        store(sums, 1, load(sums, 1) + b)
    if i + 2 < q:
        store(sums, 2, load(sums, 2) + c)
    if i + 3 < q:
        store(sums, 3, load(sums, 3) + d)


@inline
def sums_of(kernel, columns, y, root, masked, n, free, p, block, expanded, sums):  # type: ignore[no-untyped-def]
    """``sums`` = the upper triangle of [J, r]ᵀ[J, r] by rows, r last: n rows of eight curves.

    ``root`` (n,) holds √w, and 0 for rows that a curve does not have.
    """
    q = p + 1
    for k in range(q * (q + 1) // 2):
        store(sums, k, splat(0.0))
    start = 0
    while start < n:
        m = min(32, n - start)
        call_rows(kernel, columns, expanded, 8 * start, 8 * m, block, at(block, 256), 1)
        for r in range(m):
            store(block, r, load(y, start + r) - load(block, r))
        if masked == 1:
            for j in range(q):
                column = column_of(j, free, p, block)
                for r in range(m):
                    store(column, r, load(column, r) * load(root, start + r))
        k = 0
        for j in range(q):
            left = column_of(j, free, p, block)
            i = j
            while i < q:
                products(left, i, q, m, free, p, block, at(sums, 8 * k))
                k += min(4, q - i)
                i += 4
        start += m


@inline
def inverse_lengths(sums, p, scale):  # type: ignore[no-untyped-def]
    """1 over the columns' lengths; 1 for a column of zeros."""
    row = 0
    for i in range(p):
        value = root_of(load(sums, row))
        store(scale, i, choose(value > splat(0.0), splat(1.0) / value, splat(1.0)))
        row += p + 1 - i


@inline
def cholesky(sums, p, damping, matrix, scale):  # type: ignore[no-untyped-def]
    """The factor L (p, p) by rows of the scaled normal matrix plus damping, 1 over its diagonal in the place of that.

    Returns its least diagonal, 0 if there is none.
    """
    least, row = splat(1.0), 0
    for i in range(p):
        own = load(scale, i)
        for k in range(i, p):
            value = load(sums, row + k - i) * own * load(scale, k)
            if k == i:
                value = value + damping
            for j in range(i):
                value = value - load(matrix, i * p + j) * load(matrix, k * p + j)
            if k == i:
                fine = value > splat(PIVOT)
                value = root_of(choose(fine, value, splat(1.0)))
                store(matrix, i * p + i, splat(1.0) / value)
                least = choose(fine, choose(value < least, value, least), splat(0.0))
            else:
                store(matrix, k * p + i, value * load(matrix, i * p + i))
        row += p + 1 - i
    return least


@inline
def step_of(sums, p, matrix, scale, step):  # type: ignore[no-untyped-def]
    """``step`` in units of its scale, so that its length is that of the change of the curve."""
    row = 0
    for i in range(p):
        value = load(sums, row + p - i) * load(scale, i)
        for j in range(i):
            value = value - load(matrix, i * p + j) * load(step, j)
        store(step, i, value * load(matrix, i * p + i))
        row += p + 1 - i
    for i in range(p - 1, -1, -1):
        value = load(step, i)
        for j in range(i + 1, p):
            value = value - load(matrix, j * p + i) * load(step, j)
        store(step, i, value * load(matrix, i * p + i))


@inline
def promised(sums, p, scale, damping, step):  # type: ignore[no-untyped-def]
    """By how much a damped step lowers the rss of the linearisation: δ·g + damping‖δ‖² (Nielsen 1999)."""
    total, row = splat(0.0), 0
    for j in range(p):
        one = load(step, j)
        total = total + one * (load(sums, row + p - j) * load(scale, j) + damping * one)
        row += p + 1 - j
    return total


@inline
def propose(sums, p, all_p, free, x, state, matrix, scale, step, trial, last):  # type: ignore[no-untyped-def]
    """The next trial point of each; those that have arrived take their last step without a look and end."""
    zero, one = splat(0.0), splat(1.0)
    alive, undamped = load(state, ENDED) < one, load(state, POLISHING) > zero
    inverse_lengths(sums, p, scale)
    used = choose(undamped, zero, load(state, DAMPING))
    least = cholesky(sums, p, used, matrix, scale)
    step_of(sums, p, matrix, scale, step)
    moved, reach, along = zero, zero, zero
    for j in range(p):
        move = load(step, j)
        moved = fused(move, move, moved)
        along = fused(move, load(last, j), along)
        reach = larger(reach, size_of(load(x, free[j]) / load(scale, j)))
    moved, before = root_of(moved), load(state, MOVED)
    again = both(undamped, before < splat(FAR))
    # Undamped steps fall short, or go too far, by a factor that the last move tells: a secant along it.
    factor = load(state, FACTOR) * before * before / (before * before - along)
    longer = choose(both(again, both(factor > splat(0.5), factor < splat(2.0))), factor, one)
    store(state, FACTOR, longer)
    for j in range(p):
        move, value = load(step, j), load(x, free[j])
        store(last, j, move)
        store(trial, free[j], choose(alive, value + longer * move * load(scale, j), value))
    rounding = moved <= splat(SURE) * reach
    # What this step leaves is about moved²/before: error bars from there have ten digits, values are stepped once more.
    short = either(rounding, both(before < splat(FAR), moved * moved <= splat(LAST) * reach * before))
    ill = least < splat(DIAGONAL)
    done = both(both(alive, undamped), either(either(short, moved > splat(SHRINKS) * before), ill))
    how = choose(ill, splat(ILL), choose(either(short, rounding), splat(CLEAN), splat(UNSETTLED)))
    for j in range(p):
        store(x, free[j], choose(both(done, short), load(trial, free[j]), load(x, free[j])))
    store(state, LEAST, choose(alive, least, load(state, LEAST)))
    store(state, MOVED, choose(both(alive, undamped), moved, before))
    store(state, PROMISED, promised(sums, p, scale, used, step))
    store(state, ENDED, choose(done, how, load(state, ENDED)))


@inline
def decide(sums, fresh, size, p, free, x, trial, state):  # type: ignore[no-untyped-def]
    """Take the evaluated trial points or leave them, and adapt the damping."""
    zero, one = splat(0.0), splat(1.0)
    alive, undamped = load(state, ENDED) < one, load(state, POLISHING) > zero
    hope, damping, growth = load(state, PROMISED), load(state, DAMPING), load(state, GROWTH)
    now, then, total = load(sums, size - 1), load(fresh, size - 1), zero
    for k in range(size):
        total = total + load(fresh, k) * zero
    finite = total < one
    ratio = choose(both(finite, both(hope > zero, load(state, LEAST) > zero)), (now - then) / hope, splat(-1.0))
    downhill = both(finite, then <= now * splat(1.0 + WORSE))
    taken = choose_mask(undamped, downhill, ratio > splat(LEAST_GAIN))
    descending = both(alive, neither(undamped))
    harder, eased = both(descending, neither(taken)), both(descending, taken)
    turn = splat(2.0) * ratio - one
    easier = larger(damping * larger(splat(1.0 / 3.0), one - turn * turn * turn), splat(1e-15))
    lost = either(both(both(alive, undamped), neither(downhill)), both(harder, damping * growth > splat(LONGEST)))
    store(state, ENDED, choose(lost, splat(UNSETTLED), load(state, ENDED)))
    store(state, DAMPING, choose(eased, easier, choose(harder, damping * growth, damping)))
    store(state, GROWTH, choose(eased, splat(2.0), choose(harder, splat(2.0) * growth, growth)))
    store(state, EVALUATIONS, choose(alive, load(state, EVALUATIONS) + one, load(state, EVALUATIONS)))
    arrives = both(both(descending, hope <= splat(NEAR) * now), either(taken, hope <= splat(NOTHING) * now))
    store(state, POLISHING, choose(arrives, one, load(state, POLISHING)))
    accepted = both(alive, taken)
    for k in range(size):
        store(sums, k, choose(accepted, load(fresh, k), load(sums, k)))
    for j in range(p):
        store(x, free[j], choose(accepted, load(trial, free[j]), load(x, free[j])))


@inline
def descend(  # type: ignore[no-untyped-def]
    kernel, columns, y, root, masked, n, free, p, all_p, max_steps, x, waits, block, work, state
):  # fmt: skip
    """From ``x`` (all_p,) to the minimum below it, in place, those that do not wait.

    ``state`` (STATE,) says how it ended. The sums at the end stand in ``work``, behind those of the last trial come L
    and the scale.
    """
    size = (p + 1) * (p + 2) // 2
    sums, fresh = work, at(work, 8 * size)
    matrix = at(fresh, 8 * size)
    scale = at(matrix, 8 * p * p)
    step = at(scale, 8 * p)
    trial = at(step, 8 * p)
    expanded = at(trial, 8 * all_p)
    last = at(expanded, 256 * all_p)
    rows = min(32, n)
    spread_out(x, all_p, rows, expanded)
    sums_of(kernel, columns, y, root, masked, n, free, p, block, expanded, sums)
    total = splat(0.0)
    for k in range(size):
        total = total + load(sums, k) * splat(0.0)
    ended = choose(waits, splat(CLEAN), choose(total < splat(1.0), splat(GOES_ON), splat(NO_VALUE)))
    store(state, ENDED, ended)
    store(state, DAMPING, splat(FIRST))
    store(state, GROWTH, splat(2.0))
    store(state, MOVED, splat(1e300))
    store(state, POLISHING, splat(0.0))
    store(state, FACTOR, splat(1.0))
    store(state, EVALUATIONS, splat(1.0))
    store(state, LEAST, splat(1.0))
    for k in range(all_p):
        store(trial, k, load(x, k))
    for j in range(p):
        store(last, j, splat(0.0))
    for _ in range(max_steps):
        if somewhere(load(state, ENDED) < splat(1.0)):
            propose(sums, p, all_p, free, x, state, matrix, scale, step, trial, last)
        if not somewhere(load(state, ENDED) < splat(1.0)):
            return
        spread_out(trial, all_p, rows, expanded)
        sums_of(kernel, columns, y, root, masked, n, free, p, block, expanded, fresh)
        decide(sums, fresh, size, p, free, x, trial, state)
    ended = load(state, ENDED)
    store(state, ENDED, choose(ended < splat(1.0), splat(UNSETTLED), ended))


@inline
def choose_mask(mask, one, other):  # type: ignore[no-untyped-def]
    """One mask or the other."""
    return either(both(mask, one), both(neither(mask), other))


@inline
def invert(matrix, p, scale, inverse, bars):  # type: ignore[no-untyped-def]
    """``inverse`` W (p, p) with WWᵀ = (JᵀJ)⁻¹, from L of the scaled normal matrix; ``bars`` (p,) its rows' lengths."""
    for k in range(p):
        total, unit = splat(0.0), load(scale, k)
        for i in range(p):
            if i < k:
                store(inverse, k * p + i, splat(0.0))
                continue
            value = splat(1.0 if i == k else 0.0)
            for j in range(k, i):
                value = value - load(matrix, i * p + j) * load(inverse, k * p + j)
            value = value * load(matrix, i * p + i)
            store(inverse, k * p + i, value)
            total = fused(value, value, total)
        for i in range(k, p):
            store(inverse, k * p + i, load(inverse, k * p + i) * unit)
        store(bars, k, root_of(total) * unit)
