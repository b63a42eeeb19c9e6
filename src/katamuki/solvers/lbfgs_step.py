"""L-BFGS, compiled: the direction from the last gradients, the line search, and what follows from one evaluation.

The loop is a machine that asks for loss and gradient at one point after the other: :func:`advance` takes the evaluated
point into account and names the next one, so that rows may be summed compiled or by threads. Its decisions are those of
``torch.optim.LBFGS`` 2.13, tolerances and their order included. Sources: Nocedal 1980 and Nocedal & Wright 2006,
algorithm 7.4 (two-loop recursion), algorithms 3.5 and 3.6 (strong Wolfe conditions), equation 3.59 (cubic). No bounds.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, fma, function, inline
from katamuki.solvers.first_order_steps import LOST, loss_and_gradient
from katamuki.solvers.lbfgs_search import (
    ALL_EVALS,
    BEFORE,
    BEGIN,
    BRACKET,
    CAPACITY,
    CHANGE_MET,
    COUNT,
    DIAGONAL,
    DIRECTION,
    EVALS,
    FRESH,
    GRADIENT,
    GRADIENT_MET,
    HEAD,
    INNER,
    ITERATION,
    LAST,
    LENGTH,
    LIMIT,
    LOSS,
    LR,
    MAX_EVAL,
    MAX_ITER,
    MAX_STEPS,
    MOVED,
    MOVES,
    OUTER,
    PHASE,
    PREVIOUS,
    SLOPE,
    SLOTS,
    TAKEN,
    TRIAL,
    VECTORS,
    WOLFE,
    WORK,
    X,
    bracket,
    dot,
    largest,
    move,
    narrow,
    search,
    settle,
    vector,
)

GO_ON, STEPS_OVER, STILL, DIVERGED, NOT_FINITE = range(5)
CURVED = 1e-10  # y·s above which a pair is remembered


@inline
def pair(state, p, k, options):  # type: ignore[no-untyped-def]
    """The k-th oldest pair: y (p), s (p), ρ, α."""
    capacity = int(options[CAPACITY])
    place = (int(state[HEAD]) + k) % capacity
    return at(state, SLOTS + VECTORS * p + place * (2 * p + 2))


@inline
def remember(state, p, options):  # type: ignore[no-untyped-def]
    """Keep y = g − g₋ and s = t·d where they are curved enough; the oldest pair makes room."""
    g, before, d = vector(state, p, GRADIENT), vector(state, p, PREVIOUS), vector(state, p, DIRECTION)
    y, s = vector(state, p, WORK), vector(state, p, LAST)
    for k in range(p):
        y[k] = g[k] - before[k]
        s[k] = d[k] * state[LENGTH]
    curved = dot(y, s, p)
    if curved > CURVED:
        if state[COUNT] == options[CAPACITY]:
            state[HEAD] = float((int(state[HEAD]) + 1) % int(options[CAPACITY]))
            state[COUNT] -= 1.0
        kept = pair(state, p, int(state[COUNT]), options)
        for k in range(p):
            kept[k] = y[k]
            kept[p + k] = s[k]
        kept[2 * p] = 1.0 / curved
        state[COUNT] += 1.0
        state[DIAGONAL] = curved / dot(y, y, p)


@inline
def direct(state, p, options):  # type: ignore[no-untyped-def]
    """DIRECTION = −H·g by the two-loop recursion over the pairs, the newest first and back."""
    g, d = vector(state, p, GRADIENT), vector(state, p, DIRECTION)
    count = int(state[COUNT])
    for k in range(p):
        d[k] = -g[k]
    for i in range(count - 1, -1, -1):
        kept = pair(state, p, i, options)
        kept[2 * p + 1] = dot(at(kept, p), d, p) * kept[2 * p]
        for k in range(p):
            d[k] = fma(-kept[2 * p + 1], kept[k], d[k])
    for k in range(p):
        d[k] *= state[DIAGONAL]
    for i in range(count):
        kept = pair(state, p, i, options)
        rest = kept[2 * p + 1] - dot(kept, d, p) * kept[2 * p]
        for k in range(p):
            d[k] = fma(rest, kept[p + k], d[k])


@inline
def iterate(state, p, options):  # type: ignore[no-untyped-def]
    """Begin an iteration: direction, length, and the first point to look at; False if the slope is below tolerance."""
    g, before, d = vector(state, p, GRADIENT), vector(state, p, PREVIOUS), vector(state, p, DIRECTION)
    state[INNER] += 1.0
    state[ITERATION] += 1.0
    length = options[LR]
    if state[ITERATION] == 1.0:
        size = 0.0
        for k in range(p):
            d[k] = -g[k]
            size += math.fabs(g[k])
        state[DIAGONAL], state[COUNT], state[HEAD] = 1.0, 0.0, 0.0
        if 1.0 / size < 1.0:
            length = 1.0 / size * options[LR]
    else:
        remember(state, p, options)
        direct(state, p, options)
    for k in range(p):
        before[k] = g[k]
    state[BEFORE] = state[LOSS]
    state[LENGTH] = length
    state[SLOPE] = dot(g, d, p)
    if state[SLOPE] > -options[CHANGE_MET]:
        return False
    if options[WOLFE] == 0.0:
        move(state, p, length, X)
        state[PHASE] = MOVED
    else:
        search(state, p, options)
    return True


@inline
def goes_on(state, p, options):  # type: ignore[no-untyped-def]
    """Whether another iteration follows in the same step: PyTorch's tests, in its order."""
    if state[INNER] >= options[MAX_ITER] or state[EVALS] >= options[MAX_EVAL]:
        return False
    if largest(vector(state, p, GRADIENT), p) <= options[GRADIENT_MET]:
        return False
    d, moved = vector(state, p, DIRECTION), vector(state, p, WORK)
    for k in range(p):
        moved[k] = d[k] * state[LENGTH]
    if largest(moved, p) <= options[CHANGE_MET]:
        return False
    return not math.fabs(state[LOSS] - state[BEFORE]) < options[CHANGE_MET] and math.isfinite(state[LOSS])


