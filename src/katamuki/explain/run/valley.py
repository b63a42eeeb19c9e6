"""The valley that a run walks through: condition number, what centring a column would do, how long the rest would take.

Near the answer the loss is a parabola, L = L* + ½ Δᵀ H Δ; a condition number κ = λmax/λmin of H far from 1 is a long
narrow valley. Centring: x − x̄ in the place of x. Where the formula can express the same curve with other parameters
(a line can: b becomes b + a x̄; a·exp(−bx) can too), its curvature at those is computed exactly, by Gauss–Newton from
the answer; where it cannot (a·x without b), nothing is said. Sources: Golub & Van Loan 2013, section 2.6 (condition);
Goh 2017, "Why momentum really works" (the valley, direction by direction). Eigenvalues are left out for more than 200
parameters, centring for large data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from katamuki.backends import numpy_
from katamuki.explain.run.path import Path, rest_of_stretch
from katamuki.explain.subject import Subject
from katamuki.graph import derivative
from katamuki.records import Array, Trace
from katamuki.solvers.digits import unit
from katamuki.solvers.first_order_stability import scaled

MOST = 200  # parameters whose eigenvalues are computed
NARROW = 100.0  # a condition number from which there is a valley to speak of
HOPELESS = 1e14  # beyond it the smallest eigenvalue is rounding
STEEP_LEFT = 0.01  # of the excess loss may lie in the steep directions on the floor of the valley
STAYS = 10  # rows that must be so one after the other
PARABOLA = 0.2  # how far the parabola's loss may be off where it is said to be one
WORK = 4e6  # nodes × rows that centring may cost for an evaluation
SAME = 1e-9  # of y: two curves that agree to this are one
BETTER = 4.0  # centring is worth a word if the condition falls by this factor
SIX_DIGITS = 1e-6  # of a parameter, or of a thousandth of its standard error
LATE = 0.1  # of the run: its end, whose speed is taken for what comes

TOLERANCES: Mapping[str, float] = {
    "valley_condition": NARROW,
    "valley_steep_share": STEEP_LEFT,
    "valley_rows": STAYS,
    "valley_parabola": PARABOLA,
    "centring_helps_by": BETTER,
    "arrived_digits": SIX_DIGITS,
    "speed_over": LATE,
}


@dataclass(frozen=True, slots=True)
class Centring:
    """The condition number after ``columns`` are centred at their means."""

    columns: tuple[str, ...]
    means: tuple[float, ...]
    condition: float


@dataclass(frozen=True, slots=True)
class Rest:
    """Steps still to go: at least and at most.

    ``kind`` of the estimate: "part", from what a step takes of the slowest distance (``part``), to six digits; "speed",
    to six digits, and "lr", to within lr, from the speed and the rate of the last tenth of the run.
    """

    low: float
    high: float
    kind: str
    part: float | None


def eigenvalues(curvature: Array | None) -> tuple[Array, Array] | None:
    """Eigenvalues, ascending, and vectors of a curvature; None where there is none, it is not finite, or p is large."""
    if curvature is None or not 0 < len(curvature) <= MOST or not np.isfinite(curvature).all():
        return None
    values, vectors = np.linalg.eigh(curvature)
    return values, vectors


def condition(values: Array) -> float | None:
    """λmax/λmin; None where it is beyond what doubles can tell."""
    low, high = float(values[0]), float(values[-1])
    return high / low if low > 0.0 and high <= HOPELESS * low else None


def valley(path: Path, values: Array, vectors: Array, lowest: float, until: int) -> int | None:
    """The first row, before ``until``, on the floor of a narrow valley: under 1 % of the excess loss is steep.

    A direction, and its part of the loss, is steep if its eigenvalue is above the geometric mean of the largest and the
    smallest. None where there is no valley, where the run began on its floor, or where the loss is not the parabola's.
    On batches it must stay there for ``path.lasting`` steps: noise too lies along the floor now and then.
    """
    kappa = condition(values)
    if kappa is None or kappa < NARROW or path.best is None or len(path) < 3:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        along = (path.params - path.best) @ vectors
        parts = 0.5 * values * along * along
        excess = parts.sum(axis=1)
        steep = parts[:, values > math.sqrt(float(values[0]) * float(values[-1]))].sum(axis=1)
        floor = np.asarray(steep <= STEEP_LEFT * excess)
    if len(path) <= STAYS or floor[0]:
        return None
    stays = np.asarray(np.lib.stride_tricks.sliding_window_view(floor, STAYS).all(axis=1))
    stays &= path.loss[: len(stays)] < path.loss[0]
    stays &= rest_of_stretch(path, floor)[: len(stays)] >= path.lasting
    if not stays.any():
        return None
    row = int(np.argmax(stays))
    if row >= until:
        return None
    real = float(path.loss[row]) - lowest
    if not abs(real - float(excess[row])) <= PARABOLA * abs(real) or not excess[row] > 0.0:
        return None
    return row


def centring(subject: Subject, params: Mapping[str, float], kappa: float) -> Centring | None:
    """The fewest columns whose centring helps: the condition of the same curve's curvature afterwards."""
    graph = subject.graph
    if graph is None or len(graph.nodes) * len(subject.y) > WORK:
        return None
    best: Centring | None = None
    for chosen in _subsets(graph.columns):
        means = {name: float(np.mean(subject.columns[name])) for name in chosen}
        after = _condition_at(subject, params, means)
        if after is None or not after * BETTER <= kappa:
            continue
        if best is None or after * BETTER <= best.condition:
            best = Centring(chosen, tuple(means.values()), after)
    return best


