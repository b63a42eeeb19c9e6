"""Levenberg–Marquardt for eight curves at a time, whole fits in one compiled function.

The fast twin of :mod:`katamuki.solvers.damped_step` for well-behaved curves: normal equations with columns of length 1
(their digits suffice while no diagonal of the Cholesky factor is small), damping by the gain ratio (Nielsen 1999), then
undamped Gauss–Newton steps until they no longer shrink. Each of the eight goes its own way, by choices in the place of
branches; sums run along a curve's own rows in their order, so its bits do not depend on its neighbours. A curve whose
steps do not settle, whose columns nearly depend on each other, or whose answer lies outside its bounds is handed back
with a status, and the careful solver fits it.

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

FIRST = 1e-3  # damping
LONGEST = 1e12  # damping
LEAST_GAIN = 1e-4  # of what was promised, for a step to be taken
NEAR = 1e-5  # of the rss: after a step that promises less steps are undamped
SURE = 1e-13  # of the parameters: what is still to go after a step this short changes no digit
LAST = 3e-11  # of the parameters: a step so short leaves error bars ten digits
SHRINKS = 0.7  # undamped steps that shrink less do not settle
WORSE = 1e-6  # of the rss: an undamped step that leads so much higher left no minimum
DIAGONAL = 1e-2  # of a Cholesky factor with columns of length 1: normal equations keep twelve digits
PIVOT = 1e-14  # of a scaled normal matrix: less is rounding


def room(p: int, all_p: int) -> int:
    """How many doubles a descent works in, beside a block."""
    q = p + 1
    return 256 * all_p + 8 * (2 * all_p + 2 * (q * (q + 1) // 2 + q) + p * p + 2 * p + 4)


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
                column = at(block, 256 * (1 + free[j])) if j < p else block
                for r in range(m):
                    store(column, r, load(column, r) * load(root, start + r))
        k = 0
        for j in range(q):
            left = at(block, 256 * (1 + free[j])) if j < p else block
            i = j
            while i < q:
                one = at(block, 256 * (1 + free[i])) if i < p else block
                two = at(block, 256 * (1 + free[i + 1])) if i + 1 < p else block
                a, b = load(sums, k), splat(0.0)
                if i + 1 < q:
                    b = load(sums, k + 1)
                    for r in range(m):
                        factor = load(left, r)
                        a = fused(factor, load(one, r), a)
                        b = fused(factor, load(two, r), b)
                    store(sums, k + 1, b)
                else:
                    for r in range(m):
                        a = fused(load(left, r), load(one, r), a)
                store(sums, k, a)
                k += min(2, q - i)
                i += 2
        start += m


@inline
def lengths(sums, p, length):  # type: ignore[no-untyped-def]
    """The columns' lengths; 1 for a column of zeros."""
    row = 0
    for i in range(p):
        value = root_of(load(sums, row))
        store(length, i, choose(value > splat(0.0), value, splat(1.0)))
        row += p + 1 - i


@inline
def cholesky(sums, p, damping, matrix, length):  # type: ignore[no-untyped-def]
    """The factor L (p, p) by rows of the scaled normal matrix plus damping; its least diagonal, 0 if there is none."""
    least, row = splat(1.0), 0
    for i in range(p):
        for k in range(i, p):
            value = load(sums, row + k - i) / (load(length, i) * load(length, k))
            if k == i:
                value = value + damping
            for j in range(i):
                value = value - load(matrix, i * p + j) * load(matrix, k * p + j)
            if k == i:
                fine = value > splat(PIVOT)
                value = root_of(choose(fine, value, splat(1.0)))
                store(matrix, i * p + i, value)
                least = choose(fine, choose(value < least, value, least), splat(0.0))
            else:
                store(matrix, k * p + i, value / load(matrix, i * p + i))
        row += p + 1 - i
    return least


@inline
def step_of(sums, p, matrix, length, step):  # type: ignore[no-untyped-def]
    """``step`` in units of 1/length, so that its length is that of the change of the curve."""
    row = 0
    for i in range(p):
        value = load(sums, row + p - i) / load(length, i)
        for j in range(i):
            value = value - load(matrix, i * p + j) * load(step, j)
        store(step, i, value / load(matrix, i * p + i))
        row += p + 1 - i
    for i in range(p - 1, -1, -1):
        value = load(step, i)
        for j in range(i + 1, p):
            value = value - load(matrix, j * p + i) * load(step, j)
        store(step, i, value / load(matrix, i * p + i))


@inline
def promised(sums, p, length, damping, step):  # type: ignore[no-untyped-def]
    """By how much a damped step lowers the rss of the linearisation: δ·g + damping‖δ‖² (Nielsen 1999)."""
    total, row = splat(0.0), 0
    for j in range(p):
        one = load(step, j)
        total = total + one * (load(sums, row + p - j) / load(length, j) + damping * one)
        row += p + 1 - j
    return total