@inline
def end_step(state, p, rows, width):  # type: ignore[no-untyped-def]
    """Complete the step's row; a step that one iteration left where it began would repeat itself for ever."""
    row, x, trial = at(rows, int(state[OUTER]) * width), vector(state, p, X), vector(state, p, TRIAL)
    moved = False
    for k in range(p):
        row[2 * p + k] = x[k] - row[k]
        moved = moved or x[k] != row[k]
        trial[k] = x[k]
    if not moved and state[INNER] == 1.0 and state[ITERATION] > 1.0:
        for k in range(p):
            row[2 * p + k] = math.nan
        return STILL
    row[3 * p + 1], row[3 * p + 2], row[3 * p + 3] = state[MOVES], state[TAKEN], state[EVALS]
    state[OUTER] += 1.0
    state[PHASE] = BEGIN
    return GO_ON


@inline
def begin_step(state, p, loss, options, rows, width):  # type: ignore[no-untyped-def]
    """Write the row before a step and begin its first iteration, unless nothing more can move."""
    row, x, g = at(rows, int(state[OUTER]) * width), vector(state, p, X), vector(state, p, GRADIENT)
    for k in range(p):
        row[k], row[p + k], row[2 * p + k] = x[k], g[k], math.nan
    row[3 * p] = loss
    row[3 * p + 1] = row[3 * p + 2] = row[3 * p + 3] = math.nan
    state[EVALS], state[INNER], state[MOVES], state[TAKEN] = 1.0, 0.0, 0.0, 0.0
    if not math.isfinite(loss):
        return NOT_FINITE
    if state[OUTER] == 0.0:
        state[LIMIT] = max(state[LIMIT], LOST * loss)
    if loss > state[LIMIT]:
        return DIVERGED
    if state[OUTER] >= options[MAX_STEPS]:
        return STEPS_OVER
    if largest(g, p) <= options[GRADIENT_MET]:
        return STILL
    return follow(state, p, options, rows, width)


@inline
def follow(state, p, options, rows, width):  # type: ignore[no-untyped-def]
    """Begin an iteration, or end the step where its slope, or a last iteration without line search, says so."""
    if not iterate(state, p, options):
        return STILL if state[INNER] == 1.0 else end_step(state, p, rows, width)
    if options[WOLFE] == 0.0:
        state[MOVES] += 1.0
        state[TAKEN] = state[LENGTH]
        if state[INNER] >= options[MAX_ITER]:
            return end_step(state, p, rows, width)
    return GO_ON


@inline
def advance(state, p, loss, options, rows, width):  # type: ignore[no-untyped-def]
    """Take loss and gradient (FRESH) at TRIAL into account and name the next TRIAL; a status.

    A row of the trace: parameters, gradient, step (p each), loss, iterations that moved, last length, evaluations.
    """
    fresh, g = vector(state, p, FRESH), vector(state, p, GRADIENT)
    state[LOSS] = loss
    state[ALL_EVALS] += 1.0
    state[EVALS] += 1.0
    if state[PHASE] == BEGIN or state[PHASE] == MOVED:
        for k in range(p):
            g[k] = fresh[k]
        if state[PHASE] == BEGIN:
            return begin_step(state, p, loss, options, rows, width)
    else:
        over = bracket(state, p, options) if state[PHASE] == BRACKET else narrow(state, p, options)
        if not over:
            return GO_ON
        settle(state, p)
        state[MOVES] += 1.0
        state[TAKEN] = state[LENGTH]
    if goes_on(state, p, options):
        return follow(state, p, options, rows, width)
    return end_step(state, p, rows, width)


@function("int64(double*, int64, double, double*, double*, int64)")
def advance_once(state, p, loss, options, rows, width):  # type: ignore[no-untyped-def]
    """:func:`advance`, for a caller that sums with threads."""
    return advance(state, p, loss, options, rows, width)


@function(
    "int64(int64, double**, double*, double*, int64, int64, double*, int64*, int64, double*, double*, double*, double*,"
    " double*, int64, int64)"
)
def run(  # type: ignore[no-untyped-def]
    kernel, columns, y, root, weighted, n, values, free, p, block, slope, state, options, rows, width, evaluations
):
    """Evaluate and advance until a status other than ``GO_ON``, or that many evaluations (one slice) are over."""
    trial, fresh = vector(state, p, TRIAL), vector(state, p, FRESH)
    for _ in range(evaluations):
        for k in range(p):
            values[free[k]] = trial[k]
        loss = loss_and_gradient(kernel, columns, values, y, root, weighted, n, free, p, block, slope, fresh)
        status = advance(state, p, loss, options, rows, width)
        if status != GO_ON:
            return status
    return GO_ON
