"""What became of one run of a race: when it came within each tolerance for good, and the remark about its end.

The error of a step is the largest |value − answer| of a free parameter, in the unit of that parameter. Nothing here
takes a step, except that a run which ended elsewhere is followed down to the minimum below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.covariance import uncertainty
from katamuki.messages import Phrase
from katamuki.plot.thinning import outline
from katamuki.problem import Problem
from katamuki.records import Array, Cycle, LaneEnding, Reached, Reference
from katamuki.report.numbers import brief, grouped, number
from katamuki.report.race import power
from katamuki.solvers.levenberg_marquardt import EPSILON, minimise

STAY = 0.05  # of the race: so long within a tolerance, and out again, is unsteady; shorter visits are swings
COLUMNS = 300  # of the logarithmic picture: of each, the extremes of the path are kept
STILL = 0.05  # of the race: so long without any change is a standstill
BESIDE = 0.02  # of lr/2: farther from the answer, the middle of a cycle is beside it
ROUNDING = 1e-9  # of the answer's size: nearer than this, nothing is left to say about the distance
APART = 1e-6  # of a parameter: minima that differ by more are two

Progress = Callable[[int, float], None]
Became = tuple[LaneEnding, Phrase, Mapping[str, Any]]  # how a run ended, the sentence, the numbers behind it


@dataclass(frozen=True, slots=True)
class Course:
    """What every lane of a race shares: the problem, the answer to run to, the steps and the tolerances."""

    problem: Problem
    linear: bool
    reference: Reference
    answer: Array  # (p,) the reference's free parameters
    steps: int
    tolerances: tuple[float, ...]
    ends: float | None  # when the time is over, by time.perf_counter; None: never
    progress: Progress | None
    seed: int = 0  # of lanes that take mini-batches


@dataclass(frozen=True, slots=True)
class Ran:
    """A run: ``params`` (rows, p) after ``index`` (rows,) steps, ``errors`` (m,) after ``at`` (m,), and how it ended.

    ``errors`` hold every step, or every telling one (:func:`telling`); ``params`` may be thinned further.
    """

    params: Array
    index: NDArray[np.int64]
    errors: Array
    at: NDArray[np.int64]
    ending: str


def errors_of(params: Array, answer: Array) -> Array:
    """The error of each row (rows,) of parameters (rows, p); infinite where a parameter is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.abs(params - answer).max(axis=1)
    found[~np.isfinite(found)] = np.inf
    return np.asarray(found)


def reached(errors: Array, index: NDArray[np.int64], tolerance: float, steps: int) -> Reached:
    """When a run came within a tolerance, for good.

    Parameters
    ----------
    errors : (rows,) float64
        The error before each further step, unit of the parameters; the last is the result's.
    index : (rows,) int64
        The steps taken before each row.
    tolerance : float
        Unit of the parameters.
    steps : int
        The length of the race.

    Returns
    -------
    Reached
        Steady, unsteady or never.

    Example
    -------
    >>> index = np.arange(101)
    >>> reached(np.where(index < 7, 1.0, 0.0), index, 0.1, 100).step
    7
    >>> burst = reached(np.where((index < 7) | (index == 60), 1.0, 0.0), index, 0.1, 100)
    >>> burst.kind, burst.entered, burst.left
    ('unsteady', 7, 60)
    """
    outside = ~(errors < tolerance)
    rows = np.flatnonzero(outside)
    if not len(rows):
        return Reached(tolerance, "steady", int(index[0]))
    last = int(rows[-1])
    # stays within: between one row outside and the next, and before the first
    bounds = np.concatenate([[-1], rows])
    lengths = np.diff(bounds) - 1
    stays = np.flatnonzero(lengths > 0)
    long = [k for k in stays.tolist() if index[rows[k]] - index[bounds[k] + 1] >= max(1.0, STAY * steps)]
    if long:
        return Reached(tolerance, "unsteady", None, int(index[bounds[long[0]] + 1]), int(index[last]))
    if last == len(errors) - 1:
        return Reached(tolerance, "never")
    return Reached(tolerance, "steady", int(index[last + 1]))


