"""How a first-order run ended, read from its trace: a cycle, on its way, diverged, or at the answer.

And, where it is not at the answer, what keeps it away: steps at the limit of stability
(:mod:`katamuki.solvers.first_order_stability`), a weight decay whose own minimum it rests at, Rprop's smallest step.
The reference is the caller's; no step is taken here. Source for cycles of divided gradients: Cohen et al. 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from katamuki.backends.native import address_of, function
from katamuki.records import Array, Cycle, Reference, State, Trace
from katamuki.solvers.digits import apart
from katamuki.solvers.first_order import ASGD, SGD, FirstOrder, Rprop
from katamuki.solvers.first_order_run import LOST
from katamuki.solvers.first_order_stability import about_stability, pull, rate_and_limit
from katamuki.solvers.first_order_steps import strided

__all__ = ["Diagnosis", "cosine_of", "diagnose", "find_cycle", "is_there", "rate_and_limit"]

REPEATS = 1e-3  # of lr: a parameter that comes back to this in two steps repeats itself
SWINGS = 1e-2  # of lr: a parameter that moves less than this from step to step stands still
ORBIT = 20  # steps that must repeat before it is called a cycle
STEADY = 0.1  # how much the swing may change from the first to the last of them
ROUNDING = 1e-9  # of a parameter's size: smaller swings are rounding or nearly so
DIGITS_MET = 1e-6  # of a parameter, or of a thousandth of its standard error: six digits are shared with the answer
COSINE_MET = 1e-9  # between residuals and any column of J: the gradient has vanished
DIGITS_ENOUGH = 1e-10  # where residuals vanish too, their cosine says nothing; ten shared digits do
AT_REST = 1e-6  # of the pull of weight decay: the gradient holds it to six digits
NEARER = 0.5  # of the loss above the minimum: a step that was so much nearer than the end was left again
FLOOR_MET = 0.01  # of the loss above the minimum: what a cycle's curvature says it is
EDGE = 0.5  # of the stability limit: from here on it is the limit that keeps a run away


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The state of a run, its cycle, and named numbers: see :func:`diagnose`."""

    state: State
    cycle: Cycle | None
    facts: Mapping[str, Any]


@function("int64(double*, int64, int64, int64, double)")
def last_unrepeated(params, stride, rows, p, tolerance):  # type: ignore[no-untyped-def]
    """The last row that some parameter has not come back to two rows later; −1 if there is none."""
    for row in range(rows - 3, -1, -1):
        for k in range(p):
            if not abs(params[(row + 2) * stride + k] - params[row * stride + k]) <= tolerance:
                return row
    return -1


@function("int64(double*, int64, int64, int64, int64, double, double)")
def last_unsteady(params, stride, first, rows, p, largest, tolerance):  # type: ignore[no-untyped-def]
    """The last row from ``first`` on whose largest swing is not ``largest`` to a tolerance; −1 if there is none."""
    for row in range(rows - 2, first - 1, -1):
        swing = 0.0
        for k in range(p):
            swing = max(swing, abs(params[(row + 1) * stride + k] - params[row * stride + k]))
        if not abs(swing - largest) <= tolerance:
            return row
    return -1


