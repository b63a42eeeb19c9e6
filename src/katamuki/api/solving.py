"""Which solver runs, and what it brought: one road for closed form, Levenberg–Marquardt and first-order rules."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from katamuki.api.claims import Answer, answer_of, descent_at, sharpen, without_rounding
from katamuki.api.options import Asked
from katamuki.api.refusing import refusal
from katamuki.api.values import Settings
from katamuki.errors import BoundsError
from katamuki.problem import Problem
from katamuki.problem.batches import Dealt
from katamuki.problem.distant import Distant
from katamuki.problem.large import LargeProblem
from katamuki.records import Array, Cycle, Reference, Search, SigmaIs, Solution, State, Trace
from katamuki.solvers import first_order_run, lbfgs, lbfgs_diagnosis, linear
from katamuki.solvers.first_order import FIRST_ORDER, FirstOrder
from katamuki.solvers.first_order_cycle import is_whole, since_when
from katamuki.solvers.first_order_diagnosis import Diagnosis, diagnose
from katamuki.solvers.first_order_noise import of_batches
from katamuki.solvers.lbfgs import LBFGS
from katamuki.solvers.levenberg_marquardt import Descent, LevenbergMarquardt, at_hand, minimise
from katamuki.solvers.linear import Linear

Stepping = FirstOrder | LBFGS
Solver = Linear | LevenbergMarquardt | Stepping
CLASSES: dict[str, type[Solver]] = {
    one.__name__.lower(): one for one in (Linear, LevenbergMarquardt, LBFGS, *FIRST_ORDER)
}
SHORT = {"lm": "levenbergmarquardt"}
LM = LevenbergMarquardt()
Loop = Callable[..., first_order_run.Run | lbfgs.Run]  # called like ``first_order_run.minimise``


@dataclass(slots=True)
class Run:
    """What a solver brought: an answer or how far it came, its state, and its trace (made when asked for)."""

    answer: Answer
    state: State
    solver: str
    options: Mapping[str, Any]
    steps: int
    evaluations: int
    trace: Callable[[], Trace]
    failure: str | None = None  # how it failed: no_start, steps_over, time_over, stalled, diverged, interrupted
    cycle: Cycle | None = None
    reference: Reference | None = None
    reason: Mapping[str, Any] = field(default_factory=dict)
    zero_grad: bool = True
    seconds: float = math.nan  # of the solver's own steps
    search: Search | None = None
    begin: Array | None = None  # all parameters where the trace begins, if not at the start that was given
    edges: tuple[str, ...] = ()  # parameters that stand on edges of the loss


def resolve(solver: str | Solver) -> Solver | None:
    """The solver that was asked for; ``None`` for ``"auto"``."""
    if isinstance(solver, str):
        if solver == "auto":
            return None
        name = SHORT.get(solver.lower(), solver.lower())
        if name in CLASSES:
            return CLASSES[name]()
    elif type(solver) in CLASSES.values():
        return solver
    raise refusal(solver, CLASSES)


def solver_of(solution: Solution) -> Solver:
    """The solver that brought a solution, with its options."""
    return CLASSES[solution.solver](**solution.options)


def solve(
    problem: Problem,
    is_linear: bool,
    chosen: Solver | None,
    said: Settings,
    sigma_is: SigmaIs | None,
    max_seconds: float | None,
    progress: Callable[[int, float], None] | None,
    accumulate: bool = False,
    loop: Loop | None = None,
    asked: Asked = Asked(),  # noqa: B008  immutable
    seen: Problem | None = None,
) -> Run:
    """Run the solver that was chosen, or the one that fits the problem.

    ``accumulate`` is for first-order solvers, as is ``loop``, which takes their steps in the place of the compiled one.
    ``seen`` is the problem as a compiled kernel, for the search, where ``problem`` is none.
    """
    lower, upper = _limits(said)
    if isinstance(chosen, Linear):
        if not is_linear:
            raise BoundsError("E-USAGE", "api.not_linear", names=", ".join(said.free))
        if said.given:
            raise BoundsError("E-USAGE", "api.linear_start")
    if isinstance(chosen, Linear) or (chosen is None and is_linear):
        run = _closed_form(problem, sigma_is)
        found = run.answer.values[problem.free]
        if not said.bounds or run.failure is not None or bool(((lower <= found) & (found <= upper)).all()):
            return run
        if isinstance(chosen, Linear):
            raise BoundsError("E-BOUNDS", "api.linear_bounds")
    if isinstance(problem, Distant) and (chosen is None or isinstance(chosen, LevenbergMarquardt)):
        return _of_distant(problem, is_linear, chosen or LM, said, sigma_is, max_seconds, progress, asked)
    if chosen is None or isinstance(chosen, LevenbergMarquardt):
        solver = chosen or LM
        at_hand(problem)
        from katamuki.api.searching import Task, answer  # a straight line needs none of it

        began = time.perf_counter()
        task = Task(problem, seen or problem, said, lower, upper, solver.max_steps, max_seconds, progress, began)
        outcome = answer(task, Asked() if is_linear else asked)
        seconds = time.perf_counter() - began
        options = {"max_steps": solver.max_steps}
        descent = without_rounding(problem, outcome.descent, said.bounds)
        run = _run_of(problem, descent, "levenbergmarquardt", options, sigma_is, bool(said.bounds))
        run.seconds, run.search, run.begin = seconds, outcome.search, outcome.begin
        return run
    return _stepping(problem, is_linear, chosen, said, sigma_is, max_seconds, progress, accumulate, loop, asked.seed)


def _of_distant(
    problem: Distant,
    is_linear: bool,
    solver: LevenbergMarquardt,
    said: Settings,
    sigma_is: SigmaIs | None,
    max_seconds: float | None,
    progress: Callable[[int, float], None] | None,
    asked: Asked,
) -> Run:
    """The sample is fitted as any problem in memory; from its answer all rows are descended."""
    from katamuki.api.distant_solving import begun, descend, from_given, holds

    began = time.perf_counter()
    if not problem.travelled and (problem.sample.n <= problem.p or asked.starts == 1):
        descent = from_given(problem, said, _limits(said), solver.max_steps, max_seconds, progress)
        options = {"max_steps": solver.max_steps}
        descent = without_rounding(problem, descent, said.bounds)
        run = _run_of(problem, descent, "levenbergmarquardt", options, sigma_is, bool(said.bounds))
        run.seconds = time.perf_counter() - began
        return run
    near = solve(problem.sample, is_linear, solver, said, sigma_is, max_seconds, progress, asked=asked)
    if near.failure in {"no_start", "interrupted", "time_over"}:
        problem.begin(near.answer.values)
        return near
    first = begun(problem, near.answer.values, _limits(said))
    if problem.placed and not holds(problem, first) and problem.redraw():
        near = solve(problem.sample, is_linear, solver, said, sigma_is, max_seconds, progress, asked=asked)
        first = near.answer.values
    left = None if max_seconds is None else max(max_seconds - (time.perf_counter() - began), 1e-9)
    descent, search = descend(
        problem, near.answer.values, first, near.search, _limits(said), solver.max_steps, left, progress
    )
    descent = without_rounding(problem, descent, said.bounds)
    run = _run_of(problem, descent, near.solver, near.options, sigma_is, bool(said.bounds))
    run.seconds, run.search, run.begin = time.perf_counter() - began, search, descent.rows[0, : problem.p]
    run.begin = problem.full(run.begin)
    return run


def _limits(said: Settings) -> tuple[Array | float, Array | float]:
    """Lower and upper bounds (p,) of the free parameters."""
    if not said.bounds:
        return -np.inf, np.inf
    pairs = [said.bounds.get(name, (-np.inf, np.inf)) for name in said.free]
    return np.array([low for low, _ in pairs]), np.array([high for _, high in pairs])


def _closed_form(problem: Problem, sigma_is: SigmaIs | None) -> Run:
    """Gauss–Newton from zero, and double-double where the condition asks for it."""
    at_hand(problem)
    began = time.perf_counter()
    found: linear.ExactAnswer | None = None
    if isinstance(problem, Distant | LargeProblem):
        from katamuki.api.distant_solving import linear_answer

        descent, found = linear_answer(problem)
    else:
        descent = minimise(problem, problem.full(0.0), linear=True, max_steps=1)
    seconds = time.perf_counter() - began
    run = _run_of(problem, without_rounding(problem, descent), "linear", {}, sigma_is, False)
    run.seconds = seconds
    if run.failure is not None and run.failure != "stalled":
        return run
    if problem.compiled and not run.answer.uncertainty.condition <= linear.CONDITION:
        found = linear.refine(problem)
    if found is not None:
        sharpen(problem, run.answer, found, sigma_is)
    run.failure = None
    run.state = "not_identifiable" if run.answer.combinations else "exact"
    run.steps = 0
    return run


def _run_of(
    problem: Problem, descent: Descent, solver: str, options: Mapping[str, Any], sigma_is: SigmaIs | None, bounded: bool
) -> Run:
    """A descent as a run."""
    answer = answer_of(problem, descent, sigma_is, bounded)
    state: State = "not_identifiable" if answer.combinations else "converged"
    failure = None if descent.ending == "converged" else descent.ending
    if failure is not None:
        state = {"no_start": "diverged", "interrupted": "interrupted"}.get(failure, "slow")  # type: ignore[assignment]
    trace = partial(_trace, problem.free_names, descent.rows)
    edges = tuple(problem.names[k] for k, _ in descent.edges)
    if edges and answer.combinations:  # what is open there has no least on either side to be compared
        edges, failure, state = (), "stalled", "slow"
    steps = len(descent.rows) - 1 - bool(edges)  # the step to an edge is no attempt
    return Run(answer, state, solver, options, steps, descent.evaluations, trace, failure, edges=edges)


def _trace(names: tuple[str, ...], rows: Array) -> Trace:
    p = len(names)
    return Trace(
        names=names,
        index=np.arange(len(rows), dtype=np.int64),
        params=rows[:, :p],
        loss=rows[:, 3 * p],
        gradient=rows[:, p : 2 * p],
        step=rows[:, 2 * p : 3 * p],
        extra={"damping": rows[:, 3 * p + 1], "accepted": rows[:, 3 * p + 2]},
    )


def run_steps(
    solver: Stepping,
    problem: Problem,
    start: Array,
    *,
    max_seconds: float | None = None,
    progress: Callable[[int, float], None] | None = None,
    accumulate: bool = False,
    batches: Dealt | None = None,
) -> first_order_run.Run | lbfgs.Run:
    """Take the steps of a solver of ``torch.optim`` from ``start`` (all_p,), compiled."""
    if isinstance(solver, LBFGS):
        return lbfgs.minimise(solver, problem, start, max_seconds=max_seconds, progress=progress)
    return first_order_run.minimise(
        solver, problem, start, max_seconds=max_seconds, progress=progress, accumulate=accumulate, batches=batches
    )


def batches_of(solver: Solver, problem: Problem, seed: int) -> Dealt | None:
    """The batches that a solver's steps take; None where every step takes all rows."""
    size = getattr(solver, "batch_size", None)
    return None if size is None else problem.batches(size, seed)


