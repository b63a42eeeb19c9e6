"""How a first-order run ended, read from its trace: a cycle, on its way, diverged, or at the answer.

Close to the least-squares answer the loss is a parabola with curvature H, and a solver that divides gradients by d and
multiplies them by lr is stable as long as the largest eigenvalue of lr·diag(1/d)·H stays below a limit: 2 for plain
descent, 2(1 + β) with momentum β, 2(1 + β₁)/(1 − β₁) for Adam. RMSprop's divisor shrinks with the gradient until the
limit is reached, and there it stays, jumping to and fro by lr. Sources: Polyak 1964 (momentum); Cohen et al. 2021 and
2022 (the edge of stability, with momentum and for Adam). The reference is the caller's; no step is taken here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from katamuki.backends.native import function
from katamuki.records import Array, Cycle, Reference, State, Trace
from katamuki.solvers.first_order import SGD, Adam, FirstOrder
from katamuki.solvers.first_order_run import LOST

REPEATS = 1e-3  # of lr: a parameter that comes back to this in two steps repeats itself
SWINGS = 1e-2  # of lr: a parameter that moves less than this from step to step stands still
ORBIT = 20  # steps that must repeat before it is called a cycle
STEADY = 0.1  # how much the swing may change from the first to the last of them
ROUNDING = 1e-9  # of a parameter's size: smaller swings are rounding or nearly so
DIGITS_MET = 1e-6  # of a parameter, or of a thousandth of its standard error: six digits are shared with the answer
COSINE_MET = 1e-9  # between residuals and any column of J: the gradient has vanished
DIGITS_ENOUGH = 1e-10  # where residuals vanish too, their cosine says nothing; ten shared digits do
WORK = 2e8  # multiplications that the search for the stability limit may cost; beyond, that fact is left out


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


@function("int64(double*, int64, int64, int64, double*, double, double*)")
def first_unstable(scale, stride, rows, p, curvature, limit, work):  # type: ignore[no-untyped-def]
    """The first row at which limit·diag(scale) − H is not positive definite; −1 if there is none. ``work``: p².

    Positive definite means: all pivots of its LDLᵀ are positive (Golub & Van Loan 2013, section 4.2).
    """
    for row in range(rows):
        for j in range(p):
            for i in range(j, p):
                rest = -curvature[i * p + j]
                if i == j:
                    rest += limit * scale[row * stride + j]
                for k in range(j):
                    rest -= work[i * p + k] * work[j * p + k] / work[k * p + k]
                work[i * p + j] = rest
            if not work[j * p + j] > 0.0:
                return row
    return -1


@function("int64(double*, int64, int64, int64, int64)")
def first_zigzag(step, stride, first, rows, p):  # type: ignore[no-untyped-def]
    """The first row from ``first`` on whose step turns back in some parameter, and the next one again; −1 if none."""
    for row in range(first, rows - 1):
        for k in range(p):
            before, here = step[(row - 1) * stride + k], step[row * stride + k]
            if before * here < 0.0 and here * step[(row + 1) * stride + k] < 0.0:
                return row
    return -1


def diagnose(trace: Trace, solver: FirstOrder, reference: Reference | None) -> Diagnosis:
    """Say how a run ended.

    Parameters
    ----------
    trace : Trace
        The run; its last row is the result.
    solver : SGD, RMSprop or Adam
        What ran.
    reference : Reference, optional
        The least-squares answer of the same problem and the curvature H there; without it no run is "converged".

    Returns
    -------
    Diagnosis
        State "cycle", "diverged", "converged" or "slow". Facts, each only where it has a meaning: ``cosine`` (the
        largest between residuals and a column of J), ``floor`` (the loss above the least-squares one), ``stability``
        and ``stability_limit`` (largest eigenvalue at the end and what it must stay below, no unit), ``passed`` (the
        first step above the limit), ``zigzag`` (the first step after it that turns back, and the next one again),
        ``largest_lr`` and ``fastest_lr`` (SGD), ``step`` (before which it had diverged), ``key`` and ``values`` of a
        message.

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
        facts |= _about_stability(trace, acting, reference.curvature)
    loss = float(trace.loss[-1])
    if not math.isfinite(loss) or not all(map(math.isfinite, trace.params[-1].tolist())):
        return Diagnosis("diverged", None, facts | _divergence(trace, solver, facts))
    if reference is not None:
        facts["floor"] = loss - reference.loss
        facts["cosine"] = _cosine(trace, reference)
    cycle = find_cycle(trace, solver)
    if cycle is not None:
        return Diagnosis("cycle", cycle, facts)
    if loss > LOST * trace.loss[0] and loss >= trace.loss.max():
        return Diagnosis("diverged", None, facts | _divergence(trace, solver, facts))
    if reference is not None and _is_there(trace, reference, facts["cosine"]):
        return Diagnosis("converged", None, facts)
    return Diagnosis("slow", None, facts)