@inline
def descend(  # type: ignore[no-untyped-def]
    kernel, columns, y, root, masked, n, free, p, all_p, max_steps, x, waits, block, work, told
):  # fmt: skip
    """From ``x`` (all_p,) to the minimum below it, in place, those that do not ``wait``.

    ``told``: how it ended, evaluations, least diagonal. The sums at the end stand in ``work``, and behind them L and
    the lengths.
    """
    q = p + 1
    size = q * (q + 1) // 2
    sums, fresh = work, at(work, 8 * size)
    matrix = at(fresh, 8 * size)
    length = at(matrix, 8 * p * p)
    step = at(length, 8 * p)
    trial = at(step, 8 * p)
    expanded = at(trial, 8 * all_p)
    zero, one = splat(0.0), splat(1.0)
    rows = min(32, n)
    spread_out(x, all_p, rows, expanded)
    sums_of(kernel, columns, y, root, masked, n, free, p, block, expanded, sums)
    total = zero
    for k in range(size):
        total = total + load(sums, k) * zero
    ended = choose(waits, splat(CLEAN), choose(total < one, zero, splat(NO_VALUE)))
    damping, growth, before, polishing, counted = splat(FIRST), splat(2.0), splat(1e300), zero, one
    least = one
    for k in range(all_p):
        store(trial, k, load(x, k))
    for _ in range(max_steps):
        alive = ended < one
        if not somewhere(alive):
            break
        lengths(sums, p, length)
        undamped = polishing > zero
        used = choose(undamped, zero, damping)
        smallest = cholesky(sums, p, used, matrix, length)
        least = choose(alive, smallest, least)
        step_of(sums, p, matrix, length, step)
        hope = promised(sums, p, length, used, step)
        moved, reach = zero, zero
        for j in range(p):
            one_step, scale, value = load(step, j), load(length, j), load(x, free[j])
            moved = fused(one_step, one_step, moved)
            reach = larger(reach, size_of(value * scale))
            store(trial, free[j], choose(alive, value + one_step / scale, value))
        moved = root_of(moved)
        short = both(
            moved <= splat(LAST) * reach,
            either(moved <= splat(SURE) * reach, moved * moved <= splat(SURE) * reach * before),
        )
        stuck = moved > splat(SHRINKS) * before
        ill = smallest < splat(DIAGONAL)
        done = both(both(alive, undamped), either(either(short, stuck), ill))
        clean = either(short, moved <= splat(SURE) * reach)
        ended = choose(done, choose(ill, splat(ILL), choose(clean, splat(CLEAN), splat(UNSETTLED))), ended)
        for j in range(p):  # the last step is taken without a look
            taken = both(done, short)
            store(x, free[j], choose(taken, load(trial, free[j]), load(x, free[j])))
        alive = both(alive, neither(done))
        if not somewhere(alive):
            break
        spread_out(trial, all_p, rows, expanded)
        sums_of(kernel, columns, y, root, masked, n, free, p, block, expanded, fresh)
        counted = choose(alive, counted + one, counted)
        total = zero
        for k in range(size):
            total = total + load(fresh, k) * zero
        now, then = load(sums, size - 1), load(fresh, size - 1)
        ratio = choose(both(total < one, both(hope > zero, smallest > zero)), (now - then) / hope, splat(-1.0))
        downhill = both(total < one, then <= now * splat(1.0 + WORSE))
        lost = both(both(alive, undamped), neither(downhill))
        ended = choose(lost, splat(UNSETTLED), ended)
        accepted = both(alive, choose_mask(undamped, downhill, ratio > splat(LEAST_GAIN)))
        turn = splat(2.0) * ratio - one
        easier = larger(damping * larger(splat(1.0 / 3.0), one - turn * turn * turn), splat(1e-15))
        descending = both(alive, neither(undamped))
        harder = both(descending, neither(accepted))
        ended = choose(both(harder, damping * growth > splat(LONGEST)), splat(UNSETTLED), ended)
        damping = choose(both(descending, accepted), easier, choose(harder, damping * growth, damping))
        growth = choose(both(descending, accepted), splat(2.0), choose(harder, splat(2.0) * growth, growth))
        before = choose(both(alive, undamped), moved, before)
        arrives = both(both(descending, hope <= splat(NEAR) * now), either(accepted, hope <= splat(1e-12) * now))
        polishing = choose(arrives, one, polishing)
        for k in range(size):
            store(sums, k, choose(accepted, load(fresh, k), load(sums, k)))
        for j in range(p):
            store(x, free[j], choose(accepted, load(trial, free[j]), load(x, free[j])))
    store(told, 0, choose(ended < one, splat(UNSETTLED), ended))
    store(told, 1, counted)
    store(told, 2, least)


@inline
def choose_mask(mask, one, other):  # type: ignore[no-untyped-def]
    """One mask or the other."""
    return either(both(mask, one), both(neither(mask), other))


@inline
def invert(matrix, p, length, inverse, bars):  # type: ignore[no-untyped-def]
    """``inverse`` W (p, p) with WWᵀ = (JᵀJ)⁻¹, from L of the scaled normal matrix; ``bars`` (p,) its rows' lengths."""
    for k in range(p):
        total = splat(0.0)
        for i in range(p):
            if i < k:
                store(inverse, k * p + i, splat(0.0))
                continue
            value = splat(1.0 if i == k else 0.0)
            for j in range(k, i):
                value = value - load(matrix, i * p + j) * load(inverse, k * p + j)
            value = value / load(matrix, i * p + i)
            store(inverse, k * p + i, value)
            total = fused(value, value, total)
        scale = load(length, k)
        for i in range(k, p):
            store(inverse, k * p + i, load(inverse, k * p + i) / scale)
        store(bars, k, root_of(total) / scale)