def diagnosis(
    solver: Stepping,
    problem: Problem,
    ended: first_order_run.Run | lbfgs.Run,
    reference: Reference | None,
    batches: Dealt | None = None,
) -> Diagnosis:
    """How such a run ended."""
    if isinstance(solver, LBFGS):
        return lbfgs_diagnosis.diagnose(ended.trace, solver, reference, ended.ending)
    if batches is not None and batches.per_epoch > 1 and isinstance(ended, first_order_run.Run):
        return of_batches(ended.trace, solver, reference, batches.per_epoch, ended.ending == "diverged")
    found = diagnose(ended.trace, solver, reference)
    if found.cycle is None or is_whole(ended.trace):
        return found
    return dataclasses.replace(found, cycle=since_when(solver, problem, ended.trace, found.cycle, batches))


def unmoved(
    solver: Stepping, ended: first_order_run.Run | lbfgs.Run, facts: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Why a run is none: the facts with a message, where it never left its start; a start is never a result."""
    if "key" in facts:
        return facts
    trace = ended.trace
    if (trace.params != trace.params[0]).any():
        return None
    slope = float(np.abs(trace.gradient[-1]).max())
    values = {"solver": type(solver).__name__, "loss": f"{trace.loss[-1]:.6g}", "slope": f"{slope:.3g}"}
    return {**facts, "key": "first_order.unmoved", "values": values}


def _stepping(
    problem: Problem,
    is_linear: bool,
    solver: Stepping,
    said: Settings,
    sigma_is: SigmaIs | None,
    max_seconds: float | None,
    progress: Callable[[int, float], None] | None,
    accumulate: bool,
    loop: Loop | None,
    seed: int,
) -> Run:
    """Take the solver's steps, then say how its end stands to the least-squares answer."""
    if said.bounds:
        raise BoundsError("E-BOUNDS", "api.first_order_bounds", solver=type(solver).__name__)
    if isinstance(problem, Distant):
        problem.begin(problem.values)
    batches = batches_of(solver, problem, seed)
    said_too = {} if batches is None else {"batches": batches}
    ended = (loop or run_steps)(
        solver, problem, problem.values, max_seconds=max_seconds, progress=progress, accumulate=accumulate, **said_too
    )
    finite = bool(np.isfinite(ended.values).all())
    reference = _reference(problem, is_linear, ended.values if finite else problem.values, sigma_is)
    found = diagnosis(solver, problem, ended, reference, batches)
    facts = found.facts
    state: State = "interrupted" if ended.ending == "interrupted" else found.state
    failure = {"interrupted": "interrupted", "diverged": "diverged"}.get(state)
    if state == "slow" and (said_why := unmoved(solver, ended, facts)):
        facts, failure = said_why, "stalled"
    if ended.ending == "no_start":
        state, failure = "diverged", "no_start"
    answer = answer_of(problem, descent_at(problem, ended.values), sigma_is, False)
    if state == "converged" and answer.combinations:
        state = "not_identifiable"
    return Run(
        answer,
        state,
        type(solver).__name__.lower(),
        {one.name: getattr(solver, one.name) for one in dataclasses.fields(solver)},
        ended.steps,
        ended.evaluations,
        lambda: ended.trace,
        failure,
        found.cycle,
        reference,
        facts,
        not accumulate,
        ended.seconds,
    )


def _reference(problem: Problem, is_linear: bool, near: Array, sigma_is: SigmaIs | None) -> Reference | None:
    """The least-squares answer: in closed form, or the minimum below the point that was reached."""
    if is_linear:
        answer = _closed_form(problem, sigma_is).answer
    else:
        descent = minimise(problem, near)
        if descent.ending != "converged":
            return None
        answer = answer_of(problem, descent, sigma_is, False)
    if not np.isfinite(answer.rss):
        return None
    params = dict(zip(problem.names, answer.values.tolist(), strict=True))
    errors = {n: e if e == e else None for n, e in zip(problem.free_names, answer.stderr.tolist(), strict=True)}  # noqa: PLR0124
    curvature = 2.0 / problem.n * (answer.triangle.T @ answer.triangle)
    return Reference(params, dict.fromkeys(problem.names) | errors, answer.rss / problem.n, curvature)
