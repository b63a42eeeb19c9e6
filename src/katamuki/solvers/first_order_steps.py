"""The compiled loop of first-order solvers: loss and gradient, a row of the trace, the rule; and a rule's own replay.

Small data run compiled as a whole; for large ones threads sum, and one compiled call writes the row and takes the step.
The gradient is summed as PyTorch sums on x86-64: derivative of the loss by the prediction, times that of the prediction
by the parameter, in 16 running sums. Up to 256 rows these are PyTorch's bits, so that both take the same way where a
run grows out of rounding (RMSprop near its end). Slices, time and trace are :mod:`katamuki.solvers.first_order_run`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of, at, call_rows, function, inline
from katamuki.problem import BLOCK, SMALL, Problem
from katamuki.records import Array
from katamuki.solvers.first_order import FirstOrder, take

LOST = 1e12  # times the first loss: the run has diverged
FAR = 1e6  # times the mean of w y²: a run that began at a perfect answer may grow to here before it counts as diverged

GO_ON, DIVERGED, NOT_FINITE = range(3)


@inline
def product_sum(a, b, m):  # type: ignore[no-untyped-def]
    """Σ aᵢbᵢ in PyTorch's order: 16 sums in turn, rows left over to the first four, the last three by themselves."""
    whole = m // 16 * 16
    fours = m // 4 * 4
    s0 = s1 = s2 = s3 = rest = 0.0
    for k in range(0, 16 if whole > 0 else 4, 4):
        t0 = t1 = t2 = t3 = 0.0
        for i in range(k, whole, 16):
            t0 += a[i] * b[i]
            t1 += a[i + 1] * b[i + 1]
            t2 += a[i + 2] * b[i + 2]
            t3 += a[i + 3] * b[i + 3]
        if k == 0:
            for i in range(whole, fours, 4):
                t0 += a[i] * b[i]
                t1 += a[i + 1] * b[i + 1]
                t2 += a[i + 2] * b[i + 2]
                t3 += a[i + 3] * b[i + 3]
        s0 += t0
        s1 += t1
        s2 += t2
        s3 += t3
    for i in range(fours, m):
        rest += a[i] * b[i]
    return (((rest + s0) + s1) + s2) + s3


@inline
def loss_and_gradient(  # type: ignore[no-untyped-def]
    kernel, columns, values, y, root, weighted, n, free, p, block, slope, gradient
):
    """Fill ``gradient`` (p) with −2/n Σ w r ∂f; the loss Σ w r² / n. ``slope`` (256): −2/n √w r."""
    factor = -2.0 / n
    loss = 0.0
    for k in range(p):
        gradient[k] = 0.0
    for start in range(0, n, 256):
        m = min(256, n - start)
        call_rows(kernel, columns, values, start, m, block, at(block, 256), 1)
        for i in range(m):
            residual = y[start + i] - block[i]
            block[i] = residual
            slope[i] = factor * residual
        if weighted == 1:
            weigh(block, at(root, start), m)
            weigh(slope, at(root, start), m)
        for k in range(p):
            column = at(block, 256 * (1 + free[k]))
            if weighted == 1:
                weigh(column, at(root, start), m)
            gradient[k] += product_sum(slope, column, m)
        loss += product_sum(block, block, m)
    return loss / n


@inline
def weigh(column, root, m):  # type: ignore[no-untyped-def]
    """Multiply a column by √w."""
    for i in range(m):
        column[i] *= root[i]


@inline
def advance(rule, values, free, p, loss, work, state, divisor, summed, options, done, row, last):  # type: ignore[no-untyped-def]
    """Write a row of the trace and take a step; the row is the last one if asked for or if the loss says stop.

    A row: parameters, gradient, step (p each), loss; from the rule's memory at ``divisor`` (−1: none) p divisors; at
    ``summed`` (−1: gradients do not accumulate) the sum of all gradients so far, which the rule sees in their place.
    ``work``: the loss that ends the run, the gradient (p), the sum (p). ``done[0]`` counts the steps; ``done[1]`` is 1
    where the sum holds this row's gradient already.
    """
    gradient = at(work, 1)
    step = at(row, 2 * p)
    for k in range(p):
        row[k] = values[free[k]]
        row[p + k] = gradient[k]
        step[k] = math.nan
    row[3 * p] = loss
    if divisor >= 0:
        for k in range(p):
            row[3 * p + 1 + k] = math.nan
    if summed >= 0:
        total = at(work, 1 + p)
        for k in range(p):
            if done[1] == 0:
                total[k] += gradient[k]
            row[summed + k] = total[k]
        done[1] = 0
        gradient = total
    if not math.isfinite(loss):
        return NOT_FINITE
    if done[0] == 0:
        work[0] = max(work[0], LOST * loss)
    if loss > work[0]:
        return DIVERGED
    if last == 1:
        return GO_ON
    for k in range(p):
        step[k] = row[k]
    take(rule, step, gradient, state, options, p, float(done[0] + 1))
    for k in range(p):
        values[free[k]] = step[k]
        step[k] -= row[k]
    if divisor >= 0:
        for k in range(p):
            row[3 * p + 1 + k] = state[divisor + k]
    done[0] += 1
    return GO_ON