def diagnose(trace: Trace, solver: FirstOrder, reference: Reference | None) -> Diagnosis:
    """Say how a run ended.

    Parameters
    ----------
    trace : Trace
        The run; its last row is the result.
    solver : FirstOrder
        What ran.
    reference : Reference, optional
        The least-squares answer of the same problem and the curvature H there; without it no run is "converged".

    Returns
    -------
    Diagnosis
        State "cycle", "diverged", "converged" or "slow". Facts, each only where it has a meaning: ``cosine`` (the
        largest between residuals and a column of J), ``floor`` (the loss above the least-squares one), ``factor`` (of a
        cycle of half-width lr/2: ½ΣΣH with the signs of the swing, where times (lr/2)² it is that floor), ``stability``
        and ``stability_limit`` (largest eigenvalue at the end and what it must stay below, no unit), ``passed`` (the
        first step above the limit), ``zigzag`` (the first step after it that turns back, and the next one again),
        ``largest_lr`` (SGD, ASGD) and ``fastest_lr`` (SGD), ``step`` (before which it had diverged), ``key`` and
        ``values`` of a message. What keeps a run away, however many steps it takes: ``pulled`` (True: weight decay and
        gradient hold each other, so that it rests, or the middle of its cycle is, elsewhere), ``pull`` (True: it would
        come to that), ``smallest`` (the step that Rprop cannot go below), ``nearer`` (the step before which it was
        nearer than at its end, where steps at the stability limit led away again).

    Source
    ------
    Cohen et al. 2021, arXiv:2103.00065; Cohen et al. 2022, arXiv:2207.14484.

    Example
    -------
    >>> from katamuki.solvers.first_order import SGD
    >>> rows = np.arange(2000.0)[:, None] * -1e-6
    >>> slow = Trace(("a",), np.arange(2000), rows, rows[:, 0] + 1.0, rows * 0 + 1.0, rows * 0 - 1e-6)
    >>> diagnose(slow, SGD(lr=1e-6, steps=1999), None).state
    'slow'
    """
    facts: dict[str, Any] = {}
    acting = _fed_sums(solver) if "accumulated" in trace.extra else solver
    if acting is not None and reference is not None and math.isfinite(float(reference.curvature.sum())):
        facts |= about_stability(trace, acting, reference.curvature)
    loss = float(trace.loss[-1])
    if not math.isfinite(loss) or not all(map(math.isfinite, trace.params[-1].tolist())):
        return Diagnosis("diverged", None, facts | _divergence(trace, solver, facts))
    if reference is not None:
        facts["floor"] = loss - reference.loss
        facts["cosine"] = cosine_of(trace, reference)
    cycle = find_cycle(trace, solver)
    if cycle is not None:
        if reference is not None and any(pull(solver)) and _apart(cycle.middle, reference) > DIGITS_MET:
            facts["pulled"] = True
        if reference is not None:
            facts |= _factor(cycle, trace.names, solver.lr, reference, facts["floor"])
        return Diagnosis("cycle", cycle, facts)
    if loss > LOST * trace.loss[0] and loss >= trace.loss.max():
        return Diagnosis("diverged", None, facts | _divergence(trace, solver, facts))
    if reference is not None and is_there(trace, reference, facts["cosine"]):
        return Diagnosis("converged", None, facts)
    return Diagnosis("slow", None, facts | _what_keeps_it_away(trace, solver, reference, facts))


def _fed_sums(solver: FirstOrder) -> FirstOrder | None:
    """What acts where gradients add up: plain descent becomes momentum 1; of the others no limit is known."""
    if isinstance(solver, SGD) and solver.momentum == 0.0 and solver.weight_decay == 0.0:
        return replace(solver, momentum=1.0)
    return None


def find_cycle(trace: Trace, solver: FirstOrder) -> Cycle | None:
    """The cycle of period two at the end of a trace, if there is one.

    Every parameter repeats with period 2 to lr/1000 from step ``since`` to the end, at least one moves by more than
    lr/100 at each step, and the swing keeps its size to a tenth. Where steps are not measured in lr, as SGD's, the
    swing takes its place. Where only a swing that changes slowly lets parameters repeat so long, ``since`` is when it
    came within the tenth, if that was not later than halfway.
    """
    first = _last_gap(trace)
    rows, x = len(trace) - first, trace.params
    if rows < ORBIT + 3:
        return None
    before, here, one, two = x[-4:].tolist()
    swing = [abs(a - b) for a, b in zip(one, two, strict=True)]
    largest = max(swing)
    unit = solver.lr if solver.pace == "lr" else largest
    tolerance = REPEATS * unit
    if largest <= SWINGS * unit or all(a <= ROUNDING * abs(b) for a, b in zip(swing, two, strict=True)):
        return None
    if any(abs(a - b) > tolerance for a, b in zip(before + here, one + two, strict=True)):
        return None
    window, stride = strided(x[first:])
    start, p = address_of(window[0]), len(trace.names)
    begin = last_unrepeated(start, stride, rows, p, tolerance) + 1
    unsteady = last_unsteady(start, stride, begin, rows, p, largest, STEADY * largest)
    if unsteady >= 0:
        if 2 * (unsteady - begin) > rows - begin - 1:
            return None
        begin = unsteady + 1
    if rows - begin < ORBIT + 3:
        return None
    moving = next(k for k, size in enumerate(swing) if size > SWINGS * unit)
    low, high = (one, two) if one[moving] < two[moving] else (two, one)
    names = trace.names
    return Cycle(
        since=int(trace.index[first + begin]) + 1,
        low=dict(zip(names, low, strict=True)),
        high=dict(zip(names, high, strict=True)),
        middle={name: (a + b) / 2 for name, a, b in zip(names, low, high, strict=True)},
        half_width={name: size / 2 for name, size in zip(names, swing, strict=True)},
    )


