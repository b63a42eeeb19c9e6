"""Running a first-order solver on a problem: its slices and its trace, and steps of that trace done again.

Small data run compiled, in slices of at most 20 ms, so that Ctrl-C, a time limit and progress are heard between slices;
large data are summed by threads, one pass a step. A step is: loss and gradient at the parameters, a row of the trace,
the solver's rule (:mod:`katamuki.solvers.first_order_steps`). Where gradients accumulate, as in PyTorch without
``zero_grad``, the rule sees the sum of all gradients so far.

The trace is whole up to 64 MB. A longer one keeps its first and last rows and, between, rows each 0.1 % further on,
with the solver's memory beside each row before a gap (``extra["state"]``): :func:`window` repeats the steps between
from it bit for bit.
"""

from __future__ import annotations

import bisect
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of
from katamuki.problem import Problem
from katamuki.problem.batches import Dealt
from katamuki.records import Array, Trace
from katamuki.solvers import first_order_batches
from katamuki.solvers.first_order import FirstOrder
from katamuki.solvers.first_order_batches import Stepper
from katamuki.solvers.first_order_steps import (
    GO_ON,
    LOST,
    Position,
    is_threaded,
    position,
    recall,
    row_width,
    stepper,
    strided,
)

__all__ = ["LOST", "Run", "kept_steps", "memory", "minimise", "window"]

SLICE = 0.02  # seconds
ROW_COST = 2e-8  # seconds per row, parameter and step, generously: only to size a slice
WHOLE = 64_000_000  # bytes of trace that are kept whole
WINDOW = 4096  # rows at both ends of a longer one
FURTHER = 1.001  # ratio of the indices kept between

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
    seconds: float = math.nan  # of the loop, nothing before or after it


