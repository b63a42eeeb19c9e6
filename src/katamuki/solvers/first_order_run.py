"""Running a first-order solver on a problem: the compiled loop, its slices, and the trace.

Small data run compiled, in slices of at most 20 ms, so that Ctrl-C, a time limit and progress are heard between slices;
large data are summed by threads, one pass a step. A step is: loss and gradient at the parameters, a row of the trace,
the solver's rule. The gradient is summed as PyTorch sums on x86-64: derivative of the loss by the prediction, times
that of the prediction by the parameter, in 16 running sums. Up to 256 rows these are PyTorch's bits, so that both take
the same way where a run grows out of rounding (RMSprop near its end).

The trace is whole up to 64 MB. A longer one keeps its first and last rows and, between, rows each 0.1 % further on,
with the solver's memory beside each row before a gap (``extra["state"]``): the steps between can be repeated from it
bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import at, call_rows, function, inline
from katamuki.problem import BLOCK, SMALL, Problem
from katamuki.records import Array, Trace
from katamuki.solvers.first_order import FirstOrder, adam, rmsprop, sgd

SLICE = 0.02  # seconds
ROW_COST = 2e-8  # seconds per row, parameter and step, generously: only to size a slice
WHOLE = 64_000_000  # bytes of trace that are kept whole
WINDOW = 4096  # rows at both ends of a longer one
FURTHER = 1.001  # ratio of the indices kept between
LOST = 1e12  # times the first loss: the run has diverged
FAR = 1e6  # times the mean of w y²: a run that began at a perfect answer may grow to here before it counts as diverged

GO_ON, DIVERGED, NOT_FINITE = range(3)
Ending = Literal["steps_over", "diverged", "no_start", "interrupted", "time_over"]
Progress = Callable[[int, float], None]


@dataclass(slots=True)
class Run:
    """Where a run ended: all parameters (all_p,), the rule's memory, the trace, steps taken, passes over the data."""

    ending: Ending
    values: Array
    state: Array
    trace: Trace
    steps: int
    evaluations: int


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
def take(rule, params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """One step of the solver whose number is ``rule``."""
    if rule == 0:
        sgd(params, gradient, state, options, p, t)
    elif rule == 1:
        rmsprop(params, gradient, state, options, p, t)
    else:
        adam(params, gradient, state, options, p, t)


@inline
def advance(rule, values, free, p, loss, work, state, divisor, options, done, row, last):  # type: ignore[no-untyped-def]
    """Write a row of the trace and take a step; the row is the last one if asked for or if the loss says stop.

    A row: parameters, gradient, step (p each), loss, and from the rule's memory at ``divisor`` (−1: none) p divisors.
    ``work``: the loss that ends the run, the gradient (p). ``done[0]`` counts the steps.
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


@function("int64(int64, double*, int64*, int64, double, double*, double*, int64, double*, int64*, double*, int64)")
def advance_once(rule, values, free, p, loss, work, state, divisor, options, done, row, last):  # type: ignore[no-untyped-def]
    """:func:`advance`, for a caller that sums with threads."""
    return advance(rule, values, free, p, loss, work, state, divisor, options, done, row, last)


@function(
    "int64(int64, double**, double*, double*, int64, int64, int64, double*, int64*, int64, double*, double*, double*,"
    " double*, int64, double*, int64*, double*, int64, int64)"
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
        status = advance(rule, values, free, p, loss, work, state, divisor, options, done, at(rows, k * width), last)
        if status != GO_ON:
            return status
    return GO_ON


def minimise(
    solver: FirstOrder,
    problem: Problem,
    start: Array,
    *,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> Run:
    """Take the solver's steps from ``start``.

    Parameters
    ----------
    solver : SGD, RMSprop or Adam
        The rule and its options.
    problem : Problem
        Model and rows.
    start : (all_p,) float64
        All parameters, the fixed ones included.
    max_seconds : float, optional
        Stop after the slice in which this time is over.
    progress : function, optional
        Called between slices with the steps taken and the loss.

    Returns
    -------
    Run
        The parameters after the last step and the trace of the free ones.
    """
    p = problem.p
    width = (4 if solver.divides else 3) * p + 1
    kept = kept_steps(solver.steps, width)
    whole = len(kept) == solver.steps
    rows = np.empty((len(kept) + 1, width))
    states = np.full((0 if whole else len(kept) + 1, solver.blocks * p), np.nan)
    values, state, done = start.astype(np.float64), np.zeros(solver.blocks * p), np.zeros(1, dtype=np.int64)
    go = _stepper(solver, problem, values, state, done)
    longest = max(1, int(SLICE / (ROW_COST * (problem.n + 10) * (p + 1)))) if problem.n <= SMALL else 1
    began = time.perf_counter()
    status = GO_ON
    ending: Ending | None = None
    try:
        for count, written in _stretches(kept, solver.steps):
            until = int(done[0]) + count
            while status == GO_ON and ending is None and done[0] < until:
                position = int(done[0]) if whole else int(np.searchsorted(kept, done[0]))
                if not whole:
                    states[position] = state
                status = go(min(longest, until - int(done[0])), rows[position:], width if written else 0)
                if progress is not None:
                    progress(int(done[0]), float(rows[position, 3 * p]))
                if max_seconds is not None and time.perf_counter() - began > max_seconds:
                    ending = "time_over"
    except KeyboardInterrupt:
        ending = "interrupted"
    steps = int(done[0])
    position = steps if whole else int(np.searchsorted(kept, steps))
    if status == GO_ON:
        status = go(0, rows[position:], 0)
    if not whole:
        states[position] = state
    index = np.arange(steps + 1, dtype=np.int64) if whole else np.append(kept[:position], steps)
    trace = _trace(problem.free_names, index, rows[: position + 1], solver.divides, states[: position + 1])
    if status != GO_ON:
        ending = "diverged" if steps else "no_start"
    return Run(ending or "steps_over", values, state, trace, steps, steps + 1)


def kept_steps(steps: int, width: int) -> NDArray[np.int64]:
    """Which of the rows 0 to steps − 1 a trace keeps, ``width`` doubles each; the result's row comes after them."""
    if 8 * width * steps <= WHOLE:
        return np.arange(steps, dtype=np.int64)
    window = min(WINDOW, WHOLE // (32 * width), steps // 2)
    count = int(math.log(steps / window) / math.log(FURTHER))
    between = np.round(window * FURTHER ** np.arange(count)).astype(np.int64)
    ends = np.arange(window, dtype=np.int64)
    return np.unique(np.concatenate([ends, between[between < steps], steps - window + ends]))


def _stretches(kept: NDArray[np.int64], steps: int) -> Iterator[tuple[int, bool]]:
    """The steps as stretches (how many, whether their rows are kept); the row before a gap is one by itself."""
    if len(kept) == steps:
        yield steps, True
        return
    first = 0
    for last in np.flatnonzero(np.diff(kept) > 1).tolist():
        if last > first:
            yield last - first, True
        yield 1, True
        yield int(kept[last + 1] - kept[last]) - 1, False
        first = last + 1
    yield len(kept) - first, True


def _trace(names: tuple[str, ...], index: NDArray[np.int64], rows: Array, divides: bool, states: Array) -> Trace:
    """The record of rows written by :func:`advance`."""
    p = len(names)
    extra = {"scale": rows[:, 3 * p + 1 :]} if divides else {}
    if len(states):
        extra["state"] = states
    return Trace(names, index, rows[:, :p], rows[:, 3 * p], rows[:, p : 2 * p], rows[:, 2 * p : 3 * p], extra)


def _stepper(
    solver: FirstOrder, problem: Problem, values: Array, state: Array, done: NDArray[np.int64]
) -> Callable[[int, Array, int], int]:
    """A function that takes some steps and writes their rows, compiled or with threads; it returns a status."""
    p, options = problem.p, solver.packed()
    work = np.empty(1 + p)
    work[0] = FAR * problem.tss_about_zero / problem.n
    divisor = (solver.blocks - 1) * p if solver.divides else -1
    fixed = (solver.rule, values.ctypes.data, problem.free.ctypes.data, p)

    if problem.n > SMALL:

        def threaded(steps: int, rows: Array, width: int) -> int:
            for _ in range(max(steps, 1)):
                sums = problem.normal(values)[: 1 + p]
                work[1:] = -2.0 / problem.n * sums[1:]
                memory = (work.ctypes.data, state.ctypes.data, divisor, options.ctypes.data, done.ctypes.data)
                status = advance_once(*fixed, sums[0] / problem.n, *memory, rows.ctypes.data, int(steps == 0))
                if status != GO_ON:
                    return status
            return GO_ON

        return threaded

    block, slope, root = problem.block(), np.empty(BLOCK), problem.root
    data = (
        problem.kernel.address,
        problem.column_pointers.ctypes.data,
        problem.y.ctypes.data,
        root.ctypes.data if root is not None else 0,
        int(root is not None),
        problem.n,
    )

    def compiled(steps: int, rows: Array, width: int) -> int:
        memory = (block.ctypes.data, slope.ctypes.data, work.ctypes.data, state.ctypes.data, divisor)
        rest = (options.ctypes.data, done.ctypes.data, rows.ctypes.data, width, steps)
        return run(*data, *fixed, *memory, *rest)

    return compiled