@function(
    "int64(int64, double*, int64*, int64, double, double*, double*, int64, int64, double*, int64*, double*, int64)"
)
def advance_once(rule, values, free, p, loss, work, state, divisor, summed, options, done, row, last):  # type: ignore[no-untyped-def]
    """:func:`advance`, for a caller that sums with threads."""
    return advance(rule, values, free, p, loss, work, state, divisor, summed, options, done, row, last)


@function(
    "int64(int64, double**, double*, double*, int64, int64, int64, double*, int64*, int64, double*, double*, double*,"
    " double*, int64, int64, double*, int64*, double*, int64, int64)"
)
def run(  # type: ignore[no-untyped-def]
    kernel,
    columns,
    y,
    root,
    weighted,
    n,
    rule,
    values,
    free,
    p,
    block,
    slope,
    work,
    state,
    divisor,
    summed,
    options,
    done,
    rows,
    width,
    steps,
):
    """Take steps, each with a row of the trace ``width`` doubles further on; with 0 steps, write the last row."""
    last = 1 if steps == 0 else 0
    for k in range(max(steps, 1)):
        loss = loss_and_gradient(kernel, columns, values, y, root, weighted, n, free, p, block, slope, at(work, 1))
        row = at(rows, k * width)
        status = advance(rule, values, free, p, loss, work, state, divisor, summed, options, done, row, last)
        if status != GO_ON:
            return status
    return GO_ON


@function("int64(int64, double*, int64, double*, int64, int64, int64, int64, double*, double*, double*)")
def recall(rule, params, stride, gradients, apart, first, steps, p, state, options, work):  # type: ignore[no-untyped-def]
    """Bring the rule's memory after ``first`` steps to that after ``steps`` more, along recorded rows. ``work``: 2p."""
    gradient = at(work, p)
    for row in range(steps):
        for k in range(p):
            work[k] = params[row * stride + k]
            gradient[k] = gradients[row * apart + k]
        take(rule, work, gradient, state, options, p, float(first + row + 1))
    return 0


@dataclass(slots=True)
class Position:
    """Where a run is: all parameters (all_p,), the rule's memory, ``work`` and ``done`` as :func:`advance` has them."""

    values: Array
    state: Array
    work: Array
    done: NDArray[np.int64]


def position(solver: FirstOrder, problem: Problem, start: Array) -> Position:
    """Before the first step, at all parameters (all_p,)."""
    work = np.zeros(1 + 2 * problem.p)
    work[0] = FAR * problem.tss_about_zero / problem.n
    return Position(start.astype(np.float64), np.zeros(solver.blocks * problem.p), work, np.zeros(2, dtype=np.int64))


def row_width(solver: FirstOrder, p: int, accumulate: bool) -> int:
    """Doubles in a row of the trace."""
    return (3 + solver.divides + accumulate) * p + 1


def is_threaded(problem: Problem) -> bool:
    """Whether its rows are summed pass by pass: by threads where there are many, by whoever makes tables elsewhere."""
    return problem.n > SMALL or not problem.compiled


def data_of(problem: Problem) -> tuple[int, int, int, int, int, int]:
    """The data as compiled loops take them: kernel, columns, y and √w by address, whether there are weights, rows."""
    weighted = int(problem.root is not None)
    where = (problem.columns_address, problem.y_address, problem.root_address)
    return (problem.kernel.address, *where, weighted, problem.n)


def stepper(solver: FirstOrder, problem: Problem, here: Position, accumulate: bool) -> Callable[[int, Array, int], int]:
    """A function that takes some steps and writes their rows, compiled or with threads; it returns a status."""
    p, options, work = problem.p, solver.packed(), here.work
    divisor = (solver.blocks - 1) * p if solver.divides else -1
    summed = row_width(solver, p, False) if accumulate else -1
    threaded, block, slope = is_threaded(problem), problem.block(), np.empty(BLOCK)

    def go(steps: int, rows: Array, width: int) -> int:
        memory = (address_of(work), address_of(here.state), divisor, summed, address_of(options), address_of(here.done))
        fixed = (solver.rule.address, address_of(here.values), problem.layout.free_address, p)
        if not threaded:
            room = (address_of(block), address_of(slope))
            return run(*data_of(problem), *fixed, *room, *memory, address_of(rows), width, steps)
        for k in range(max(steps, 1)):
            sums = problem.normal(here.values)[: 1 + p]
            work[1 : 1 + p] = -2.0 / problem.n * sums[1:]
            row = address_of(rows[k if width else 0 :])
            status = advance_once(*fixed, sums[0] / problem.n, *memory, row, int(steps == 0))
            if status != GO_ON:
                return status
        return GO_ON

    return go


def strided(array: Array) -> tuple[Array, int]:
    """An array (rows, p) whose rows are contiguous, and how many numbers apart they begin."""
    if array.dtype != np.float64 or array.strides[1] != array.itemsize or array.strides[0] % array.itemsize:
        array = np.ascontiguousarray(array, dtype=np.float64)
    return array, array.strides[0] // array.itemsize