def telling(errors: Array, index: NDArray[np.int64], tolerances: Sequence[float]) -> NDArray[np.int64]:
    """The rows that :func:`reached` and a picture need: both sides of every crossing of a tolerance, and extremes."""
    kept = [np.array([0, len(errors) - 1], dtype=np.int64), outline(np.log1p(index), errors, COLUMNS)]
    for one in tolerances:
        crossed = np.flatnonzero(np.diff(errors < one))
        kept += [crossed, crossed + 1]
    return np.unique(np.concatenate(kept))


def standstill(params: Array, index: NDArray[np.int64], steps: int) -> int | None:
    """The step since which no parameter changed, where that is a good part of the race; else None."""
    moved = np.flatnonzero((params[1:] != params[:-1]).any(axis=1))
    since = int(index[moved[-1] + 1]) if len(moved) else int(index[0])
    return since if int(index[-1]) - since >= max(1.0, STILL * steps) else None


def remark(ran: Ran, found: Sequence[Reached], cycle: Cycle | None, lr: float | None, course: Course) -> Became:
    """What to say of a run that ended at a finite point: how it ended, the sentence, and its numbers."""
    errors, last = ran.errors, float(ran.errors[-1])
    if cycle is not None:
        return _cycle(cycle, lr, course.reference)
    burst = next((one for one in found if one.kind == "unsteady"), None)
    if burst is not None:
        assert burst.entered is not None  # by its kind
        assert burst.left is not None
        peak = float(errors[ran.at >= burst.entered].max())
        facts = {"entered": burst.entered, "left": burst.left, "peak": peak}
        values = {"entered": grouped(burst.entered), "left": grouped(burst.left), "peak": brief(peak, 2)}
        return "unsteady", Phrase("race.unsteady", tolerance=power(burst.tolerance), **values), facts
    size = float(np.abs(course.answer).max()) or 1.0
    if last <= ROUNDING * size:
        said = Phrase("race.arrived", error=brief(last, 2)) if last else Phrase("race.there")
        return "arrived", said, {}
    since = int(ran.index[-1]) if ran.ending == "still" else standstill(ran.params, ran.index, course.steps)
    if since is not None:
        key = "race.stalled.tolerances" if ran.ending == "still" else "race.stalled"
        return "stalled", Phrase(key, error=brief(last, 2), step=grouped(since)), {"since": since}
    if found[-1].kind == "steady":
        return "arrived", Phrase("race.arrived", error=brief(last, 2)), {}
    return "going", Phrase("race.going", error=brief(last, 2), steps=grouped(int(ran.index[-1]))), {}


def _cycle(cycle: Cycle, lr: float | None, reference: Reference) -> Became:
    apart = max(abs(cycle.middle[name] - reference.params[name]) for name in cycle.middle)
    facts = {"since": cycle.since, "half_width": dict(cycle.half_width), "middle": dict(cycle.middle)}
    values = {"since": grouped(cycle.since), "width": brief(max(cycle.half_width.values()), 2)}
    if lr is not None and cycle.swings_by(lr / 2):
        values["width"] = brief(lr / 2, 2)
        near = apart <= BESIDE * lr / 2
        return "cycle", Phrase("race.cycle.lr" if near else "race.cycle.lr.beside", **values), facts
    return "cycle", Phrase("race.cycle", **values), facts


def elsewhere(problem: Problem, end: Array, answer: Array, loss: float) -> Became | None:
    """The minimum below ``end`` (all_p,), where it is another than the answer (p,) with its ``loss``; else None."""
    below = minimise(problem, end)
    params = below.values[problem.free]
    if below.ending != "converged" or not np.isfinite(params).all():
        return None
    size = np.maximum(np.abs(answer), np.abs(params))
    if not (np.abs(params - answer) > APART * size).any():
        return None
    there = below.rss / problem.n
    names = dict(zip(problem.free_names, params.tolist(), strict=True))
    said = " ".join(f"{name} {number(value)}" for name, value in names.items())
    facts = {"params": names, "loss": there}
    p = problem.p
    if uncertainty(below.triangle[:p, :p], below.rss, problem.n, False, None, None).rank < p:
        return "flat", Phrase("race.flat", params=said, loss=number(there)), facts
    rounding = EPSILON**2 * problem.tss_about_zero / problem.n
    kind = "same" if abs(there - loss) <= APART * loss + rounding else "lower" if there < loss else "higher"
    return "elsewhere", Phrase(f"race.elsewhere.{kind}", params=said, loss=number(there)), facts