def _fed_sums(solver: FirstOrder) -> FirstOrder | None:
    """What acts where gradients add up: plain descent becomes momentum 1; of the others no limit is known."""
    if isinstance(solver, SGD) and solver.momentum == 0.0 and solver.weight_decay == 0.0:
        return replace(solver, momentum=1.0)
    return None


def find_cycle(trace: Trace, solver: FirstOrder) -> Cycle | None:
    """The cycle of period two at the end of a trace, if there is one.

    Every parameter repeats with period 2 to lr/1000 from step ``since`` to the end, at least one moves by more than
    lr/100 at each step, and the swing keeps its size. SGD's steps are not measured in lr: the swing takes its place.
    """
    first = _last_gap(trace)
    rows, x = len(trace) - first, trace.params
    if rows < ORBIT + 3:
        return None
    before, here, one, two = x[-4:].tolist()
    swing = [abs(a - b) for a, b in zip(one, two, strict=True)]
    largest = max(swing)
    unit = largest if isinstance(solver, SGD) else solver.lr
    tolerance = REPEATS * unit
    if largest <= SWINGS * unit or all(a <= ROUNDING * abs(b) for a, b in zip(swing, two, strict=True)):
        return None
    if any(abs(a - b) > tolerance for a, b in zip(before + here, one + two, strict=True)):
        return None
    window, stride = _strided(x[first:])
    begin = last_unrepeated(window.ctypes.data, stride, rows, len(trace.names), tolerance) + 1
    if rows - begin < ORBIT + 3:
        return None
    earlier = float(np.abs(window[begin + 1] - window[begin]).max())
    if abs(earlier - largest) > STEADY * largest:
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


def rate_and_limit(solver: FirstOrder) -> tuple[float, float]:
    """The learning rate that acts, and what it times the (divided) curvature must stay below."""
    if isinstance(solver, SGD):
        momentum = solver.momentum
        if solver.nesterov:
            return solver.lr, (2.0 + 2.0 * momentum) / (1.0 + 2.0 * momentum)
        return solver.lr * (1.0 - solver.dampening if momentum else 1.0), 2.0 * (1.0 + momentum)
    if isinstance(solver, Adam):
        beta = solver.betas[0]
        return solver.lr, 2.0 * (1.0 + beta) / (1.0 - beta)
    return solver.lr, 2.0 * (1.0 + solver.momentum)


