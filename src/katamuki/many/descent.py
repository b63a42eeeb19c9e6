"""Levenberg–Marquardt for eight curves at a time, one step of each.

The fast twin of :mod:`katamuki.solvers.damped_step` for well-behaved curves: normal equations with Moré's scaling
(their digits suffice while no pivot of the factor LDLᵀ is small), damping by the gain ratio (Nielsen 1999), then
undamped Gauss–Newton steps, lengthened by a secant along the last move, until they no longer shrink. Each of the eight
goes its own way, by choices in the place of branches; sums run along a curve's own rows in their order, so its bits do
not depend on its neighbours. A curve whose steps do not settle, whose columns nearly depend on each other, or whose
answer lies outside its bounds is handed back with a status, and the careful solver fits it. Which curve stands where,
and what follows when it has arrived, is :mod:`katamuki.many.relay`'s.

Memory: place k of an array holds one number of each of the eight, see :mod:`katamuki.backends.vectors`.
"""

from __future__ import annotations

from katamuki.backends.native import at, call_products, call_rows, inline
from katamuki.backends.vectors import (
    both,
    choose,
    either,
    fused,
    load,
    neither,
    root_of,
    splat,
    store,
)

ROWS = 32  # of each of eight curves: a block of 256
# How a descent ended.
GOES_ON, CLEAN, NO_VALUE, UNSETTLED, ILL = 0.0, 1.0, 2.0, 3.0, 4.0
# What is known of a descent: how it ended, what it took, whether its start was not evaluated yet, and its present step.
ENDED, EVALUATIONS, FRESH, LEAST, DAMPING, GROWTH, MOVED, PROMISED, POLISHING, FACTOR, RATE = range(11)
STATE = 11

FIRST = 1e-3  # damping
LONGEST = 1e12  # damping
LEAST_GAIN = 1e-4  # of what was promised, for a step to be taken
NEAR = 1e-5  # of the rss: after a step that promises less steps are undamped
NOTHING = 1e-12  # of the rss: a gain so small is rounding, taken or not
SURE = 1e-13  # of the parameters: a step so short is rounding
LAST = 3e-13  # of the parameters: what is still to go after the last step
FAR = 1e299  # no undamped step was taken yet
SHRINKS = 0.7  # undamped steps that shrink less do not settle
WORSE = 1e-6  # of the rss: an undamped step that leads so much higher left no minimum
SMALL = 1e-4  # of a column's square: with no smaller pivot normal equations keep twelve digits
PIVOT = 1e-14  # of a column's square: less is rounding
SURE_STEP, SMALL_STEP, NO_STEP = 1.0, 0.5, 0.0  # what LEAST says of the pivots


def room(p: int, all_p: int) -> int:
    """How many doubles descents work in, beside a block: see :func:`parts`."""
    size = (p + 1) * (p + 2) // 2
    return 8 * (2 * size + p * p + 3 * p + 2 * all_p + STATE + 1)


@inline
def parts(work, p, all_p):  # type: ignore[no-untyped-def]
    """What stands behind the sums: those of the trial point, L and LD, 1/D, step, last step, trial point, x, state."""
    size = (p + 1) * (p + 2) // 2
    fresh = at(work, 8 * size)
    factor = at(fresh, 8 * size)
    inverse = at(factor, 8 * p * p)
    step = at(inverse, 8 * p)
    last = at(step, 8 * p)
    trial = at(last, 8 * p)
    x = at(trial, 8 * all_p)
    return fresh, factor, inverse, step, last, trial, x, at(x, 8 * all_p)


@inline
def larger(a, b):  # type: ignore[no-untyped-def]
    """The larger of two."""
    return choose(a > b, a, b)


