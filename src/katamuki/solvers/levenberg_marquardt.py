"""Levenberg–Marquardt on a problem: the loop round :mod:`katamuki.solvers.damped_step`.

Small data run compiled, in slices of at most 20 ms, so that Ctrl-C, a time limit and progress are heard between slices;
large data are evaluated by threads, one pass an attempt. Both make the same steps. A linear model takes the polish
alone: one Gauss–Newton step from the start is its answer, the next corrects it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from katamuki.backends.native import address_of
from katamuki.errors import BoundsError
from katamuki.problem import SMALL, Problem, passes
from katamuki.records import Array
from katamuki.solvers import damped_step as core
from katamuki.solvers import rounding
from katamuki.solvers.all_rows import needs_all_rows
from katamuki.solvers.pace import Pace

SLICE = 0.02  # seconds
ROW_COST = 4e-9  # seconds per row, parameter and evaluation: only to size a slice
MOST_STEPS = 1_000_000  # the trace has a row for each
EXTRA = 64  # attempts of the polish beyond max_steps
EPSILON = 1e-14  # rounding of the data themselves: residuals below this share of y are a perfect fit

Progress = Callable[[int, float], None]
Ending = Literal["converged", "no_start", "steps_over", "stalled", "interrupted", "time_over"]
ENDINGS: dict[int, Ending] = {
    core.CONVERGED: "converged",
    core.NO_START: "no_start",
    core.STEPS_OVER: "steps_over",
    core.STALLED: "stalled",
}


@needs_all_rows("solvers.batches")
@dataclass(frozen=True, kw_only=True)
class LevenbergMarquardt:
    """Damped least squares: δ minimises ‖r − Jδ‖² + damping·‖Dδ‖².

    Parameters
    ----------
    max_steps : int
        Attempts before it gives up, at most a million; 1000 by default, no unit.

    Raises
    ------
    BoundsError
        If ``max_steps`` is not a whole number from 1 to a million.

    Source
    ------
    Moré 1978 (scaling, gradient test); Nielsen 1999 and Madsen, Nielsen & Tingleff 2004, algorithm 3.16 (damping);
    Bates & Watts 1988 (relative offset).

    Example
    -------
    >>> import katamuki as km
    >>> data = {"x": [0.0, 1.0, 2.0, 3.0], "y": [8.1, 5.2, 3.1, 2.0]}
    >>> fit = km.fit("y ~ a*exp(-b*x)", data, start={"a": 5, "b": 1}, solver=km.LevenbergMarquardt(max_steps=50))
    >>> fit.state
    'converged'
    """

    pace: ClassVar[Pace] = "none"

    max_steps: int = 1000

    def __post_init__(self) -> None:
        steps = self.max_steps
        if not isinstance(steps, int | np.integer) or isinstance(steps, bool) or not 1 <= steps <= MOST_STEPS:
            raise BoundsError("E-USAGE", "solvers.max_steps", given=repr(steps))
        object.__setattr__(self, "max_steps", int(steps))  # NumPy's is no number in JSON


@dataclass(slots=True)
class Descent:
    """Where a descent ended.

    ``values`` (all_p,) all parameters; ``rss``; ``triangle`` (p+1, p+1) of [J, r] there; ``rows`` the trace, one
    row per attempt and the result last: p parameters, p gradient, p step, loss, damping, accepted. ``edges`` are the
    places of parameters that stand on edges of the loss, among all, and how far beside them only sides change.
    """

    ending: Ending
    values: Array
    rss: float
    triangle: Array
    rows: Array
    held: Array
    evaluations: int
    cosine: float
    offset: float
    edges: tuple[tuple[int, float], ...] = ()


def minimise(
    problem: Problem,
    start: Array,
    lower: Array | float = -math.inf,
    upper: Array | float = math.inf,
    *,
    linear: bool = False,
    max_steps: int = 1000,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> Descent:
    """Descend from ``start`` (all_p,) within bounds (p,); ``linear`` takes undamped steps only."""
    p, all_p, q = problem.p, problem.all_p, problem.p + 1
    state = np.zeros(core.state_size(p, all_p))
    state[core.ATTEMPTS] = -1.0
    state[core.PHASE] = core.POLISH if linear else core.START
    state[core.BACK] = float(linear)
    state[core.DAMPING] = 1e-3
    state[core.GROWTH] = 2.0
    x = core.HEAD
    state[x : x + all_p] = state[x + all_p : x + 2 * all_p] = start
    bounds = x + 3 * all_p
    state[bounds : bounds + p] = lower
    state[bounds + p : bounds + 2 * p] = upper
    rows = np.empty((max_steps + EXTRA + 2, 3 * p + 3))
    floor = EPSILON**2 * problem.tss_about_zero
    loop = _small if problem.n <= SMALL and problem.compiled else _large
    try:
        ending = loop(problem, state, rows, floor, max_steps, max_seconds, progress)
    except KeyboardInterrupt:
        if state[core.ATTEMPTS] < 0:
            raise
        ending = "interrupted"
    current = bounds + 5 * p
    triangle = state[current + 1 : current + 1 + q * q].reshape(q, q)
    attempts = max(int(state[core.ATTEMPTS]), 0)
    if ending == "no_start":  # nothing was accepted: there is no sum of squares to tell
        state[core.RSS] = math.nan
        triangle[:] = math.nan
    held = state[bounds + 3 * p : bounds + 4 * p]
    if ending in {"stalled", "steps_over"} and rounding.settled(problem, state[x : x + all_p], held != 0.0):
        ending = "converged"
    if ending in {"no_start", "interrupted", "time_over"}:
        _close(problem, state, rows[attempts], triangle)
    return Descent(
        ending,
        state[x : x + all_p],
        float(state[core.RSS]),
        triangle,
        rows[: attempts + 1],
        held,
        attempts + 1,
        float(state[core.COSINE]),
        float(state[core.OFFSET]),
    )


def at_hand(problem: Problem) -> None:
    """Load or compile what the loop will call, which happens at a first call, so that a clock need not count it."""
    if problem.compiled:
        _ = problem.kernel.address
    small = problem.n <= SMALL and problem.compiled
    for one in (core.run,) if small else (core.advance_once, passes.factor):
        _ = one.address


def _small(
    problem: Problem,
    state: Array,
    rows: Array,
    floor: float,
    max_steps: int,
    max_seconds: float | None,
    progress: Progress | None,
) -> Ending:
    """Everything compiled, one slice after the other."""
    block = problem.block()
    arguments = (
        problem.kernel.address,
        problem.columns_address,
        problem.y_address,
        problem.root_address,
        int(problem.root is not None),
        problem.n,
        problem.layout.free_address,
        problem.p,
        problem.all_p,
        problem.layout.order_address,
        address_of(block),
        address_of(state),
        floor,
        float(max_steps),
        address_of(rows),
        max(1, int(SLICE / (ROW_COST * (problem.n + 50) * (problem.p + 1) ** 2))),
    )
    began = time.perf_counter() if max_seconds is not None else 0.0
    while True:
        status = core.run(*arguments)
        if status != core.GO_ON:
            return ENDINGS[status]
        ending = _pause(state, problem.n, began, max_seconds, progress)
        if ending is not None:
            return ending


def _large(
    problem: Problem,
    state: Array,
    rows: Array,
    floor: float,
    max_steps: int,
    max_seconds: float | None,
    progress: Progress | None,
) -> Ending:
    """One threaded pass an attempt; blocked QR in the polish, where the last digits are decided."""
    p, all_p = problem.p, problem.all_p
    trial = core.HEAD + all_p
    fresh = core.HEAD + 3 * all_p + 5 * p + 1 + (p + 1) ** 2
    began = time.perf_counter()
    while True:
        exact = state[core.PHASE] == core.POLISH
        linearised = problem.triangle(state[trial : trial + all_p].copy(), exact=bool(exact))
        state[fresh : fresh + len(linearised)] = linearised
        status = core.advance_once(
            address_of(state),
            p,
            all_p,
            problem.layout.free_address,
            float(problem.n),
            floor,
            float(max_steps),
            address_of(rows),
        )
        if status != core.GO_ON:
            return ENDINGS[status]
        ending = _pause(state, problem.n, began, max_seconds, progress)
        if ending is not None:
            return ending


def _close(problem: Problem, state: Array, row: Array, triangle: Array) -> None:
    """Write the trace's last row where the loop was left from outside."""
    p = problem.p
    row[:p] = state[core.HEAD : core.HEAD + problem.all_p][problem.free]
    row[p : 2 * p] = -2.0 / problem.n * (triangle[:p, :p].T @ triangle[:p, p])
    row[2 * p : 3 * p] = np.nan
    row[3 * p :] = state[core.RSS] / problem.n, state[core.DAMPING], 1.0


def _pause(state: Array, n: int, began: float, max_seconds: float | None, progress: Progress | None) -> Ending | None:
    """Between slices: tell how far it is, and end it where the time is over."""
    if progress is not None:
        progress(int(state[core.ATTEMPTS]), float(state[core.RSS]) / n)
    if max_seconds is not None and time.perf_counter() - began > max_seconds:
        return "time_over"
    return None