def minimise(
    solver: FirstOrder,
    problem: Problem,
    start: Array,
    *,
    max_seconds: float | None = None,
    progress: Progress | None = None,
    accumulate: bool = False,
    batches: Dealt | None = None,
) -> Run:
    """Take the solver's steps from ``start``.

    Parameters
    ----------
    solver : SGD, RMSprop, Adam, …
        The rule and its options.
    problem : Problem
        Model and rows.
    start : (all_p,) float64
        All parameters, the fixed ones included.
    max_seconds : float, optional
        Stop after the slice in which this time is over.
    progress : function, optional
        Called between slices with the steps taken and the loss.
    accumulate : bool
        Do not zero gradients between steps: the rule sees G ← G + g.
    batches : Dealt, optional
        Which rows each step takes; by default all. The trace's last row has loss and gradient of all rows in any case,
        the others those of their batch.

    Returns
    -------
    Run
        The parameters after the last step and the trace of the free ones.
    """
    p = problem.p
    width = row_width(solver, p, accumulate)
    kept = kept_steps(solver.steps, width)
    whole = len(kept) == solver.steps
    rows = np.empty((len(kept) + 1, width))
    states = np.full((0 if whole else len(kept) + 1, solver.blocks * p), np.nan)
    here = position(solver, problem, start)
    state, done = here.state, here.done
    whole_data = go = stepper(solver, problem, here, accumulate)
    began = time.perf_counter()
    status = GO_ON
    if batches is not None:
        go = first_order_batches.stepper(solver, problem, here, accumulate, batches)
        status = _begin(whole_data, here, rows, problem.n / batches.size)
    longest = _slice(problem, batches)
    ending: Ending | None = None
    try:
        for count, written in _stretches(kept, solver.steps):
            until = int(done[0]) + count
            while status == GO_ON and ending is None and done[0] < until:
                place = int(done[0]) if whole else int(np.searchsorted(kept, done[0]))
                if not whole:
                    states[place] = state
                status = go(min(longest, until - int(done[0])), rows[place:], width if written else 0)
                if progress is not None:
                    progress(int(done[0]), float(rows[place, 3 * p]))
                if max_seconds is not None and time.perf_counter() - began > max_seconds:
                    ending = "time_over"
    except KeyboardInterrupt:
        ending = "interrupted"
    steps = int(done[0])
    place = steps if whole else int(np.searchsorted(kept, steps))
    if status == GO_ON or batches is not None:
        ended = whole_data(0, rows[place:], 0)
        status = status or ended
    seconds = time.perf_counter() - began
    if not whole:
        states[place] = state
    index = np.arange(steps + 1, dtype=np.int64) if whole else np.append(kept[:place], steps)
    trace = _trace(problem.free_names, index, rows[: place + 1], solver.divides, states[: place + 1])
    if status != GO_ON:
        ending = "diverged" if steps else "no_start"
    passes = steps + 1 if batches is None else -(-steps // batches.per_epoch) + 2  # an epoch is one; start and end
    return Run(ending or "steps_over", here.values, state, trace, steps, passes, seconds)


def _begin(go: Stepper, here: Position, rows: Array, times: float) -> int:
    """Look at all rows where a run on batches begins: whether this is a start, and what loss of a batch is lost.

    A batch's mean may be ``times`` that of all rows, if all of it stands in one batch.
    """
    here.done[1] = 1  # no gradient is added to those that accumulate
    status = go(0, rows, 0)
    here.work[0] *= times
    return status


def _slice(problem: Problem, batches: Dealt | None) -> int:
    """How many steps fill a slice."""
    if batches is None and is_threaded(problem):
        return 1
    rows = problem.n if batches is None else batches.size
    return max(1, int(SLICE / (ROW_COST * (rows + 10) * (problem.p + 1))))


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
    """The record of rows written by the loop; what stands behind the divisors is the accumulated gradient."""
    p = len(names)
    behind = (3 + divides) * p + 1
    extra = {"scale": rows[:, 3 * p + 1 : behind]} if divides else {}
    if rows.shape[1] > behind:
        extra["accumulated"] = rows[:, behind:]
    if len(states):
        extra["state"] = states
    return Trace(names, index, rows[:, :p], rows[:, 3 * p], rows[:, p : 2 * p], rows[:, 2 * p : 3 * p], extra)


def memory(solver: FirstOrder, trace: Trace, row: int) -> Array:
    """The rule's memory before the step of a row: replayed along the recorded gradients, bit for bit.

    Parameters
    ----------
    solver : SGD, RMSprop, Adam, …
        What ran.
    trace : Trace
        Of a run, or of a :func:`window`.
    row : int
        Steps taken before the row, as ``trace.index`` counts them: k − 1 for step k.

    Returns
    -------
    (blocks*p,) float64
        As the rule keeps it.

    Raises
    ------
    LookupError
        If the row was thinned away, or is none of this run: :func:`window` has it.
    """
    place = int(np.searchsorted(trace.index, row))
    if not (place < len(trace) and trace.index[place] == row):
        raise LookupError(f"row {row} is not in the trace; window() repeats it")
    first, state = _remembered(solver, trace, place)
    if first < place:
        p, options = len(trace.names), solver.packed()
        seen = trace.extra.get("accumulated", trace.gradient)
        params, stride = strided(trace.params[first:place])
        gradients, apart = strided(seen[first:place])
        work = np.empty(2 * p)
        along = (params.ctypes.data, stride, gradients.ctypes.data, apart, int(trace.index[first]), place - first)
        recall(solver.rule.address, *along, p, address_of(state), address_of(options), address_of(work))
    return state


def _remembered(solver: FirstOrder, trace: Trace, place: int) -> tuple[int, Array]:
    """The nearest row, no gap between, whose memory is known, and a copy of that memory."""
    behind = int(trace.index[place]) - place
    first = bisect.bisect_left(range(place), behind, key=lambda k: int(trace.index[k]) - k)  # after the last gap
    states = trace.extra.get("state")
    if states is None:
        if trace.index[first] != 0:
            raise LookupError("the trace does not begin at a step whose memory is known")
        return first, np.zeros(solver.blocks * len(trace.names))
    known = np.flatnonzero(np.isfinite(states[first : place + 1]).all(axis=1))
    nearest = first + int(known[-1]) if len(known) else first  # a run that overflowed has no finite memory
    return nearest, states[nearest].copy()


def window(
    solver: FirstOrder, problem: Problem, trace: Trace, first: int, count: int, batches: Dealt | None = None
) -> Trace:
    """Some steps of a run with every row, bit for bit; repeated where the trace was thinned.

    Parameters
    ----------
    solver : SGD, RMSprop, Adam, …
        What ran.
    problem : Problem
        What it ran on.
    trace : Trace
        What is left of it.
    first, count : int
        The first step, counted from 1, and how many.
    batches : Dealt, optional
        Which rows each step took, as :func:`minimise` had them.

    Returns
    -------
    Trace
        ``count`` rows and the state after them, whose step is empty; ``extra["state"]`` has the memory of the first.

    Raises
    ------
    LookupError
        If the run has no such steps.
    """
    before, after = first - 1, first - 1 + count
    if first < 1 or count < 1 or after > trace.index[-1]:
        raise LookupError(f"steps {first} to {after} are not among the {trace.index[-1]} of this run")
    p, accumulate = len(trace.names), "accumulated" in trace.extra
    place = int(np.searchsorted(trace.index, before, side="right")) - 1
    states = np.full((count + 1, solver.blocks * p), np.nan)
    if place + count < len(trace) and trace.index[place] == before and trace.index[place + count] == after:
        states[0] = memory(solver, trace, before)
        return _cut(trace, slice(place, place + count + 1), states)
    rows = np.empty((count + 1, row_width(solver, p, accumulate)))
    here = position(solver, problem, problem.full(trace.params[place]))
    whole_data = go = stepper(solver, problem, here, accumulate)
    if batches is None:
        here.work[0] = max(here.work[0], LOST * float(trace.loss[0]))
    else:
        go = first_order_batches.stepper(solver, problem, here, accumulate, batches)
        start = position(solver, problem, problem.full(trace.params[0]))
        _begin(stepper(solver, problem, start, accumulate), start, rows, problem.n / batches.size)
        here.work[0] = start.work[0]
    here.state[:] = memory(solver, trace, int(trace.index[place]))
    here.done[0] = trace.index[place]
    if accumulate:
        here.work[1 + p :] = trace.extra["accumulated"][place]
        here.done[1] = 1
    status, longest = GO_ON, _slice(problem, batches)
    while status == GO_ON and here.done[0] < before:
        status = go(min(longest, before - int(here.done[0])), rows, 0)
    states[0] = here.state
    while status == GO_ON and here.done[0] < after:
        left = after - int(here.done[0])
        status = go(min(longest, left), rows[count - left :], rows.shape[1])
    if status != GO_ON:
        raise LookupError("these steps are not those of this trace")
    (whole_data if after == trace.index[-1] else go)(0, rows[count:], 0)
    return _trace(trace.names, np.arange(before, after + 1), rows, solver.divides, states)


def _cut(trace: Trace, rows: slice, states: Array) -> Trace:
    """Rows of a trace that lie side by side, the last one's step taken out."""
    step, extra = trace.step[rows].copy(), {name: one[rows].copy() for name, one in trace.extra.items()}
    step[-1] = np.nan
    if "scale" in extra:
        extra["scale"][-1] = np.nan
    extra["state"] = states
    return Trace(
        trace.names, trace.index[rows], trace.params[rows], trace.loss[rows], trace.gradient[rows], step, extra
    )
