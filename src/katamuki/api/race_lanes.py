"""Who runs in a race, and one run: the default lanes from the curvature at the answer, given ones checked and labelled.

Gradient descent on a parabola with curvatures from λmin to λmax is stable below lr = 2/λmax; with momentum its best
choice is lr = (2/(√λmax + √λmin))², momentum = ((√λmax − √λmin)/(√λmax + √λmin))² (Polyak 1964). A run that diverges
is a row of the table like any other. The L-BFGS of the default lanes takes one iteration a step and no line search.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.api import race_judging as judging
from katamuki.api.options import shown
from katamuki.api.solving import Solver, resolve
from katamuki.errors import BoundsError
from katamuki.messages import Phrase
from katamuki.plot.thinning import outline
from katamuki.problem import Problem
from katamuki.records import Array, Lane, Reached, Reference
from katamuki.report.numbers import grouped, plain
from katamuki.solvers import first_order_run
from katamuki.solvers.first_order import SGD, Adagrad, Adam, RMSprop
from katamuki.solvers.first_order_diagnosis import diagnose
from katamuki.solvers.levenberg_marquardt import LevenbergMarquardt, minimise
from katamuki.solvers.linear import Linear

SAFE = 1.98  # of the 2 in 2/λmax: the largest learning rate that is not on the edge
COLUMNS = 300  # of the logarithmic picture: of each, the extremes of the path are kept
Entry = tuple[str | Phrase, Solver]
Progress = Callable[[int, float], None]


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


def default_lanes(linear: bool, bends: Array) -> list[Entry]:
    """The lanes of a race that names none; ``bends`` (p,) are the curvature's eigenvalues, the least first."""
    low, high = math.sqrt(float(bends[0])), math.sqrt(float(bends[-1]))
    momentum = SGD(lr=(2.0 / (high + low)) ** 2, momentum=((high - low) / (high + low)) ** 2)
    best: Solver = Linear() if linear else LevenbergMarquardt()
    given: list[Entry] = [
        (_label(best), best),
        (Phrase("race.lane.descent", factor=f"{SAFE:g}"), SGD(lr=SAFE / high**2)),
        (Phrase("race.lane.momentum"), momentum),
    ]
    return given + [(_label(one), one) for one in (Adagrad(lr=0.5), RMSprop(lr=1e-3), Adam(lr=1e-3), Adam(lr=1e-2))]


def given_lanes(solvers: object, steps: int, linear: bool, free: Sequence[str]) -> list[Entry]:
    """The lanes that were asked for: names, records, or (label, name or record) pairs; doubles labelled apart."""
    if isinstance(solvers, str) or resolvable(solvers):
        raise BoundsError("E-USAGE", "race.one_solver", given=shown(solvers))
    if not isinstance(solvers, Iterable):
        raise BoundsError("E-USAGE", "race.no_list", given=shown(solvers))
    found: list[Entry] = []
    for one in solvers:
        label: str | Phrase | None = None
        solver: object = one
        if isinstance(one, tuple):
            if len(one) != 2 or not isinstance(one[0], str) or not one[0].strip():
                raise BoundsError("E-USAGE", "race.no_pair", given=shown(one))
            label, solver = one[0].strip(), one[1]
        made = resolve(solver)  # type: ignore[arg-type]  # it says what a solver is
        if made is None:
            made = Linear() if linear else LevenbergMarquardt()
        if isinstance(made, Linear) and not linear:
            raise BoundsError("E-USAGE", "api.not_linear", names=", ".join(free))
        _check_steps(made, steps)
        found.append((label or _label(made), made))
    if not found:
        raise BoundsError("E-USAGE", "race.no_lanes")
    return _apart(found)


def resolvable(solvers: object) -> bool:
    """Whether this is one solver, where a list of them belongs."""
    return dataclasses.is_dataclass(solvers)


def _check_steps(solver: Solver, steps: int) -> None:
    """A race has one clock: a solver's own steps= may only repeat it."""
    for one in dataclasses.fields(solver):
        own = getattr(solver, one.name)
        if one.name == "steps" and own not in (one.default, steps):
            raise BoundsError("E-USAGE", "race.own_steps", solver=type(solver).__name__, given=own, steps=steps)


def _apart(entries: list[Entry]) -> list[Entry]:
    """The same labels with numbers behind all but the first."""
    seen: dict[str | Phrase, int] = {}
    found: list[Entry] = []
    for label, solver in entries:
        count = seen[label] = seen.get(label, 0) + 1
        found.append((label if count == 1 else f"{label} ({count})", solver))
    return found


def _label(solver: Solver) -> str | Phrase:
    """``Adam 0.01``, ``SGD 0.01 momentum 0.9``: the learning rate, and the options that are not the defaults."""
    if isinstance(solver, (Linear, LevenbergMarquardt)):
        return Phrase("race.lane." + type(solver).__name__.lower())
    parts = [type(solver).__name__]
    for one in dataclasses.fields(solver):
        value = getattr(solver, one.name)
        if one.name == "lr":
            parts.append(f"{value:.6g}")
        elif one.name != "steps" and value != one.default:
            text = "/".join(map(plain, value)) if isinstance(value, tuple) else plain(value)
            parts.append(one.name if value is True else f"{one.name} {text}")
    return " ".join(parts)