def _subsets(columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Each column by itself, then all of them."""
    few = columns[:4]
    yield from combinations(few, 1)
    if len(few) > 1:
        yield few


def _condition_at(subject: Subject, params: Mapping[str, float], means: Mapping[str, float]) -> float | None:
    """The condition of the curve through shifted columns; None where the formula cannot make the same curve."""
    assert subject.graph is not None  # by centring()
    graph = derivative(subject.graph)
    free = subject.solution.free
    places = [1 + graph.parameters.index(name) for name in free]
    root = np.ones(len(subject.y)) if subject.weights is None else np.sqrt(subject.weights)
    wanted = numpy_.evaluate(graph, subject.columns, params)[0]
    shifted = {name: column - means.get(name, 0.0) for name, column in subject.columns.items()}
    here = dict(params)
    size = SAME * (float(np.abs(wanted).max()) or 1.0)
    for _ in range(20):
        found = numpy_.evaluate(graph, shifted, here)
        jacobian = np.column_stack([found[k] for k in places])
        gap = wanted - found[0]
        if not (np.isfinite(gap).all() and np.isfinite(jacobian).all()):
            return None
        if float(np.abs(gap).max()) <= size:
            weighted = jacobian * root[:, None]
            return condition(np.asarray(np.linalg.eigvalsh(weighted.T @ weighted), dtype=np.float64))
        step = np.linalg.lstsq(jacobian, gap, rcond=None)[0]
        for name, change in zip(free, step.tolist(), strict=True):
            here[name] += change
    return None


def rest(subject: Subject, path: Path, curvature: Array, stderr: Mapping[str, float | None]) -> Rest | None:
    """How many more steps of the same kind would bring six digits.

    For gradient descent and Adagrad: ln(distance/goal) / −ln ρ, if step size and divisor stay as they are; ρ is what a
    step leaves of the slowest direction: the larger root of z² − (1 + β − μ)z + β, where μ runs over the eigenvalues of
    step size × curvature and β is the momentum (Polyak 1964). Rules whose divisor shrinks with the gradient go on
    between two ways: at the speed of the last tenth of the run, or shrinking the distance by the same factor.
    RMSprop comes to within lr only.
    """
    solver, pace = subject.solution.solver, subject.solver.pace
    if path.best is None or path.away is None or len(path) < 10:
        return None
    last = path.away[-1]
    goals = SIX_DIGITS * np.array(
        [unit(best, stderr.get(name)) for name, best in zip(path.names, path.best, strict=True)]
    )
    if solver == "rmsprop":
        goals = np.maximum(goals, float(subject.solution.options["lr"]))
    far = last > goals
    if not far.any() or not (goals > 0.0).all():
        return None
    if pace == "slope":
        part = _slowest(subject, curvature)
        if part is None or not 0.0 < part < 1.0:
            return None
        steps = math.log(float((last / goals).max())) / -math.log1p(-part)
        return Rest(steps, steps, "part", part)
    if pace == "lr":
        before = int(np.searchsorted(path.index, path.index[-1] * (1.0 - LATE)))
        earlier = path.away[before][far]
        last, goals, taken = last[far], goals[far], int(path.index[-1] - path.index[before])
        if taken < 1 or not (earlier > last).all():
            return None
        speed = float(((last - goals) / (earlier - last)).max()) * taken
        rate = float((np.log(last / goals) / np.log(earlier / last)).max()) * taken
        return Rest(min(speed, rate), max(speed, rate), "lr" if solver == "rmsprop" else "speed", None)
    return None


def _slowest(subject: Subject, curvature: Array) -> float | None:
    """What a step of the kind at the end takes of the distance in the slowest direction: 1 − ρ."""
    options, scale = subject.solution.options, _last_scale(subject.trace)
    lr = float(options.get("lr", math.nan))
    momentum = float(options.get("momentum") or 0.0)
    lasting = not any(options.get(name) for name in ("weight_decay", "lr_decay", "maximize"))
    if not lasting or not 0.0 <= momentum < 1.0 or (subject.solution.solver != "sgd" and scale is None):
        return None
    rate = lr * (1.0 - float(options.get("dampening") or 0.0) if momentum else 1.0)
    found = eigenvalues(scaled(curvature, rate, np.ones(len(curvature)) if scale is None else scale))
    if found is None:
        return None
    bends = found[0]
    if momentum == 0.0:
        return float(1.0 - np.abs(1.0 - bends).max()) if bends[-1] >= 1.0 else float(bends[0])
    half, product = (1.0 + momentum - bends) / 2.0, np.full(len(bends), momentum)
    if options.get("nesterov"):
        half, product = (1.0 + momentum) * (1.0 - bends) / 2.0, momentum * (1.0 - bends)
    roots = np.abs(half[:, None] + np.sqrt((half**2 - product).astype(complex))[:, None] * [1.0, -1.0])
    return float(1.0 - roots.max())


def _last_scale(trace: Trace) -> Array | None:
    """The divisor of the last step, where the rule has one."""
    scale = trace.extra.get("scale")
    if scale is None or len(scale) < 2:
        return None
    last = np.asarray(scale[-2])
    return last if bool(((last > 0.0) & np.isfinite(last)).all()) else None
