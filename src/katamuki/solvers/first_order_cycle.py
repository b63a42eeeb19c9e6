"""Since when a run cycles, where its trace was thinned: the rows that are missing are computed again.

A cycle is found in the rows after the trace's last gap (:mod:`katamuki.solvers.first_order_diagnosis`). Where all of
them repeat, it began before. Kept rows before the gap are then asked one by one, each with the two steps after it: some
that are spread evenly, from the end back, then by halving the stretch in which it began, until two kept rows enclose
it. On its way into a cycle a run comes and goes, so that from there on all rows of a long stretch are computed, and of
one ever longer until the second half of it repeats. A run that stopped repeating later, and began again, between two
rows that were asked is not noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from katamuki.problem import Problem
from katamuki.problem.batches import Dealt
from katamuki.records import Array, Cycle, Trace
from katamuki.solvers.first_order import FirstOrder
from katamuki.solvers.first_order_diagnosis import REPEATS, STEADY
from katamuki.solvers.first_order_run import window

ASKED = 64  # rows spread over the gaps
STRETCH = 8192  # rows that are all computed from where it seems to begin


def is_whole(trace: Trace) -> bool:
    """Whether no row was thinned away."""
    return bool(trace.index[-1] - trace.index[0] == len(trace) - 1)


def since_when(solver: FirstOrder, problem: Problem, trace: Trace, cycle: Cycle, batches: Dealt | None = None) -> Cycle:
    """The cycle with the step from which on it repeats.

    Parameters
    ----------
    solver : SGD, RMSprop, Adam, …
        What ran.
    problem : Problem
        What it ran on.
    trace : Trace
        What is left of the run.
    cycle : Cycle
        As it was found in the last rows.
    batches : Dealt, optional
        In which order each step took all rows.

    Returns
    -------
    Cycle
        The same, ``since`` counted over the whole run.
    """
    gaps = np.flatnonzero(np.diff(trace.index) != 1)
    if not len(gaps) or cycle.since > trace.index[gaps[-1] + 1] + 1:
        return cycle
    strays = _strays(solver, cycle)
    head, known = int(gaps[0]), int(gaps[-1]) + 1
    end = int(trace.index[known])

    def stray(place: int) -> bool:
        rows = window(solver, problem, trace, int(trace.index[place]) + 1, 2, batches).params
        return bool(strays(rows)[0])

    last = -1
    for place in np.unique(np.linspace(head, known, ASKED).astype(np.int64))[-2::-1].tolist():
        if stray(place):
            last = place
            break
        known = place
    if last < 0:  # it began in the first rows, of which none is missing
        last = max(_after(strays(trace.params[: head + 1])) - 1, 0)
        known = last + 1
    while known - last > 1:
        middle = (last + known) // 2
        last, known = (middle, known) if stray(middle) else (last, middle)
    first = int(trace.index[last])
    length = max(STRETCH, 2 * int(trace.index[known] - first))
    while True:
        length = min(length, end - first)
        begin = _after(strays(window(solver, problem, trace, first + 1, length + 1, batches).params))
        if 2 * begin <= length or length == end - first:
            return replace(cycle, since=first + begin + 1)
        length *= 2


def _strays(solver: FirstOrder, cycle: Cycle) -> Callable[[Array], NDArray[np.bool_]]:
    """Of rows (m, p) that follow each other, which of the first m − 2 do not belong to the cycle."""
    largest = 2.0 * max(cycle.half_width.values())
    tolerance = REPEATS * (solver.lr if solver.pace == "lr" else largest)

    def strays(rows: Array) -> NDArray[np.bool_]:
        swings = np.abs(rows[1:-1] - rows[:-2]).max(axis=1)
        away = ~(np.abs(rows[2:] - rows[:-2]) <= tolerance).all(axis=1)
        found: NDArray[np.bool_] = away | ~(np.abs(swings - largest) <= STEADY * largest)
        return found

    return strays


def _after(strays: NDArray[np.bool_]) -> int:
    """The row after the last stray."""
    found = np.flatnonzero(strays)
    return int(found[-1]) + 1 if len(found) else 0