def _factor(cycle: Cycle, names: tuple[str, ...], lr: float, reference: Reference, floor: float) -> dict[str, float]:
    """What times (lr/2)² is the loss above the minimum, if every parameter swings by lr/2: ½ΣΣH, its signs theirs."""
    if not cycle.swings_by(lr / 2.0):
        return {}
    signs = np.array([1.0 if cycle.high[name] > cycle.low[name] else -1.0 for name in names])
    factor = 0.5 * float(signs @ reference.curvature @ signs)
    return {"factor": factor} if abs(factor * (lr / 2.0) ** 2 - floor) <= FLOOR_MET * abs(floor) else {}


def _what_keeps_it_away(
    trace: Trace, solver: FirstOrder, reference: Reference | None, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Why more steps would not lead to the answer, where they would not, by the names that ``diagnose`` tells."""
    last = min(ORBIT, len(trace) - 1 - _last_gap(trace))
    if last < ORBIT or "accumulated" in trace.extra:
        return {}
    steps = np.abs(trace.step[-1 - last : -1])
    if isinstance(solver, Rprop):
        smallest = solver.step_sizes[0]
        return {"smallest": smallest} if bool((steps <= 1.001 * smallest).all()) else {}
    if any(pull(solver)):
        return {"pulled" if _rests(trace, solver, reference, steps) else "pull": True}
    if reference is None or "passed" not in facts or facts["stability"] < EDGE * facts["stability_limit"]:
        return {}
    row = int(np.argmin(trace.loss))
    if trace.loss[row] - reference.loss < NEARER * facts["floor"]:
        return {"nearer": int(trace.index[row]) + 1}
    return {}


def _rests(trace: Trace, solver: FirstOrder, reference: Reference | None, steps: Array) -> bool:
    """Whether the gradient holds weight decay, so that the last steps are 0 or nearly so."""
    joined, apart = pull(solver)
    params = trace.params[-1]
    pulls = np.abs((joined + apart) * params)
    if apart and not isinstance(solver, ASGD):
        return bool((steps <= AT_REST * solver.lr * pulls).all())
    bounds = AT_REST * pulls
    if reference is not None:
        bounds = np.maximum(bounds, COSINE_MET * np.sqrt(2.0 * reference.curvature.diagonal() * float(trace.loss[-1])))
    return bool((np.abs(trace.gradient[-1] + (joined + apart) * params) <= bounds).all())


def _divergence(trace: Trace, solver: FirstOrder, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Where it diverged, and the sentence that says what would not."""
    step = int(trace.index[-1]) + 1
    key = "first_order.diverged" if math.isfinite(trace.loss[-1]) else "first_order.overflow"
    values: dict[str, Any] = {"step": step, "lr": f"{solver.lr:g}", "lower": f"{float(f'{solver.lr / 10:.1g}'):g}"}
    largest = facts.get("largest_lr")
    if largest is not None and solver.lr >= largest:
        key += ".steady" if isinstance(solver, ASGD) else ".safe"
        power = 10.0 ** math.floor(math.log10(largest))
        values |= {"largest": f"{largest:#.5g}", "lower": f"{math.floor(largest / power) * power:.6g}"}
        if "fastest_lr" in facts:
            key += ".fastest"
            values["fastest"] = f"{facts['fastest_lr']:#.5g}"
    return {"step": step, "key": key, "values": values}


def cosine_of(trace: Trace, reference: Reference) -> float:
    """The largest |Jₖ·r| / (‖Jₖ‖ ‖r‖) at the end, with the reference's ‖Jₖ‖² = n Hₖₖ/2; MINPACK's gradient test."""
    loss, largest = float(trace.loss[-1]), 0.0
    for slope, bend in zip(trace.gradient[-1].tolist(), reference.curvature.diagonal().tolist(), strict=True):
        if bend > 0.0 and loss > 0.0:
            largest = max(largest, abs(slope) / math.sqrt(2.0 * bend * loss))
    return largest


def is_there(trace: Trace, reference: Reference, cosine: float, still: float = COSINE_MET) -> bool:
    """Whether the result is the reference to six digits and the gradient has vanished."""
    worst = _apart(dict(zip(trace.names, trace.params[-1].tolist(), strict=True)), reference)
    return worst <= DIGITS_MET and (cosine <= still or worst <= DIGITS_ENOUGH)


def _apart(params: Mapping[str, float], reference: Reference) -> float:
    """The largest distance from the answer, relative to the answer or to a thousandth of its standard error."""
    distances = (apart(value, reference.params[name], reference.stderr.get(name)) for name, value in params.items())
    return max(distances, default=0.0)


def _last_gap(trace: Trace) -> int:
    """The row from which on no step is missing."""
    if trace.index[-1] - trace.index[0] == len(trace) - 1:
        return 0
    return int(np.flatnonzero(np.diff(trace.index) != 1)[-1]) + 1