@inline
def sums_of(each, products, columns, y, root, masked, n, free, p, params, block, sums):  # type: ignore[no-untyped-def]
    """``sums`` = the upper triangle of [J, r]ᵀ[J, r] by rows, r last: n rows of eight curves.

    ``root`` (n,) holds √w, and 0 for rows that a curve does not have.
    """
    for k in range((p + 1) * (p + 2) // 2):
        store(sums, k, splat(0.0))
    start = 0
    while start < n:
        m = min(32, n - start)
        call_rows(each, columns, params, 8 * start, m, block, at(block, 256), 1)
        call_products(products, free, block, at(y, 8 * start), at(root, 8 * start), masked, m, sums)
        start += m


@inline
def squares(sums, row):  # type: ignore[no-untyped-def]
    """The square of the length of a column, the unit of its parameter's damping; 1 for a column of zeros."""
    own = load(sums, row)
    return choose(own > splat(0.0), own, splat(1.0))


@inline
def factorise(sums, p, damping, factor, inverse):  # type: ignore[no-untyped-def]
    """LDLᵀ of the normal matrix, its diagonal damped: L below the diagonal of ``factor`` (p, p), LD above, 1/D.

    Returns what is to be said of the pivots.
    """
    least, row = splat(SURE_STEP), 0
    for i in range(p):
        unit = squares(sums, row)
        for k in range(i, p):
            value = load(sums, row + k - i)
            if k == i:
                value = fused(damping, unit, value)
            for j in range(i):
                value = value - load(factor, i * p + j) * load(factor, j * p + k)
            if k == i:
                fine = value > splat(PIVOT) * unit
                pivot = splat(1.0) / choose(fine, value, splat(1.0))
                store(inverse, i, pivot)
                said = choose(value < splat(SMALL) * unit, splat(SMALL_STEP), splat(SURE_STEP))
                said = choose(fine, said, splat(NO_STEP))
                least = choose(said < least, said, least)
            else:
                store(factor, i * p + k, value)
                store(factor, k * p + i, value * load(inverse, i))
        row += p + 1 - i
    return least


@inline
def step_of(sums, p, factor, inverse, step):  # type: ignore[no-untyped-def]
    """The step, from the factor and the gradient."""
    row = 0
    for i in range(p):
        value = load(sums, row + p - i)
        for j in range(i):
            value = value - load(factor, i * p + j) * load(step, j)
        store(step, i, value)
        row += p + 1 - i
    for i in range(p - 1, -1, -1):
        value = load(step, i) * load(inverse, i)
        for j in range(i + 1, p):
            value = value - load(factor, j * p + i) * load(step, j)
        store(step, i, value)


@inline
def propose(sums, p, free, x, state, factor, inverse, step, trial, last, most):  # type: ignore[no-untyped-def]
    """The next trial point of each; those that have arrived take their last step without a look and end.

    Lengths are those of the change of the curve.
    """
    zero, one = splat(0.0), splat(1.0)
    alive, undamped = load(state, ENDED) < one, load(state, POLISHING) > zero
    used = choose(undamped, zero, load(state, DAMPING))
    least = factorise(sums, p, used, factor, inverse)
    step_of(sums, p, factor, inverse, step)
    moved, reach, along, hope, row = zero, zero, zero, zero, 0
    for j in range(p):
        unit, move, value = squares(sums, row), load(step, j), load(x, free[j])
        own = unit * move
        moved = fused(own, move, moved)
        along = fused(own, load(last, j), along)
        # By how much a damped step lowers the rss of the linearisation: δ·g + damping‖δ‖² (Nielsen 1999).
        hope = fused(move, fused(used, own, load(sums, row + p - j)), hope)
        reach = larger(reach, unit * value * value)
        row += p + 1 - j
    moved, reach, before = root_of(moved), root_of(reach), load(state, MOVED)
    again = both(undamped, before < splat(FAR))
    # Undamped steps fall short, or go too far, by a factor that the last move tells: a secant along it.
    share = load(state, FACTOR) * before * before / (before * before - along)
    longer = choose(both(again, both(share > splat(0.5), share < splat(2.0))), share, one)
    store(state, FACTOR, longer)
    rounding = moved <= splat(SURE) * reach
    # What this step leaves of its length is no more than the worst step left: error bars from there have ten digits.
    left = larger(load(state, RATE), choose(again, moved / before, zero))
    store(state, RATE, choose(again, left, zero))
    short = either(rounding, both(again, moved * left <= splat(LAST) * reach))
    ill = least < one
    done = both(both(alive, undamped), either(either(short, moved > splat(SHRINKS) * before), ill))
    how = choose(ill, splat(ILL), choose(either(short, rounding), splat(CLEAN), splat(UNSETTLED)))
    late = both(alive, load(state, EVALUATIONS) > splat(most))
    for j in range(p):
        move, value = load(step, j), load(x, free[j])
        store(last, j, move)
        tried = choose(alive, fused(longer, move, value), value)
        store(trial, free[j], tried)
        store(x, free[j], choose(both(done, short), tried, value))
    store(state, LEAST, least)
    store(state, MOVED, choose(both(alive, undamped), moved, before))
    store(state, PROMISED, hope)
    store(state, ENDED, choose(late, splat(UNSETTLED), choose(done, how, load(state, ENDED))))


@inline
def decide(sums, fresh, p, free, x, trial, state):  # type: ignore[no-untyped-def]
    """Take the evaluated trial points or leave them, and adapt the damping; a start is taken if it has a value."""
    zero, one = splat(0.0), splat(1.0)
    alive, undamped, first = load(state, ENDED) < one, load(state, POLISHING) > zero, load(state, FRESH) > zero
    hope, damping, growth = load(state, PROMISED), load(state, DAMPING), load(state, GROWTH)
    size = (p + 1) * (p + 2) // 2
    now, then, total, row = load(sums, size - 1), load(fresh, size - 1), zero, 0
    for j in range(p + 1):  # what is not finite is so in a square
        total = fused(load(fresh, row), zero, total)
        row += p + 1 - j
    finite = total < one
    ratio = choose(both(finite, both(hope > zero, load(state, LEAST) > zero)), (now - then) / hope, splat(-1.0))
    downhill = both(finite, then <= now * splat(1.0 + WORSE))
    taken = either(both(undamped, downhill), both(neither(undamped), ratio > splat(LEAST_GAIN)))
    descending = both(alive, neither(either(undamped, first)))
    harder, eased = both(descending, neither(taken)), both(descending, taken)
    turn = splat(2.0) * ratio - one
    easier = larger(damping * larger(splat(1.0 / 3.0), one - turn * turn * turn), splat(1e-15))
    lost = either(both(both(alive, undamped), neither(downhill)), both(harder, damping * growth > splat(LONGEST)))
    ended = choose(lost, splat(UNSETTLED), load(state, ENDED))
    store(state, ENDED, choose(both(first, neither(finite)), splat(NO_VALUE), ended))
    store(state, DAMPING, choose(eased, easier, choose(harder, damping * growth, damping)))
    store(state, GROWTH, choose(eased, splat(2.0), choose(harder, splat(2.0) * growth, growth)))
    store(state, EVALUATIONS, load(state, EVALUATIONS) + one)
    store(state, FRESH, zero)
    arrives = both(both(descending, hope <= splat(NEAR) * now), either(taken, hope <= splat(NOTHING) * now))
    store(state, POLISHING, choose(arrives, one, load(state, POLISHING)))
    accepted = both(alive, either(taken, first))
    for k in range(size):
        store(sums, k, choose(accepted, load(fresh, k), load(sums, k)))
    for j in range(p):
        store(x, free[j], choose(accepted, load(trial, free[j]), load(x, free[j])))
