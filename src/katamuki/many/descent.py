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

from katamuki.backends.native import at, call_products, call_rows, call_solve, inline
from katamuki.backends.vectors import (
    both,
    choose,
    either,
    fused,
    load,
    neither,
    overwrite,
    root_of,
    splat,
    store,
)
from katamuki.many.products import ALONG, HOPE, LEAST, LENGTH, REACH, STEPS, SURE_STEP, USED

ROWS = 32  # of each of eight curves: a block of 256
# How a descent ended.
GOES_ON, CLEAN, NO_VALUE, UNSETTLED, ILL = 0.0, 1.0, 2.0, 3.0, 4.0
# What is known of a descent: how it ended, what it took, whether its start was not evaluated yet, and its present step.
ENDED, EVALUATIONS, FRESH, DAMPING, GROWTH, MOVED, POLISHING, FACTOR, RATE = range(9)
STATE = 9

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


def room(p: int, all_p: int) -> int:
    """How many doubles descents work in, beside a block: see :func:`parts`."""
    size = (p + 1) * (p + 2) // 2
    return 8 * (2 * size + STEPS + 2 * p + 2 * all_p + STATE + 1)


@inline
def parts(work, p, all_p):  # type: ignore[no-untyped-def]
    """What stands behind the sums: those of the trial point, the memory of ``solve``, the trial point, x, the state."""
    size = (p + 1) * (p + 2) // 2
    fresh = at(work, 8 * size)
    memory = at(fresh, 8 * size)
    trial = at(memory, 8 * (STEPS + 2 * p))
    x = at(trial, 8 * all_p)
    return fresh, memory, trial, x, at(x, 8 * all_p)


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
def propose(solve, sums, p, free, x, state, trial, memory, most):  # type: ignore[no-untyped-def]
    """The next trial point of each; those that have arrived take their last step without a look and end.

    ``memory`` is that of ``solve``.
    """
    zero, one = splat(0.0), splat(1.0)
    alive, undamped = load(state, ENDED) < one, load(state, POLISHING) > zero
    store(memory, USED, choose(undamped, zero, load(state, DAMPING)))
    call_solve(solve, free, sums, x, memory)
    moved, reach, before = root_of(load(memory, LENGTH)), root_of(load(memory, REACH)), load(state, MOVED)
    again = both(undamped, before < splat(FAR))
    # Undamped steps fall short, or go too far, by a factor that the last move tells: a secant along it.
    share = load(state, FACTOR) * before * before / (before * before - load(memory, ALONG))
    longer = choose(both(again, both(share > splat(0.5), share < splat(2.0))), share, one)
    store(state, FACTOR, longer)
    rounding = moved <= splat(SURE) * reach
    # What this step leaves of its length is no more than the worst step left: error bars from there have ten digits.
    left = larger(load(state, RATE), choose(again, moved / before, zero))
    store(state, RATE, choose(again, left, zero))
    short = either(rounding, both(again, moved * left <= splat(LAST) * reach))
    ill = load(memory, LEAST) < splat(SURE_STEP)
    done = both(both(alive, undamped), either(either(short, moved > splat(SHRINKS) * before), ill))
    how = choose(ill, splat(ILL), choose(either(short, rounding), splat(CLEAN), splat(UNSETTLED)))
    late = both(alive, load(state, EVALUATIONS) > splat(most))
    for j in range(p):
        move, value = load(memory, STEPS + p + j), load(x, free[j])
        store(memory, STEPS + j, move)
        tried = choose(alive, fused(longer, move, value), value)
        store(trial, free[j], tried)
        overwrite(x, free[j], both(done, short), tried)
    overwrite(state, MOVED, both(alive, undamped), moved)
    overwrite(state, ENDED, either(late, done), choose(late, splat(UNSETTLED), how))


@inline
def decide(sums, fresh, p, free, x, trial, state, memory):  # type: ignore[no-untyped-def]
    """Take the evaluated trial points or leave them, and adapt the damping; a start is taken if it has a value."""
    zero, one = splat(0.0), splat(1.0)
    alive, undamped, first = load(state, ENDED) < one, load(state, POLISHING) > zero, load(state, FRESH) > zero
    hope, damping, growth = load(memory, HOPE), load(state, DAMPING), load(state, GROWTH)
    size = (p + 1) * (p + 2) // 2
    now, then, total, row = load(sums, size - 1), load(fresh, size - 1), zero, 0
    for j in range(p + 1):  # what is not finite is so in a square
        total = fused(load(fresh, row), zero, total)
        row += p + 1 - j
    finite = total < one
    ratio = choose(both(finite, both(hope > zero, load(memory, LEAST) > zero)), (now - then) / hope, splat(-1.0))
    downhill = both(finite, then <= now * splat(1.0 + WORSE))
    taken = either(both(undamped, downhill), both(neither(undamped), ratio > splat(LEAST_GAIN)))
    descending = both(alive, neither(either(undamped, first)))
    harder, eased = both(descending, neither(taken)), both(descending, taken)
    turn = splat(2.0) * ratio - one
    easier = larger(damping * larger(splat(1.0 / 3.0), one - turn * turn * turn), splat(1e-15))
    lost = either(both(both(alive, undamped), neither(downhill)), both(harder, damping * growth > splat(LONGEST)))
    valueless = both(first, neither(finite))
    overwrite(state, ENDED, either(lost, valueless), choose(lost, splat(UNSETTLED), splat(NO_VALUE)))
    overwrite(state, DAMPING, descending, choose(eased, easier, damping * growth))
    overwrite(state, GROWTH, descending, choose(eased, splat(2.0), splat(2.0) * growth))
    store(state, EVALUATIONS, load(state, EVALUATIONS) + one)
    store(state, FRESH, zero)
    arrives = both(both(descending, hope <= splat(NEAR) * now), either(taken, hope <= splat(NOTHING) * now))
    overwrite(state, POLISHING, arrives, one)
    accepted = both(alive, either(taken, first))
    for k in range(size):
        overwrite(sums, k, accepted, load(fresh, k))
    for j in range(p):
        overwrite(x, free[j], accepted, load(trial, free[j]))
