"""Who runs in a race, and one run: the default lanes from the curvature at the answer, given ones checked and labelled.

Gradient descent on a parabola with curvatures from λmin to λmax is stable below lr = 2/λmax; with momentum its best
choice is lr = (2/(√λmax + √λmin))², momentum = ((√λmax − √λmin)/(√λmax + √λmin))² (Polyak 1964). A run that diverges
is a row of the table like any other. The L-BFGS of the default lanes takes one iteration a step and no line search.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.api import race_judging as judging
from katamuki.api.options import shown
from katamuki.api.race_judging import Course, Ran
from katamuki.api.solving import Solver, Stepping, batches_of, diagnosis, resolve, run_steps
from katamuki.errors import BoundsError
from katamuki.messages import Phrase
from katamuki.problem.batches import Dealt
from katamuki.records import Array, Lane, Reached, Trace
from katamuki.report.numbers import brief, grouped, plain
from katamuki.solvers import first_order_run, lbfgs
from katamuki.solvers.first_order import SGD, Adagrad, Adam, RMSprop
from katamuki.solvers.lbfgs import LBFGS
from katamuki.solvers.levenberg_marquardt import LevenbergMarquardt, minimise
from katamuki.solvers.linear import Linear

SAFE = 1.98  # of the 2 in 2/λmax: the largest learning rate that is not on the edge
CHUNK = 1_000_000  # steps of a thinned trace that are done again at a time, to see every error
Entry = tuple[str | Phrase, Solver]


def default_lanes(linear: bool, bends: Array) -> list[Entry]:
    """The lanes of a race that names none; ``bends`` (p,) are the curvature's eigenvalues, the least first."""
    low, high = math.sqrt(float(bends[0])), math.sqrt(float(bends[-1]))
    momentum = SGD(lr=(2.0 / (high + low)) ** 2, momentum=((high - low) / (high + low)) ** 2)
    best: Solver = Linear() if linear else LevenbergMarquardt()
    given: list[Entry] = [
        (_label(best), best),
        (Phrase("race.lane.lbfgs"), LBFGS(max_iter=1)),
        (Phrase("race.lane.descent", factor=f"{SAFE:g}"), SGD(lr=SAFE / high**2)),
        (Phrase("race.lane.momentum"), momentum),
    ]
    return given + [(_label(one), one) for one in (Adagrad(lr=0.5), RMSprop(lr=1e-3), Adam(lr=1e-3), Adam(lr=1e-2))]


def given_lanes(solvers: object, steps: int, linear: bool, free: Sequence[str]) -> list[Entry]:
    """The lanes that were asked for: names, records, or (label, name or record) pairs; doubles labelled apart."""
    if isinstance(solvers, str) or dataclasses.is_dataclass(solvers):  # one solver, where a list of them belongs
        raise BoundsError("E-USAGE", "race.one_solver", given=shown(solvers))
    if not isinstance(solvers, Iterable) or isinstance(solvers, Mapping):
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
        if one.name == "lr" and not (isinstance(solver, LBFGS) and value == one.default):
            parts.append(f"{value:.6g}")
        elif one.name != "steps" and value != one.default:
            parts.append(one.name if value is True else f"{one.name} {plain(value)}")
    return " ".join(parts)


def run_lane(label: str | Phrase, solver: Solver, course: Course, more: int = 0) -> Lane:
    """Run one lane, whatever becomes of it; ``more`` lanes after it have as good a claim to the time that is left."""
    left = None if course.ends is None else (course.ends - time.perf_counter()) / (1 + more)
    if isinstance(solver, Linear):
        return _closed(label, solver, course)
    if left is not None and left <= 0.0:
        return _waiting(label, solver, course)
    if isinstance(solver, LevenbergMarquardt):
        return _descent(label, solver, course, left)
    return _stepping(label, solver, course, left)


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
    params, index = found.rows[:, :p], np.arange(len(found.rows), dtype=np.int64)
    ran = Ran(params, index, judging.errors_of(params, course.answer), index, found.ending)
    return _judged(label, solver, course, ran, found.values, found.rss / problem.n, found.evaluations, {"lr": None})


def _stepping(label: str | Phrase, solver: Stepping, course: Course, left: float | None) -> Lane:
    """A rule of torch.optim, or L-BFGS, for the steps of the race."""
    problem = course.problem
    steps = min(course.steps, lbfgs.MOST) if isinstance(solver, LBFGS) else course.steps
    solver = dataclasses.replace(solver, steps=steps)
    if left is not None and steps > CHUNK:
        left /= 2.0  # the other half is for doing the steps of a thinned trace again
    batches = batches_of(solver, problem, course.seed)
    run = run_steps(solver, problem, problem.values, max_seconds=left, progress=course.progress, batches=batches)
    if run.ending == "interrupted":
        raise KeyboardInterrupt
    facts: dict[str, Any] = {"lr": solver.lr}
    if run.ending != "no_start":
        told = diagnosis(solver, problem, run, course.reference, batches)
        facts |= {"cycle": told.cycle, "diverged": told.state == "diverged", **told.facts}
    errors, at = _every_error(solver, course, run.trace, batches)
    ran = Ran(run.trace.params, run.trace.index, errors, at, run.ending)
    return _judged(label, solver, course, ran, run.values, float(run.trace.loss[-1]), run.evaluations, facts)


def _every_error(solver: Any, course: Course, trace: Trace, batches: Dealt | None) -> tuple[Array, NDArray[np.int64]]:
    """The errors and their steps; where the trace was thinned, its steps are done again and the telling ones kept."""
    steps = int(trace.index[-1])
    if steps == len(trace) - 1:
        return judging.errors_of(trace.params, course.answer), trace.index
    parts: list[tuple[Array, NDArray[np.int64]]] = []
    for first in range(1, steps + 1, CHUNK):
        part = first_order_run.window(solver, course.problem, trace, first, min(CHUNK, steps + 1 - first), batches)
        errors = judging.errors_of(part.params, course.answer)
        kept = judging.telling(errors, part.index, course.tolerances)
        kept = kept if first == 1 else kept[kept > 0]  # the row that two stretches share
        parts.append((errors[kept], part.index[kept]))
    return np.concatenate([one for one, _ in parts]), np.concatenate([at for _, at in parts])


def _judged(
    label: str | Phrase,
    solver: Solver,
    course: Course,
    ran: Ran,
    end: Array,
    loss: float,
    evaluations: int,
    facts: dict[str, Any],
) -> Lane:
    """The row of the table that a run makes; ``end`` (all_p,) is where it ended."""
    errors, at = ran.errors, ran.at
    taken = int(ran.index[-1])
    if ran.ending == "no_start" or bool(facts.get("diverged")) or not math.isfinite(loss):
        found = tuple(Reached(one, "never") for one in course.tolerances)
        became = _lost(facts, taken, ran.ending)
    else:
        found = tuple(judging.reached(errors, at, one, course.steps) for one in course.tolerances)
        became = judging.remark(ran, found, facts.get("cycle"), facts["lr"], course)
        if became[0] in ("going", "stalled", "cycle") and not course.linear and errors[-1] > max(course.tolerances):
            became = judging.elsewhere(course.problem, end, course.answer, course.reference.loss) or became
        if ran.ending == "time_over":
            became = ("cut", Phrase("race.cut", steps=grouped(taken), error=brief(float(errors[-1]), 2)), {})
    kept = judging.telling(errors, at, ())
    became_of, said, numbers = became
    params, error, path, along = _params(course, end), float(errors[-1]), at[kept], errors[kept]
    return Lane(label, solver, became_of, said, numbers, found, taken, evaluations, params, loss, error, path, along)


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