def _about_stability(trace: Trace, solver: FirstOrder, curvature: Array) -> dict[str, Any]:
    """The stability at the end and where its limit was passed; for SGD the learning rates that these data allow."""
    p, steps = len(trace.names), len(trace) - 1
    if solver.weight_decay:
        curvature = curvature + solver.weight_decay * np.eye(p)
    rate, limit = rate_and_limit(solver)
    facts: dict[str, Any] = {"stability_limit": limit}
    if isinstance(solver, SGD):
        bends = np.linalg.eigvalsh(curvature)
        facts["stability"] = rate * float(bends[-1])
        if bends[-1] > 0.0 and rate > 0.0:
            facts["largest_lr"] = limit / float(bends[-1]) * solver.lr / rate
            if solver.momentum == 0.0 and bends[0] > 0.0:
                facts["fastest_lr"] = 2.0 / float(bends[0] + bends[-1])
        return facts
    if steps < 1:
        return {}
    scale, stride = _strided(trace.extra["scale"])
    last = scale[steps - 1]
    if not all(0.0 < one < math.inf for one in last.tolist()):
        return {}
    root = np.sqrt(rate / last)
    facts["stability"] = float(np.linalg.eigvalsh(curvature * (root[:, None] * root))[-1])
    if steps * (p**3 / 6 + p) > WORK:
        return facts
    curvature, work = np.ascontiguousarray(curvature), np.empty(p * p)
    pointers = (curvature.ctypes.data, limit / rate, work.ctypes.data)
    row = first_unstable(scale.ctypes.data, stride, steps, p, *pointers)
    if row >= 0:
        facts["passed"] = int(trace.index[row]) + 1
        step, stride = _strided(trace.step)
        turn = first_zigzag(step.ctypes.data, stride, max(row, 1), steps, p)
        if turn >= 0:
            facts["zigzag"] = int(trace.index[turn]) + 1
    return facts


def _divergence(trace: Trace, solver: FirstOrder, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Where it diverged, and the sentence that says what would not."""
    step = int(trace.index[-1]) + 1
    key = "first_order.diverged" if math.isfinite(trace.loss[-1]) else "first_order.overflow"
    values: dict[str, Any] = {"step": step, "lr": f"{solver.lr:g}", "lower": f"{solver.lr / 10:.1g}"}
    largest = facts.get("largest_lr")
    if largest is not None and solver.lr >= largest:
        key += ".safe"
        power = 10.0 ** math.floor(math.log10(largest))
        values |= {"largest": f"{largest:#.5g}", "lower": f"{math.floor(largest / power) * power:.6g}"}
        if "fastest_lr" in facts:
            key += ".fastest"
            values["fastest"] = f"{facts['fastest_lr']:#.5g}"
    return {"step": step, "key": key, "values": values}


def _cosine(trace: Trace, reference: Reference) -> float:
    """The largest |Jₖ·r| / (‖Jₖ‖ ‖r‖) at the end, with the reference's ‖Jₖ‖² = n Hₖₖ/2; MINPACK's gradient test."""
    loss, largest = float(trace.loss[-1]), 0.0
    for slope, bend in zip(trace.gradient[-1].tolist(), reference.curvature.diagonal().tolist(), strict=True):
        if bend > 0.0 and loss > 0.0:
            largest = max(largest, abs(slope) / math.sqrt(2.0 * bend * loss))
    return largest


def _is_there(trace: Trace, reference: Reference, cosine: float) -> bool:
    """Whether the result is the reference to six digits and the gradient has vanished."""
    worst = 0.0
    for name, value in zip(trace.names, trace.params[-1].tolist(), strict=True):
        answer, error = reference.params[name], reference.stderr.get(name)
        size = max(abs(answer), (error or 0.0) / 1000.0)
        apart = abs(value - answer)
        worst = max(worst, apart / size if size > 0.0 else math.inf if apart else 0.0)
    return worst <= DIGITS_MET and (cosine <= COSINE_MET or worst <= DIGITS_ENOUGH)


def _last_gap(trace: Trace) -> int:
    """The row from which on no step is missing."""
    if trace.index[-1] - trace.index[0] == len(trace) - 1:
        return 0
    return int(np.flatnonzero(np.diff(trace.index) != 1)[-1]) + 1


def _strided(array: Array) -> tuple[Array, int]:
    """An array (rows, p) whose rows are contiguous, and how many numbers apart they begin."""
    if array.dtype != np.float64 or array.strides[1] != array.itemsize or array.strides[0] % array.itemsize:
        array = np.ascontiguousarray(array, dtype=np.float64)
    return array, array.strides[0] // array.itemsize
