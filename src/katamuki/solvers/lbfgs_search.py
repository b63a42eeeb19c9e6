"""The line search of L-BFGS, compiled: a step length that meets the strong Wolfe conditions, one evaluation at a time.

The loss falls by a ten-thousandth of what the slope promises, the slope to nine tenths. A bracket is sought by
going further, then narrowed by cubics through both ends. Decisions and constants are those of PyTorch's
``strong_wolfe``. Sources: Nocedal & Wright 2006, algorithms 3.5 and 3.6, equation 3.59. The state of the machine that
asks for evaluations is laid out here; :mod:`katamuki.solvers.lbfgs_step` runs it.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, fma, inline

BEGIN, MOVED, BRACKET, ZOOM = range(4)  # what the evaluation that comes is for
LEAST_FALL, LEAST_FLATTER = 1e-4, 0.9
SHORTEST = 1e-9  # a bracket this small ends the search, whatever tolerance_change says: PyTorch's own

# Slots of the state. Behind them stand vectors of p (see ``vector``), then the history: capacity × (y, s, ρ, α).
PHASE, OUTER, ITERATION, INNER, MOVES, EVALS, ALL_EVALS, LIMIT = range(8)
LOSS, BEFORE, LENGTH, TAKEN, SLOPE, DIAGONAL, COUNT, HEAD = range(8, 16)  # HEAD: the oldest pair's place
SEARCHED, MOST, FIRST_LOSS, FIRST_SLOPE, LONGEST, LAST_LENGTH, LAST_LOSS, LAST_SLOPE = range(16, 24)
LOW, STUCK = 24, 25  # the bracket's better end; insufficient progress
ENDS = 26  # length, loss and slope of both ends
SLOTS = 32
X, TRIAL, DIRECTION, GRADIENT, PREVIOUS, FRESH, LAST, END_ONE, END_TWO, WORK = range(10)
VECTORS = 10

# Slots of the options.
LR, MAX_ITER, MAX_EVAL, GRADIENT_MET, CHANGE_MET, CAPACITY, WOLFE, MAX_STEPS = range(8)


@inline
def vector(state, p, which):  # type: ignore[no-untyped-def]
    """One of the vectors of the state (p)."""
    return at(state, SLOTS + which * p)


@inline
def dot(a, b, p):  # type: ignore[no-untyped-def]
    """Σ aₖbₖ."""
    total = 0.0
    for k in range(p):
        total += a[k] * b[k]
    return total


@inline
def largest(a, p):  # type: ignore[no-untyped-def]
    """max |aₖ|; NaN if one is NaN."""
    most = 0.0
    for k in range(p):
        size = math.fabs(a[k])
        if not size <= most:
            most = size
            if size != size:  # noqa: PLR0124
                return size
    return most


@inline
def move(state, p, length, which):  # type: ignore[no-untyped-def]
    """``which`` = X + length·DIRECTION, and evaluate there."""
    x, d = vector(state, p, X), vector(state, p, DIRECTION)
    new, trial = vector(state, p, which), vector(state, p, TRIAL)
    for k in range(p):
        new[k] = fma(length, d[k], x[k])
        trial[k] = new[k]


@inline
def search(state, p, options):  # type: ignore[no-untyped-def]
    """Begin a line search from X along DIRECTION."""
    g, last = vector(state, p, GRADIENT), vector(state, p, LAST)
    state[FIRST_LOSS], state[FIRST_SLOPE] = state[LOSS], state[SLOPE]
    state[LONGEST] = largest(vector(state, p, DIRECTION), p)
    state[LAST_LENGTH], state[LAST_LOSS], state[LAST_SLOPE] = 0.0, state[LOSS], state[SLOPE]
    for k in range(p):
        last[k] = g[k]
    state[SEARCHED] = 0.0
    state[MOST] = options[MAX_EVAL] - state[EVALS]
    state[STUCK], state[LOW] = 0.0, 0.0
    state[PHASE] = BRACKET
    move(state, p, state[LENGTH], TRIAL)


@inline
def cubic(x1, f1, g1, x2, f2, g2, low, high):  # type: ignore[no-untyped-def]
    """Where a cubic with these values and slopes has its minimum, kept between low and high."""
    d1 = g1 + g2 - 3.0 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if not square >= 0.0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    if x1 <= x2:
        found = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2.0 * d2))
    else:
        found = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2.0 * d2))
    if low > found:  # noqa: PLR1730  as Python compares where one is NaN
        found = low
    return high if high < found else found


@inline
def set_end(state, p, end, length, loss, slope, gradient):  # type: ignore[no-untyped-def]
    """Put one end of the bracket, with the gradient there."""
    kept = vector(state, p, END_ONE + end)
    state[ENDS + 3 * end], state[ENDS + 3 * end + 1], state[ENDS + 3 * end + 2] = length, loss, slope
    for k in range(p):
        kept[k] = gradient[k]


@inline
def bracket(state, p, options):  # type: ignore[no-untyped-def]
    """Take a point of the bracketing phase into account (algorithm 3.5); True when the search is over."""
    fresh, last = vector(state, p, FRESH), vector(state, p, LAST)
    length, loss = state[LENGTH], state[LOSS]
    slope = dot(fresh, vector(state, p, DIRECTION), p)
    if state[SEARCHED] < state[MOST]:
        rises = loss > state[FIRST_LOSS] + LEAST_FALL * length * state[FIRST_SLOPE]
        rises = rises or (state[SEARCHED] > 1.0 and loss >= state[LAST_LOSS])
        flat = math.fabs(slope) <= -LEAST_FLATTER * state[FIRST_SLOPE]
        if not rises and flat:
            set_end(state, p, 0, length, loss, slope, fresh)
            return True
        if rises or slope >= 0.0:
            set_end(state, p, 0, state[LAST_LENGTH], state[LAST_LOSS], state[LAST_SLOPE], last)
            set_end(state, p, 1, length, loss, slope, fresh)
            return zoom(state, p, options)
        least, most = length + 0.01 * (length - state[LAST_LENGTH]), length * 10.0
        further = cubic(state[LAST_LENGTH], state[LAST_LOSS], state[LAST_SLOPE], length, loss, slope, least, most)
        state[LAST_LENGTH], state[LAST_LOSS], state[LAST_SLOPE] = length, loss, slope
        for k in range(p):
            last[k] = fresh[k]
        state[LENGTH] = further
        state[SEARCHED] += 1.0
        move(state, p, further, TRIAL)
        return False
    set_end(state, p, 0, 0.0, state[FIRST_LOSS], state[FIRST_SLOPE], vector(state, p, GRADIENT))
    set_end(state, p, 1, length, loss, slope, fresh)
    return zoom(state, p, options)


@inline
def zoom(state, p, options):  # type: ignore[no-untyped-def]
    """Begin the zoom phase in a bracket."""
    state[LOW] = 0.0 if state[ENDS + 1] <= state[ENDS + 4] else 1.0
    return try_within(state, p, options)


@inline
def try_within(state, p, options):  # type: ignore[no-untyped-def]
    """Name the next point within the bracket (algorithm 3.6); True when the search is over."""
    one, two = state[ENDS], state[ENDS + 3]
    if not state[SEARCHED] < state[MOST] or math.fabs(two - one) * state[LONGEST] < SHORTEST:
        return True
    low, high = (one, two) if one <= two else (two, one)
    length = cubic(one, state[ENDS + 1], state[ENDS + 2], two, state[ENDS + 4], state[ENDS + 5], low, high)
    room = 0.1 * (high - low)
    if high - length < room or length - low < room:
        if state[STUCK] == 1.0 or length >= high or length <= low:
            length = high - room if math.fabs(length - high) < math.fabs(length - low) else low + room
            state[STUCK] = 0.0
        else:
            state[STUCK] = 1.0
    else:
        state[STUCK] = 0.0
    state[LENGTH] = length
    state[PHASE] = ZOOM
    state[SEARCHED] += 1.0
    move(state, p, length, TRIAL)
    return False


@inline
def narrow(state, p, options):  # type: ignore[no-untyped-def]
    """Take a point of the zoom phase into account; True when the search is over."""
    fresh = vector(state, p, FRESH)
    length, loss = state[LENGTH], state[LOSS]
    slope = dot(fresh, vector(state, p, DIRECTION), p)
    low = int(state[LOW])
    high = 1 - low
    worse = loss > state[FIRST_LOSS] + LEAST_FALL * length * state[FIRST_SLOPE]
    if worse or loss >= state[ENDS + 3 * low + 1]:
        set_end(state, p, high, length, loss, slope, fresh)
        return zoom(state, p, options)
    done = math.fabs(slope) <= -LEAST_FLATTER * state[FIRST_SLOPE]
    if not done and slope * (state[ENDS + 3 * high] - state[ENDS + 3 * low]) >= 0.0:
        best = vector(state, p, END_ONE + low)
        set_end(state, p, high, state[ENDS + 3 * low], state[ENDS + 3 * low + 1], state[ENDS + 3 * low + 2], best)
    set_end(state, p, low, length, loss, slope, fresh)
    return done or try_within(state, p, options)


@inline
def settle(state, p):  # type: ignore[no-untyped-def]
    """Go to the better end of the bracket: its length, loss and gradient."""
    low = int(state[LOW])
    best, g, x = vector(state, p, END_ONE + low), vector(state, p, GRADIENT), vector(state, p, X)
    d = vector(state, p, DIRECTION)
    state[LENGTH], state[LOSS] = state[ENDS + 3 * low], state[ENDS + 3 * low + 1]
    for k in range(p):
        x[k] = fma(state[LENGTH], d[k], x[k])
        g[k] = best[k]