def run_lane(label: str | Phrase, solver: Solver, course: Course) -> Lane:
    """Run one lane, whatever becomes of it."""
    left = None if course.ends is None else course.ends - time.perf_counter()
    if isinstance(solver, Linear):
        return _closed(label, solver, course)
    if left is not None and left <= 0.0:
        return _waiting(label, solver, course)
    if isinstance(solver, LevenbergMarquardt):
        return _descent(label, solver, course, left)
    return _first_order(label, solver, course, left)


def _closed(label: str | Phrase, solver: Linear, course: Course) -> Lane:
    """The closed form is the answer, and takes no steps."""
    found = tuple(Reached(one, "steady", 0) for one in course.tolerances)
    path, errors = np.zeros(1, dtype=np.int64), np.zeros(1)
    end = course.problem.full(course.answer)
    loss = course.reference.loss
    said = Phrase("race.exact")
    return Lane(label, solver, "exact", said, {}, found, 0, 2, _params(course, end), loss, 0.0, path, errors)


def _waiting(label: str | Phrase, solver: Solver, course: Course) -> Lane:
    """A lane whose turn never came."""
    start = course.problem.values
    errors = judging.errors_of(start[course.problem.free][None], course.answer)
    found = tuple(Reached(one, "never") for one in course.tolerances)
    path = np.zeros(1, dtype=np.int64)
    params = _params(course, start)
    rest = (params, math.nan, float(errors[0]), path, errors)
    return Lane(label, solver, "waiting", Phrase("race.waiting"), {}, found, 0, 0, *rest)


def _descent(label: str | Phrase, solver: LevenbergMarquardt, course: Course, left: float | None) -> Lane:
    """Levenberg–Marquardt; a step of the clock is an attempt."""
    problem, p = course.problem, course.problem.p
    limit = min(solver.max_steps, course.steps)
    found = minimise(problem, problem.values, max_steps=limit, max_seconds=left, progress=course.progress)
    if found.ending == "interrupted":
        raise KeyboardInterrupt
    index = np.arange(len(found.rows), dtype=np.int64)
    end, loss = found.values, found.rss / problem.n
    return _judged(
        label, solver, course, found.rows[:, :p], index, end, loss, found.evaluations, found.ending, {"lr": None}
    )


def _first_order(label: str | Phrase, solver: Any, course: Course, left: float | None) -> Lane:
    """A rule of torch.optim, for the steps of the race."""
    problem = course.problem
    solver = dataclasses.replace(solver, steps=course.steps)
    run = first_order_run.minimise(solver, problem, problem.values, max_seconds=left, progress=course.progress)
    if run.ending == "interrupted":
        raise KeyboardInterrupt
    trace = run.trace
    facts: dict[str, Any] = {"lr": solver.lr}
    if run.ending != "no_start":
        told = diagnose(trace, solver, course.reference)
        facts |= {"cycle": told.cycle, "diverged": told.state == "diverged", **told.facts}
    loss = float(trace.loss[-1])
    return _judged(
        label, solver, course, trace.params, trace.index, run.values, loss, run.evaluations, run.ending, facts
    )


def _judged(
    label: str | Phrase,
    solver: Solver,
    course: Course,
    params: Array,
    index: NDArray[np.int64],
    end: Array,
    loss: float,
    evaluations: int,
    ending: str,
    facts: dict[str, Any],
) -> Lane:
    """The row of the table that a run makes; ``params`` (rows, p) along the way, ``end`` (all_p,)."""
    errors = judging.errors_of(params, course.answer)
    taken = int(index[-1])
    lost = ending == "no_start" or bool(facts.get("diverged")) or not math.isfinite(loss)
    if lost:
        found = tuple(Reached(one, "never") for one in course.tolerances)
        became = _lost(facts, taken, ending)
    else:
        found = tuple(judging.reached(errors, index, one, course.steps) for one in course.tolerances)
        last = (course.steps, course.reference, course.answer)
        became = judging.remark(params, index, errors, found, facts.get("cycle"), facts["lr"], *last)
        if became[0] in ("going", "stalled", "cycle") and not course.linear and errors[-1] > max(course.tolerances):
            became = judging.elsewhere(course.problem, end, course.answer, course.reference.loss) or became
        if ending == "time_over" and became[0] == "going":
            became = ("cut", Phrase("race.cut", steps=grouped(taken)), {})
    kept = outline(np.log1p(index), errors, COLUMNS)
    became_of, said, numbers = became
    at, error, path, along = _params(course, end), float(errors[-1]), index[kept], errors[kept]
    return Lane(label, solver, became_of, said, numbers, found, taken, evaluations, at, loss, error, path, along)


def _lost(facts: dict[str, Any], taken: int, ending: str) -> judging.Became:
    """A run that left for infinity, or could not begin."""
    if ending == "no_start":
        return "no_start", Phrase("race.no_start"), {}
    step = grouped(taken + 1)
    largest = facts.get("largest_lr")
    if largest is not None and facts["lr"] >= largest:
        return "diverged", Phrase("race.diverged.safe", step=step, largest=f"{largest:#.5g}"), {"largest_lr": largest}
    return "diverged", Phrase("race.diverged", step=step), {}


def _params(course: Course, end: Array) -> dict[str, float]:
    return dict(zip(course.problem.names, end.tolist(), strict=True))
