"""One end of a profile interval, compiled: where to evaluate next, and when the end is found.

A parameter is held at a value and the others are fitted again; the sum of squares that is left, S, says how far the
data allow that value: τ = √((S − S₀)/s²) (Bates & Watts 1988, section 6.1). The end of an interval is where τ is the
quantile t. Here q = τ/t is followed along u, the distance from the answer in units of the half-width that the standard
error gives, so that a linear model has q = u and ends at u = 1. The others follow along the line of the last two fits
and descend by damped steps (Levenberg 1944); where they end too high, the stride is halved, so that no other valley is
entered. Once q ≥ 1 the end is found by false position, Illinois rule (Dowell & Jarratt 1971).

The caller evaluates, in one loop for small data and with threads for large, and calls :func:`advance`; the state lives
in one array of doubles. Bounds hold: parameters stay at them while they would leave.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, function, inline
from katamuki.problem.passes import linearise
from katamuki.solvers.triangle import column_norm, finite, gain, solve

# Slots of the state's first numbers.
LEAST, TARGET, HALF, PLACE, MOST, BAND, EVALUATIONS = range(7)  # EVALUATIONS below 0: not begun
U, LOW, Q_LOW, HIGH, Q_HIGH, BEFORE, STRIDE, WEIGHT_LOW, WEIGHT_HIGH = range(7, 16)
DAMPING, INNER, OUTER, GUESSED, ALLOWED = range(16, 21)  # ALLOWED: evaluations at most
HEAD = 21
GO_ON, FOUND, STRAIGHT, FAR_OFF, STOPPED, LOWER, LOST = range(7)

NEAR = 1e-8  # of q: the end to eight digits of the half-width
FITTED = 1e-9  # of the target: what the others could still gain
ROUGHLY = 1e-3  # the same for a first look at u = 1
ROUNDING = 1e-15  # of S: what cannot be told from rounding
WILD = 2.0  # of q: what is fitted so high may lie in another valley
FIRST = 0.1  # of the half-width: a long first stride could leap over a rise into another valley
FARTHER = 3.0  # times the last stride outwards
FAR = 1000.0  # half-widths beyond which an end counts as open
NARROW = 1e-9  # a stride so short at a place without a value is its edge
LARGEST_DAMPING = 1e6
FITS, STEPS, MOST_EVALUATIONS = 60.0, 60.0, 2000.0  # the last for an end that was asked for
WORSE = 1e-6  # of the target: S this far below the minimum is no rounding


def state_size(p: int, all_p: int) -> int:
    """How many doubles the state needs for p free of all_p parameters."""
    q = p + 1
    return HEAD + 6 * all_p + 7 * p + 2 * (1 + q * q) + 2 * p * q


@inline
def fields(state, p, all_p):  # type: ignore[no-untyped-def]
    """The state's parts: answer, x, trial (all_p each); the fitted points at LOW, before it and at HIGH (all_p each);
    lower, upper, fixed, direction, held, scale, step (p each); the linearisations current and fresh; matrix."""
    q = p + 1
    answer = at(state, HEAD)
    x = at(answer, all_p)
    trial = at(x, all_p)
    below = at(trial, all_p)
    before = at(below, all_p)
    above = at(before, all_p)
    lower = at(above, all_p)
    upper = at(lower, p)
    fixed = at(upper, p)
    direction = at(fixed, p)
    held = at(direction, p)
    scale = at(held, p)
    step = at(scale, p)
    current = at(step, p)
    fresh = at(current, 1 + q * q)
    matrix = at(fresh, 1 + q * q)
    return (
        answer,
        x,
        trial,
        below,
        before,
        above,
        lower,
        upper,
        fixed,
        direction,
        held,
        scale,
        step,
        current,
        fresh,
        matrix,
    )


@inline
def guess(state, p, all_p, free):  # type: ignore[no-untyped-def]
    """The trial point at U: between the fitted points of the bracket, or on the line through the last two."""
    answer, _, trial, below, before, above, lower, upper, fixed, direction, _, _, _, _, _, _ = fields(state, p, all_p)
    place = int(state[PLACE])
    low, u = state[LOW], state[U]
    for k in range(all_p):
        trial[k] = answer[k]
    for j in range(p):
        k = free[j]
        if fixed[j] != 0.0:
            continue
        if state[HIGH] < math.inf:
            moved = (above[k] - below[k]) / (state[HIGH] - low)
        elif low > 0.0:
            moved = (below[k] - before[k]) / (low - state[BEFORE])
        else:
            moved = direction[j] * state[HALF]
        trial[k] = min(max(below[k] + moved * (u - low), lower[j]), upper[j])
    trial[free[place]] = answer[free[place]] + u * state[HALF]
    state[GUESSED], state[INNER], state[DAMPING] = 1.0, 0.0, 0.0


@inline
def take(state, p, all_p, free):  # type: ignore[no-untyped-def]
    """The trial point becomes the current one; which parameters may move, and their scaling."""
    _, x, trial, _, _, _, lower, upper, fixed, _, held, scale, _, current, fresh, _ = fields(state, p, all_p)
    q = p + 1
    place = int(state[PLACE])
    for k in range(all_p):
        x[k] = trial[k]
    for k in range(1 + q * q):
        current[k] = fresh[k]
    triangle = at(current, 1)
    for j in range(p):
        norm = column_norm(triangle, p, j)
        scale[j] = norm if norm > 0.0 else 1.0
        downhill = 0.0
        for i in range(j + 1):
            downhill += triangle[i * q + j] * triangle[i * q + p]
        value = x[free[j]]
        held[j] = fixed[j]
        if j == place or norm == 0.0:
            held[j] = 1.0
        if (value <= lower[j] and downhill < 0.0) or (value >= upper[j] and downhill > 0.0):
            held[j] = 1.0


@inline
def improve(state, p, all_p, free):  # type: ignore[no-untyped-def]
    """Propose a step of the others; False where it would gain nothing that matters."""
    _, x, trial, _, _, _, lower, upper, _, _, held, scale, step, current, _, matrix = fields(state, p, all_p)
    triangle = at(current, 1)
    solve(triangle, p, scale, held, 0.0, matrix, step)
    enough = ROUGHLY if state[BAND] > 0.0 and state[OUTER] == 0.0 else FITTED
    if not gain(triangle, p, step) > max(enough * state[TARGET], ROUNDING * current[0]):
        return False
    if state[DAMPING] > 0.0:
        solve(triangle, p, scale, held, state[DAMPING], matrix, step)
    for k in range(all_p):
        trial[k] = x[k]
    for j in range(p):
        if held[j] == 0.0:
            trial[free[j]] = min(max(x[free[j]] + step[j], lower[j]), upper[j])
    return True


@inline
def shorten(state):  # type: ignore[no-untyped-def]
    """What was reached is too high, or has no value: a shorter stride from the last fitted point; a status."""
    stride = 0.5 * (state[U] - state[LOW])
    if stride <= NARROW * state[LOW]:
        state[U] = state[LOW]
        return FOUND
    if state[U] < NARROW:
        return LOST
    state[U] = state[LOW] + stride
    return GO_ON


@inline
def settle(state, p, all_p):  # type: ignore[no-untyped-def]
    """The others are fitted at U: where to look next; a status."""
    _, x, _, below, before, above, _, _, _, _, _, _, _, current, _, _ = fields(state, p, all_p)
    u = state[U]
    rise = current[0] - state[LEAST]
    if rise < -WORSE * state[TARGET] - 1e3 * ROUNDING * state[LEAST]:
        return LOWER
    q = math.sqrt(max(rise, 0.0) / state[TARGET])
    if state[OUTER] == 0.0 and u == 1.0 and math.fabs(q - 1.0) < state[BAND]:
        return STRAIGHT
    if math.fabs(q - 1.0) <= NEAR:
        return FOUND
    state[OUTER] += 1.0
    if q > WILD:
        return shorten(state) if state[OUTER] < STEPS else LOST
    if q < 1.0:
        if u >= state[MOST]:
            return STOPPED
        state[STRIDE] = u - state[LOW]
        state[BEFORE] = state[LOW]
        state[LOW], state[Q_LOW] = u, q
        state[WEIGHT_LOW], state[WEIGHT_HIGH] = 1.0, state[WEIGHT_HIGH] * 0.5
        for k in range(all_p):
            before[k] = below[k]
            below[k] = x[k]
    else:
        state[HIGH], state[Q_HIGH] = u, q
        state[WEIGHT_HIGH], state[WEIGHT_LOW] = 1.0, state[WEIGHT_LOW] * 0.5
        for k in range(all_p):
            above[k] = x[k]
    low, high = state[LOW], state[HIGH]
    if high == math.inf:
        if u >= FAR:
            return FAR_OFF
        farther = min(u * 1.02 / max(q, 1e-9), u + FARTHER * state[STRIDE])
        state[U] = min(max(farther, u + 0.1 * state[STRIDE]), state[MOST], FAR)
    elif high - low <= NARROW * high:
        return FOUND
    else:
        left = state[WEIGHT_LOW] * (1.0 - state[Q_LOW])
        right = state[WEIGHT_HIGH] * (state[Q_HIGH] - 1.0)
        state[U] = low + (high - low) * min(max(left / (left + right), 1e-3), 1.0 - 1e-3)
    return GO_ON if state[OUTER] < STEPS else LOST


@inline
def begin(state, p, all_p, free):  # type: ignore[no-untyped-def]
    """The first trial point: a short stride, or for a look the end that the standard error gives."""
    state[LOW] = state[Q_LOW] = state[OUTER] = state[EVALUATIONS] = 0.0
    state[HIGH] = state[Q_HIGH] = math.inf
    state[WEIGHT_LOW] = state[WEIGHT_HIGH] = 1.0
    state[U] = min(1.0 if state[BAND] > 0.0 else FIRST, state[MOST])
    answer, below = fields(state, p, all_p)[0], fields(state, p, all_p)[3]
    for k in range(all_p):
        below[k] = answer[k]
    guess(state, p, all_p, free)


@inline
def advance(state, p, all_p, free):  # type: ignore[no-untyped-def]
    """Take the evaluated trial point (``fresh``) into account and propose the next; a status. At first, begin."""
    if state[EVALUATIONS] < 0.0:
        begin(state, p, all_p, free)
        return GO_ON
    current, fresh = fields(state, p, all_p)[13], fields(state, p, all_p)[14]
    state[INNER] += 1.0
    state[EVALUATIONS] += 1.0
    good = finite(fresh, p + 1)
    fitted = False
    status = GO_ON
    if state[EVALUATIONS] >= state[ALLOWED]:
        return LOST
    if state[GUESSED] == 1.0:
        if not good:
            status = shorten(state)
            if status == GO_ON:
                guess(state, p, all_p, free)
            return status
        state[GUESSED] = 0.0
        take(state, p, all_p, free)
    elif good and fresh[0] < current[0]:
        take(state, p, all_p, free)
        state[DAMPING] = 0.0 if state[DAMPING] < 1e-4 else state[DAMPING] * 0.1
    else:
        state[DAMPING] = max(10.0 * state[DAMPING], 1e-3)
        fitted = state[DAMPING] > LARGEST_DAMPING
    if not fitted and state[INNER] < FITS and improve(state, p, all_p, free):
        return GO_ON
    status = settle(state, p, all_p)
    if status == GO_ON:
        guess(state, p, all_p, free)
    return status


@function("int64(double*, int64, int64, int64*)")
def advance_once(state, p, all_p, free):  # type: ignore[no-untyped-def]
    """:func:`advance`, for a caller that evaluates the trial point with threads."""
    return advance(state, p, all_p, free)


@function(
    "int64(int64, double**, double*, double*, int64, int64, int64*, int64, int64, int64*, double*, double*)", sums=True
)
def walk(kernel, columns, y, root, weighted, n, free, p, all_p, order, block, state):  # type: ignore[no-untyped-def]
    """Evaluate and advance until the end is found, or will not be."""
    trial, fresh = fields(state, p, all_p)[2], fields(state, p, all_p)[14]
    while True:
        status = advance(state, p, all_p, free)
        if status != GO_ON:
            return status
        linearise(kernel, columns, trial, y, root, weighted, 0, n, free, p, order, block, fresh)
