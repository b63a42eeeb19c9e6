"""One attempt of Levenberg–Marquardt, compiled: what to do with an evaluated trial point, and where to try next.

The caller evaluates (in one loop for small data, with threads for large) and calls :func:`advance`; the state lives in
one array of doubles. Method: damped least squares with Moré's scaling (Moré 1978: the largest column norms so
far), damping by the gain ratio (Nielsen 1999; Madsen, Nielsen & Tingleff 2004, algorithm 3.16), bounds by an active set
and clipping. Once the gradient is orthogonal to
rounding (MINPACK's cosine) undamped Gauss–Newton steps polish the answer until they no longer shrink: a test on the
loss would stop eight digits early. A linear model is one polish from its start. A polish that leads uphill left a
valley that only looked flat beside its steepest past: once, the descent goes on there with a first step's scaling.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, function, inline
from katamuki.problem.passes import linearise
from katamuki.solvers.triangle import PUSHED, column_norm, combine, cosine, finite, gain, reduce, solve

# Slots of the state's first numbers.
RSS, DAMPING, GROWTH, PREDICTED, PHASE, ATTEMPTS, ACCEPTED = range(7)
SIZE, BEST_SIZE, FAILS, COSINE, OFFSET, REACH, GAIN, BACK, CLIPPED, FULL = range(7, 17)
HEAD = 18
START, DESCEND, POLISH = 0.0, 1.0, 2.0
GO_ON, CONVERGED, NO_START, STEPS_OVER, STALLED = range(5)

COSINE_MET = 1e-10  # then polish; the gain ratio loses its meaning near sqrt(epsilon)
ROUNDING = 1e-15  # of the rss: a predicted reduction below this cannot be told from rounding
OFFSET_MET = 1e-6  # Bates & Watts' relative offset: the step still to go, in units of the residual
DEPENDENT = 1e-13  # a diagonal of R this small against its column is rounding: the parameter stays where it is
BOUND, TIED = 1.0, 2.0  # why a parameter is held: at a bound, or its column depends on those before it
PERFECT = 1e8  # times the floor: residuals that are the noise of the formula's own evaluation
LEAST_GAIN = 1e-4  # of the predicted reduction, for a step to be accepted
LONGEST_DAMPING = 1e60
POLISH_STEPS = 60.0
PATIENCE = 5.0  # undamped steps in a row without a shorter one: parts of an error that cancelled come apart at first
SLOW = 0.1  # a step this long beside the one before it: steps that do not vanish by themselves soon
NOISE = 1e-11  # of the parameters: steps this short are slow because they are rounding
DEPTH = 4  # moves that are combined at most
FARTHEST = 100.0  # times an undamped step
SURE = 1e-13  # of the parameters: a step so short, after ever shorter ones, changes no digit of an error bar
WORSE = 1.01  # times the rss: an undamped step that leads here left a valley that only looked like a minimum


@inline
def hold(triangle, p, x, free, lower, upper, held, matrix):  # type: ignore[no-untyped-def]
    """Mark parameters that a bound stops in the direction of descent, and those whose columns are dependent.

    The column of R of a dependent parameter ends in rounding, and so would its step: it stays where it is, and the
    others take its part. Those at a bound take no part, so R is made anew without them.
    """
    q = p + 1
    stopped = False
    for j in range(p):
        descent = 0.0
        for i in range(j + 1):
            descent += triangle[i * q + j] * triangle[i * q + p]
        value = x[free[j]]
        held[j] = 0.0
        if (value <= lower[j] and descent < 0.0) or (value >= upper[j] and descent > 0.0) or lower[j] == upper[j]:
            held[j] = BOUND
            stopped = True
    if stopped:
        reduce(triangle, p, held, matrix)
    k = 0
    for j in range(p):
        if held[j] == 0.0:
            last = matrix[2 * p * k + k] if stopped else triangle[j * q + j]
            if math.fabs(last) <= DEPENDENT * column_norm(triangle, p, j):
                held[j] = TIED
            k += 1


@inline
def record(row, x, free, p, triangle, rss, n, step, damping):  # type: ignore[no-untyped-def]
    """Write a row of the trace: parameters, gradient of the loss, step, loss, damping."""
    q = p + 1
    for j in range(p):
        product = 0.0
        for i in range(j + 1):
            product += triangle[i * q + j] * triangle[i * q + p]
        row[j] = x[free[j]]
        row[p + j] = -2.0 * product / n
        row[2 * p + j] = step[j]
    row[3 * p] = rss / n
    row[3 * p + 1] = damping


def state_size(p: int, all_p: int) -> int:
    """How many doubles the state needs for p free of all_p parameters."""
    q = p + 1
    return HEAD + 3 * all_p + 5 * p + 3 * (1 + q * q) + 2 * p * q + 1 + 2 * p * (1 + DEPTH)


@inline
def fields(state, p, all_p):  # type: ignore[no-untyped-def]
    """The state's parts: x, trial, best (all_p each); lower, upper, scale, held, step (p each); the linearisations
    current, fresh, kept (rss and triangle: 1 + (p+1)² each); matrix (2p rows, p+1 columns)."""
    q = p + 1
    x = at(state, HEAD)
    trial = at(x, all_p)
    best = at(trial, all_p)
    lower = at(best, all_p)
    upper = at(lower, p)
    scale = at(upper, p)
    held = at(scale, p)
    step = at(held, p)
    current = at(step, p)
    fresh = at(current, 1 + q * q)
    kept = at(fresh, 1 + q * q)
    matrix = at(kept, 1 + q * q)
    return x, trial, best, lower, upper, scale, held, step, current, fresh, kept, matrix


@inline
def propose(state, p, all_p, free, damping):  # type: ignore[no-untyped-def]
    """Solve for the next step within the bounds, write the trial point, the predicted reduction and the size.

    The parameter whose step meets a bound first goes there, and the others are solved for again. ``FULL`` is the
    reduction without the bounds.
    """
    x, trial, _, lower, upper, scale, held, step, current, _, _, matrix = fields(state, p, all_p)
    triangle = at(current, 1)
    solve(triangle, p, scale, held, damping, matrix, step)
    state[FULL] = gain(triangle, p, step)
    state[CLIPPED] = 0.0
    first = 0
    while first >= 0:
        first = -1
        share = 1.0  # of the step, until a bound is met
        for j in range(p):
            room = (lower[j] if step[j] < 0.0 else upper[j]) - x[free[j]]
            if held[j] == 0.0 and math.fabs(room) < share * math.fabs(step[j]):
                first = j
                share = room / step[j]
        if first >= 0:
            state[CLIPPED] = 1.0
            step[first] *= share
            held[first] = PUSHED
            solve(triangle, p, scale, held, damping, matrix, step)
    size = 0.0
    for j in range(p):
        before = x[free[j]]
        after = min(max(before + step[j], lower[j]), upper[j])
        if held[j] == PUSHED:  # to the bound itself, not to rounding beside it
            after = lower[j] if after - lower[j] < upper[j] - after else upper[j]
            held[j] = 0.0
        step[j] = after - before
        trial[free[j]] = after
        size = max(size, scale[j] * math.fabs(step[j]))
    state[PREDICTED] = gain(triangle, p, step)
    state[SIZE] = size


@inline
def accept(state, p, all_p, free):  # type: ignore[no-untyped-def]
    """The trial point becomes the current one; the scaling remembers the largest column norms."""
    x, trial, _, lower, upper, scale, held, _, current, fresh, _, matrix = fields(state, p, all_p)
    q = p + 1
    for k in range(1 + q * q):
        current[k] = fresh[k]
    for k in range(all_p):
        x[k] = trial[k]
    for j in range(p):
        norm = column_norm(at(current, 1), p, j)
        if norm > scale[j] or state[PHASE] == POLISH:
            scale[j] = norm
        if scale[j] == 0.0:
            scale[j] = 1.0
    state[RSS] = current[0]
    hold(at(current, 1), p, x, free, lower, upper, held, matrix)
    state[COSINE] = cosine(at(current, 1), p, held)


@inline
def keep_best(state, p, all_p, free):  # type: ignore[no-untyped-def]
    """Judge an undamped step by its size: GO_ON while these steps shrink, else return to the best point: CONVERGED."""
    x, trial, best, _, _, scale, held, _, current, _, kept, matrix = fields(state, p, all_p)
    q = p + 1
    size = state[SIZE]
    reach = 0.0
    for j in range(p):
        reach = max(reach, scale[j] * math.fabs(x[free[j]]))
    state[REACH] = reach
    # The next step would be rounding: this one is taken without a last look.
    sure = size <= SURE * reach and size * size <= ROUNDING * reach * state[BEST_SIZE] and state[CLIPPED] == 0.0
    sure = sure and matrix[2 * p * q] == 0.0  # an extrapolated one may not be
    sure = sure and state[FULL] <= ROUNDING * state[RSS]  # the sum of squares is right without a last look, too
    state[FAILS] = 0.0 if size < 0.9 * state[BEST_SIZE] else state[FAILS] + 1.0
    if size < state[BEST_SIZE]:
        state[BEST_SIZE] = size
        state[GAIN] = state[PREDICTED] if state[PREDICTED] >= 0.0 else state[FULL]
        for k in range(all_p):
            best[k] = x[k]
        for k in range(1 + q * q):
            kept[k] = current[k]
    state[ACCEPTED] += 1.0
    if sure:
        for k in range(all_p):
            best[k] = trial[k]
    elif size > ROUNDING * reach and state[FAILS] < PATIENCE and state[ACCEPTED] < POLISH_STEPS:
        return GO_ON
    for k in range(all_p):
        x[k] = best[k]
    for k in range(1 + q * q):
        current[k] = kept[k]
    state[RSS] = current[0]
    state[COSINE] = cosine(at(current, 1), p, held)
    state[OFFSET] = math.sqrt(max(state[GAIN], 0.0) / current[0]) if current[0] > 0.0 else 0.0
    return CONVERGED


@inline
def extrapolate(state, p, all_p, free):  # type: ignore[no-untyped-def]
    """Where undamped steps do not shrink soon by themselves, as beside large residuals, step to where they vanish.

    They are taken to change linearly along the last few moves: the combination of these that leaves the shortest step,
    in the steps' scaling, is taken with it (Anderson 1965). Once begun, this goes on to the end of the polish.
    """
    x, trial, _, lower, upper, scale, _, step, _, _, _, matrix = fields(state, p, all_p)
    memory = at(matrix, 2 * p * (p + 1))  # begun; the last place and step; moves and changes of step, newest first
    place, last, moves, changes = (
        at(memory, 1),
        at(memory, 1 + p),
        at(memory, 1 + 2 * p),
        at(memory, 1 + p * (2 + DEPTH)),
    )
    before, here = 0.0, 0.0
    for j in range(p):
        for k in range(DEPTH - 1, 0, -1):
            moves[k * p + j] = moves[(k - 1) * p + j]
            changes[k * p + j] = changes[(k - 1) * p + j]
        moves[j] = x[free[j]] - place[j]
        changes[j] = step[j] - last[j]
        before += scale[j] * last[j] * scale[j] * last[j]
        here += scale[j] * step[j] * scale[j] * step[j]
        place[j] = x[free[j]]
        last[j] = step[j]
    count = min(int(state[ACCEPTED]) - 1, DEPTH, p)
    slow = here > SLOW * SLOW * before and state[SIZE] > NOISE * state[REACH]
    if count < 1 or (memory[0] == 0.0 and not slow):
        return
    memory[0] = 1.0
    combine(matrix, p, count, scale, changes, last)
    shares = at(matrix, count * 2 * p)
    length = 0.0
    for j in range(p):
        for k in range(count):
            step[j] -= shares[k] * (moves[k * p + j] + changes[k * p + j])
        length += scale[j] * step[j] * scale[j] * step[j]
    factor = min(1.0, FARTHEST * math.sqrt(here / length)) if length > 0.0 else 1.0
    for j in range(p):
        after = min(max(x[free[j]] + factor * step[j], lower[j]), upper[j])
        step[j] = after - x[free[j]]
        trial[free[j]] = after


@inline
def judge(state, rss):  # type: ignore[no-untyped-def]
    """Whether the trial point is taken, by its gain ratio; adapts the damping."""
    ratio = -1.0
    if state[PREDICTED] > 0.0:
        ratio = (state[RSS] - rss) / state[PREDICTED]
    if ratio > LEAST_GAIN:
        bend = 2.0 * ratio - 1.0
        state[DAMPING] = max(state[DAMPING] * max(1.0 / 3.0, 1.0 - bend * bend * bend), 1e-300)
        state[GROWTH] = 2.0
        return True
    state[DAMPING] *= state[GROWTH]
    state[GROWTH] *= 2.0
    return False


@inline
def descend_again(state, p, all_p):  # type: ignore[no-untyped-def]
    """From the polish back to the descent, once, with the scaling and damping of a first step."""
    _, _, _, _, _, scale, _, _, current, _, _, matrix = fields(state, p, all_p)
    matrix[2 * p * (p + 1)] = 0.0
    for j in range(p):
        norm = column_norm(at(current, 1), p, j)
        scale[j] = norm if norm > 0.0 else 1.0
    state[BACK], state[PHASE], state[DAMPING], state[GROWTH] = 1.0, DESCEND, 1e-3, 2.0
    state[BEST_SIZE], state[ACCEPTED], state[FAILS] = math.inf, 0.0, 0.0


@inline
def next_trial(state, p, all_p, free, floor):  # type: ignore[no-untyped-def]
    """Propose the next trial point; enters the polish where nothing is left to gain that rounding would show."""
    while True:
        met = state[COSINE] <= COSINE_MET and state[BACK] == 0.0
        if state[PHASE] == DESCEND and (met or state[RSS] <= floor):
            state[PHASE] = POLISH
        damping = state[DAMPING]
        if state[PHASE] == POLISH:
            damping = 0.0
        propose(state, p, all_p, free, damping)
        if state[PHASE] == POLISH:
            if state[CLIPPED] == 1.0 and state[BACK] == 0.0 and state[FULL] > OFFSET_MET * OFFSET_MET * state[RSS]:
                descend_again(state, p, all_p)  # the valley leads to a bound: no minimum yet
                continue
            status = keep_best(state, p, all_p, free)
            if status == GO_ON and state[CLIPPED] == 0.0:
                extrapolate(state, p, all_p, free)
            return status
        if state[PREDICTED] > ROUNDING * state[RSS] and state[DAMPING] <= LONGEST_DAMPING:
            return GO_ON
        if state[CLIPPED] == 1.0 and state[DAMPING] <= LONGEST_DAMPING:
            state[DAMPING] *= state[GROWTH]  # a shorter step goes downhill even after clipping
            state[GROWTH] *= 2.0
        else:
            state[PHASE] = POLISH


@inline
def advance(state, p, all_p, free, n, floor, max_steps, trace):  # type: ignore[no-untyped-def]
    """Take the evaluated trial point (``fresh``) into account and propose the next; a status.

    ``floor`` is the rss that rounding of the data alone would leave; ``trace`` has 3p + 3 doubles a row, one row per
    attempt, and the point reached in the row after the last.
    """
    x, _, _, _, _, _, _, step, current, fresh, _, _ = fields(state, p, all_p)
    width = 3 * p + 3
    taken = finite(fresh, p + 1)
    if state[ATTEMPTS] < 0.0:
        if not taken:
            return NO_START
        state[BEST_SIZE] = math.inf
    else:
        row = at(trace, int(state[ATTEMPTS]) * width)
        record(row, x, free, p, at(current, 1), current[0], n, step, state[DAMPING])
        if state[PHASE] == POLISH:
            row[3 * p + 1] = 0.0
            if taken and fresh[0] > WORSE * current[0] + PERFECT * floor:
                taken = False
            if not taken and state[BACK] == 0.0 and state[ATTEMPTS] + 1.0 < max_steps:
                descend_again(state, p, all_p)
            elif not taken:
                state[ACCEPTED] = POLISH_STEPS
        elif taken:
            taken = judge(state, fresh[0])
        else:
            state[DAMPING] *= state[GROWTH]
            state[GROWTH] *= 2.0
        row[3 * p + 2] = 1.0 if taken else 0.0
    state[ATTEMPTS] += 1.0
    if taken:
        accept(state, p, all_p, free)
    if state[PHASE] == START:
        state[PHASE] = DESCEND
    status = next_trial(state, p, all_p, free, floor)
    if status == GO_ON and state[PHASE] == DESCEND and state[ATTEMPTS] >= max_steps:
        status = STEPS_OVER
    if status != GO_ON:
        close(state, p, all_p, free, n, trace)
        perfect = state[RSS] <= PERFECT * floor and state[BEST_SIZE] <= 1e-9 * state[REACH]
        if status == CONVERGED and state[OFFSET] > OFFSET_MET and state[RSS] > floor and not perfect:
            status = STALLED
    return status


@inline
def close(state, p, all_p, free, n, trace):  # type: ignore[no-untyped-def]
    """Write the point reached into the trace's last row."""
    x, _, _, _, _, _, _, step, current, _, _, _ = fields(state, p, all_p)
    for j in range(p):
        step[j] = math.nan
    last = at(trace, int(state[ATTEMPTS]) * (3 * p + 3))
    record(last, x, free, p, at(current, 1), current[0], n, step, state[DAMPING])
    last[3 * p + 2] = 1.0


@function("int64(double*, int64, int64, int64*, double, double, double, double*)")
def advance_once(state, p, all_p, free, n, floor, max_steps, trace):  # type: ignore[no-untyped-def]
    """:func:`advance`, for a caller that evaluates the trial point with threads."""
    return advance(state, p, all_p, free, n, floor, max_steps, trace)


@function(
    "int64(int64, double**, double*, double*, int64, int64, int64*, int64, int64, int64*, double*, double*, double,"
    " double, double*, int64)",
    sums=True,
)
def run(  # type: ignore[no-untyped-def]
    kernel, columns, y, root, weighted, n, free, p, all_p, order, block, state, floor, max_steps, trace, evaluations
):
    """Evaluate and advance until a status other than ``GO_ON``, or that many evaluations (one slice) are over."""
    trial, fresh = fields(state, p, all_p)[1], fields(state, p, all_p)[9]
    for _ in range(evaluations):
        linearise(kernel, columns, trial, y, root, weighted, 0, n, free, p, order, block, fresh)
        status = advance(state, p, all_p, free, float(n), floor, max_steps, trace)
        if status != GO_ON:
            return status
    return GO_ON
