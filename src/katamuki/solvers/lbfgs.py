"""L-BFGS on a problem: ``torch.optim.LBFGS`` with its options, and the loop round :mod:`katamuki.solvers.lbfgs_step`.

A step is a call of PyTorch's ``optimizer.step(closure)``: up to ``max_iter`` iterations with ``max_eval`` evaluations.
The run ends when the steps are over, or before, when PyTorch's own tests let nothing move any more: every further call
would leave the parameters where they are. Small data run compiled, in slices of at most 20 ms, so that Ctrl-C, a time
limit and progress are heard between slices; large data are summed by threads. No bounds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np

from katamuki.backends.native import address_of
from katamuki.errors import BoundsError
from katamuki.problem import BLOCK, Problem
from katamuki.records import Array, Trace
from katamuki.solvers import lbfgs_search as at
from katamuki.solvers import lbfgs_step as core
from katamuki.solvers.all_rows import needs_all_rows
from katamuki.solvers.first_order.ranges import is_number, is_whole, plain
from katamuki.solvers.first_order_run import ROW_COST, SLICE, Progress
from katamuki.solvers.first_order_steps import FAR, data_of, is_threaded
from katamuki.solvers.pace import Pace

PAIR_COST = 1e-8  # seconds per remembered pair and parameter: only to size a slice
MOST = 100_000  # steps and remembered pairs: the trace has a row for each, the memory a place

Ending = Literal["steps_over", "still", "diverged", "no_start", "interrupted", "time_over"]


@needs_all_rows("solvers.batches")
@dataclass(frozen=True, kw_only=True)
class LBFGS:
    """Newton's direction from the last gradients alone: ``torch.optim.LBFGS`` on all rows at once.

    ``x ← x + t·d``, ``d = −H·g``, H built from the last pairs ``s = Δx``, ``y = Δg``; t is ``lr`` or searched for

    Parameters
    ----------
    lr : float
        Step length, or where the line search begins, no unit. 1, as in PyTorch.
    max_iter : int
        Iterations in a step, no unit. 20, as in PyTorch.
    max_eval : int, optional
        Evaluations after which a step begins no further iteration; 5/4 of ``max_iter`` by default.
    tolerance_grad : float
        A step ends where no gradient is larger; unit of the gradient.
    tolerance_change : float
        A step ends where no parameter, or the loss, moves by more, or the slope is less. Absolute: for a loss that is
        far from 1, both tolerances mean something else.
    history_size : int
        Pairs that are remembered.
    line_search_fn : "strong_wolfe" or None
        Search for a length at which the loss has fallen and its slope is flatter, or always take ``lr``.
    steps : int
        Calls of ``optimizer.step(closure)``; PyTorch leaves them to the caller's loop. The run ends before where its
        tolerances let nothing move any more.

    Raises
    ------
    BoundsError
        If an option is outside its range.

    Source
    ------
    Nocedal 1980; Nocedal & Wright 2006, algorithms 7.4, 3.5 and 3.6.

    Example
    -------
    >>> import katamuki as km
    >>> solver = LBFGS(line_search_fn="strong_wolfe")
    >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5}, solver=solver)
    >>> fit.state, fit.solution.evaluations
    ('converged', 8)
    """

    pace: ClassVar[Pace] = "own"

    lr: float = 1.0
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 100
    line_search_fn: str | None = None
    steps: int = 100

    def __post_init__(self) -> None:
        for one in fields(self):
            value = plain(getattr(self, one.name))
            accepts, words = _RANGES[one.name]
            if not accepts(value):
                raise BoundsError("E-USAGE", words, solver="LBFGS", option=one.name, given=repr(value), most=str(MOST))
            object.__setattr__(self, one.name, value)

    def packed(self) -> Array:
        """The options as the compiled loop reads them."""
        most = self.max_iter * 5 // 4 if self.max_eval is None else self.max_eval
        pairs = min(self.history_size, self.steps * self.max_iter)
        values = (self.lr, self.max_iter, most, self.tolerance_grad, self.tolerance_change, pairs)
        return np.array([*values, self.line_search_fn is not None, self.steps], dtype=np.float64)


# What each option may be: a test, and the catalogue's words for it.
_NOT_NEGATIVE = (lambda value: is_number(value) and value >= 0.0, "first_order.not_negative")
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lr": (lambda value: is_number(value) and value > 0.0, "first_order.positive"),
    "max_iter": (is_whole, "first_order.whole"),
    "max_eval": (lambda value: value is None or is_whole(value), "lbfgs.whole_or_none"),
    "tolerance_grad": _NOT_NEGATIVE,
    "tolerance_change": _NOT_NEGATIVE,
    "history_size": (lambda value: is_whole(value, MOST), "lbfgs.whole_most"),
    "line_search_fn": (lambda value: value is None or value == "strong_wolfe", "lbfgs.line_search"),
    "steps": (lambda value: is_whole(value, MOST), "lbfgs.whole_most"),
}


@dataclass(slots=True)
class Run:
    """Where a run ended: all parameters (all_p,), one row of the trace per step, steps taken, passes over the data.

    The trace's ``extra`` has for each step how many iterations moved (``inner``), the last one's ``length`` t, and the
    ``evaluations``; NaN in the last row.
    """

    ending: Ending
    values: Array
    trace: Trace
    steps: int
    evaluations: int
    seconds: float = math.nan  # of the loop, nothing before or after it


def minimise(
    solver: LBFGS,
    problem: Problem,
    start: Array,
    *,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> Run:
    """Take the solver's steps from ``start``.

    Parameters
    ----------
    solver : LBFGS
        The options.
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
        The parameters after the last step, a step cut short included, and the trace of the free ones.
    """
    p, here = problem.p, _machine(solver, problem, start)
    state, rows, go = here.state, here.rows, here.go
    began = time.perf_counter()
    status = core.GO_ON
    ending: Ending | None = None
    try:
        while status == core.GO_ON and ending is None:
            status = go(_slice(problem, state))
            if progress is not None:
                progress(int(state[at.OUTER]), float(state[at.LOSS]))
            if max_seconds is not None and time.perf_counter() - began > max_seconds:
                ending = "time_over"
    except KeyboardInterrupt:
        if state[at.ALL_EVALS] == 0.0:
            raise
        ending = "interrupted"
    if status == core.GO_ON:
        _cut_short(state, here.options, rows, p)
        status = go(1)
    seconds = time.perf_counter() - began
    steps = int(state[at.OUTER])
    here.values[problem.free] = rows[steps, :p]
    if status in (core.DIVERGED, core.NOT_FINITE):
        ending = "diverged" if steps else "no_start"
    over: Ending = "still" if status == core.STILL else "steps_over"
    trace = _trace(problem.free_names, rows[: steps + 1].copy())
    return Run(ending or over, here.values, trace, steps, int(state[at.ALL_EVALS]), seconds)


def evaluations(solver: LBFGS, problem: Problem, start: Array) -> Iterator[Array]:
    """The same run, one evaluation at a time: the machine's state after each, for whoever tells of its iterations.

    The state is one array that goes on changing; its slots are named in :mod:`katamuki.solvers.lbfgs_search`.
    """
    here = _machine(solver, problem, start)
    status = core.GO_ON
    while status == core.GO_ON:
        status = here.go(1)
        yield here.state


@dataclass(slots=True)
class _Machine:
    """A run before its first evaluation: state, options, all parameters (all_p,), room for a row per step, and ``go``.

    ``go`` takes some evaluations into account and returns a status.
    """

    state: Array
    options: Array
    values: Array
    rows: Array
    go: Callable[[int], int]


def _machine(solver: LBFGS, problem: Problem, start: Array) -> _Machine:
    p, options = problem.p, solver.packed()
    rows = np.empty((solver.steps + 1, 3 * p + 4))
    state = np.zeros(at.SLOTS + at.VECTORS * p + int(options[at.CAPACITY]) * (2 * p + 2))
    state[at.LIMIT] = FAR * problem.tss_about_zero / problem.n
    values = start.astype(np.float64)
    _vector(state, p, at.X)[:] = _vector(state, p, at.TRIAL)[:] = values[problem.free]
    return _Machine(state, options, values, rows, _evaluator(problem, state, options, values, rows))


def _vector(state: Array, p: int, which: int) -> Array:
    return state[at.SLOTS + which * p : at.SLOTS + (which + 1) * p]


def _slice(problem: Problem, state: Array) -> int:
    """How many evaluations fill a slice."""
    if is_threaded(problem):
        return 1
    cost = ROW_COST * (problem.n + 10) * (problem.p + 1) + PAIR_COST * (state[at.COUNT] + 1.0) * (problem.p + 1)
    return max(1, int(SLICE / cost))


def _cut_short(state: Array, options: Array, rows: Array, p: int) -> None:
    """End a step where it stands: the evaluation that follows writes the last row there."""
    x, row = _vector(state, p, at.X), rows[int(state[at.OUTER])]
    _vector(state, p, at.TRIAL)[:] = x
    if state[at.PHASE] != at.BEGIN and (x != row[:p]).any():
        row[2 * p : 3 * p] = x - row[:p]
        row[3 * p + 1 :] = state[at.MOVES], state[at.TAKEN], state[at.EVALS]
        state[at.OUTER] += 1.0
    state[at.PHASE] = at.BEGIN
    options[at.MAX_STEPS] = state[at.OUTER]


def _evaluator(problem: Problem, state: Array, options: Array, values: Array, rows: Array) -> Callable[[int], int]:
    """A function that takes some evaluations into account, compiled or with threads; it returns a status."""
    p, width = problem.p, rows.shape[1]
    block, slope, threaded = problem.block(), np.empty(BLOCK), is_threaded(problem)
    trial, fresh = _vector(state, p, at.TRIAL), _vector(state, p, at.FRESH)

    def go(evaluations: int) -> int:
        memory = (address_of(state), address_of(options), address_of(rows), width)
        if not threaded:
            where = (address_of(values), problem.layout.free_address, p, address_of(block), address_of(slope))
            return core.run(*data_of(problem), *where, *memory, evaluations)
        for _ in range(evaluations):
            values[problem.free] = trial
            sums = problem.normal(values)[: 1 + p]
            fresh[:] = -2.0 / problem.n * sums[1:]
            status = core.advance_once(memory[0], p, sums[0] / problem.n, *memory[1:])
            if status != core.GO_ON:
                return status
        return core.GO_ON

    return go


def _trace(names: tuple[str, ...], rows: Array) -> Trace:
    """The record of rows written by the loop."""
    p = len(names)
    extra = {name: rows[:, 3 * p + 1 + k] for k, name in enumerate(("inner", "length", "evaluations"))}
    index = np.arange(len(rows), dtype=np.int64)
    return Trace(names, index, rows[:, :p], rows[:, 3 * p], rows[:, p : 2 * p], rows[:, 2 * p : 3 * p], extra)
