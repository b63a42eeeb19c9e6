"""Fits that PyTorch computes: which solver runs, on what, and what it brought.

Converging solvers (closed form, Levenberg–Marquardt) see a problem whose values and Jacobian come from PyTorch, in
float64. First-order solvers are ``torch.optim``'s own, run by :mod:`katamuki.backends.torch_.loop`; the rule's memory
that stands in a trace (divisors) is recomputed by our rule from the gradients that PyTorch had. How a run ended is
judged in float64, whatever it ran in. A network has no least-squares answer to be compared with: its minima are many.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.api.claims import Answer, answer_of, descent_at
from katamuki.api.computing import Computing, check_range
from katamuki.api.options import Asked
from katamuki.api.plan import Plan
from katamuki.api.preparing import Prepared
from katamuki.api.solving import Run, Solver, batches_of, diagnosis, solve, unmoved
from katamuki.api.torch_plan import TorchPlan, table_of
from katamuki.backends.torch_ import Place, check_place, threads
from katamuki.backends.torch_.door import check_batch
from katamuki.backends.torch_.loop import Ended, Task, Training, Watch, train
from katamuki.backends.torch_.models import Formula, Model
from katamuki.backends.torch_.printing import source
from katamuki.covariance import Uncertainty
from katamuki.errors import BackendError, BoundsError
from katamuki.problem import Problem
from katamuki.problem.batches import Dealt
from katamuki.problem.tabulated import TabulatedProblem
from katamuki.records import Array, Solution, State, Trace
from katamuki.solvers import first_order_run
from katamuki.solvers.first_order_run import WHOLE, kept_steps
from katamuki.solvers.first_order_steps import FAR, LOST, recall
from katamuki.solvers.lbfgs import LBFGS
from katamuki.solvers.levenberg_marquardt import LevenbergMarquardt
from katamuki.solvers.linear import Linear

MOST = 1000  # parameters up to which there is a covariance
STILL = 1e-6  # cosine between residuals and any column of J: a network's gradient has vanished
CELLS = 50_000_000  # rows times parameters up to which that is looked at
OURS = ("steps", "batch_size")  # options that no optimizer of PyTorch has: its user's loop does
OUTER = 100  # steps of L-BFGS, each of up to 20 iterations, for a model of many parameters

Progress = Callable[[int, float], None] | None


def solve_by_torch(
    ready: Prepared, how: Computing, chosen: Solver | None, max_seconds: float | None, progress: Progress, asked: Asked
) -> Run:
    """Run the solver that was chosen, or the one that fits the model, with PyTorch."""
    plan, said, problem = ready.plan, ready.said, ready.problem
    check_place(Place(how.dtype, how.device))
    model: Model = plan.torch_model if isinstance(plan, TorchPlan) else _printed(plan)
    if plan.kind == "formula":
        check_range(how, {name: ready.columns.arrays[name] for name in plan.model.columns})
    many = problem.p > MOST
    if chosen is None and many:
        chosen = _for_many()
    if chosen is None or isinstance(chosen, Linear | LevenbergMarquardt):
        _check_converging(chosen, how, problem.p)
        tabled = problem
        if not isinstance(problem, TabulatedProblem):
            tabled = TabulatedProblem(
                table_of(model, how.device), problem.columns, problem.y, problem.weights, said.start, said.free
            )
        with threads(problem.threads, problem.n) if how.device == "cpu" else nullcontext():
            linear = plan.is_linear(said.free)
            seen = None if isinstance(problem, TabulatedProblem) else problem
            run = solve(tabled, linear, chosen, said, ready.weighing, max_seconds, progress, asked=asked, seen=seen)
        return _as_far_as_it_came(run) if plan.network else run
    loop = Loop(model, how)
    if plan.network or many:
        run = _without_reference(ready, loop, chosen, max_seconds, progress, asked.seed)
    else:
        linear = plan.is_linear(said.free)
        how_solved = (said, ready.weighing, max_seconds, progress)
        run = solve(problem, linear, chosen, *how_solved, loop=loop.minimise, asked=asked)
    return _why_not_finite(run, loop, problem, how)


def _printed(plan: Plan) -> Formula:
    """A formula as PyTorch computes it."""
    return Formula(plan.model.graph, source(plan.model.graph))


def _as_far_as_it_came(run: Run) -> Run:
    """A network's descent that found no minimum is no failure: it seldom finds one, and its predictions may serve."""
    if run.failure in {"steps_over", "stalled", "time_over"}:
        return dataclasses.replace(run, state="slow", failure=None)
    return run


def _for_many() -> Solver:
    """The solver of a model with more parameters than a Jacobian is worth."""
    return LBFGS(line_search_fn="strong_wolfe", steps=OUTER)


def _check_converging(chosen: Solver | None, how: Computing, p: int) -> None:
    """Closed form and Levenberg–Marquardt need digits, and room for the equations."""
    name = type(chosen or LevenbergMarquardt()).__name__
    if how.dtype != "float64":
        raise BackendError("E-BACKEND", "torch.needs_double", solver=name, dtype=how.dtype)
    if p > MOST:
        raise BoundsError("E-USAGE", "torch.too_many_for", solver=name, count=p, most=MOST)


class Loop:
    """First-order steps by PyTorch, called like :func:`katamuki.solvers.first_order_run.minimise`."""

    def __init__(self, model: Model, how: Computing) -> None:
        self.model, self.how = model, how
        self.ended: Ended | None = None

    def minimise(
        self,
        solver: Any,
        problem: Problem,
        start: Array,
        *,
        max_seconds: float | None = None,
        progress: Progress = None,
        accumulate: bool = False,
        batches: Dealt | None = None,
    ) -> first_order_run.Run:
        """Take the solver's steps from ``start`` (all_p,)."""
        assert not accumulate  # that experiment is made with the compiled rules
        p, place = problem.p, Place(self.how.dtype, self.how.device)
        if batches is not None and not self.model.alike:
            for step in sorted({0, batches.per_epoch - 1}):  # the last batch of an epoch may be smaller
                check_batch(self.model, problem.columns, start, batches.rows(step), place)
        times = 1.0 if batches is None else problem.n / batches.size  # a batch's mean by that of all rows, at most
        memory = Memory(solver, p) if p <= MOST and hasattr(solver, "rule") else None
        kept = _kept(solver.steps, (4 if memory is not None and solver.divides else 3) * p + 1)
        task = Task(
            model=self.model,
            columns=list(problem.columns),
            y=problem.y,
            weights=problem.weights,
            start=start.astype(np.float64),
            free=problem.free,
            optimizer=type(solver).__name__,
            options={one.name: getattr(solver, one.name) for one in dataclasses.fields(solver) if one.name not in OURS},
            defaults={one.name: one.default for one in dataclasses.fields(solver)},
            steps=solver.steps,
            kept=kept,
            place=place,
            loss=self.how.loss,
            limit=times * FAR * problem.tss_about_zero / problem.n,
            lost=times * LOST,
            threads=problem.threads,
            rows=None if batches is None else batches.rows,
        )
        watch: Watch | None = None if memory is None else memory.step
        ended = self.ended = train(task, watch, max_seconds, progress)
        trace = _trace(problem.free_names, ended, memory, len(kept) == solver.steps)
        ending: Any = ended.ending
        if ending in {"not_finite", "diverged"}:
            ending = "diverged" if ended.steps else "no_start"
        state = np.empty(0) if memory is None else memory.after(ended.steps)
        counts = (ended.steps, ended.evaluations, ended.seconds)
        return first_order_run.Run(ending, ended.values, state, trace, *counts)


def loss_at(plan: Plan, claim: Solution, problem: Problem, params: Array, rows: NDArray[np.int64]) -> float:
    """The loss of some rows at free parameters (p,), as PyTorch computes it in the numbers that a run was in."""
    model: Model = plan.torch_model if isinstance(plan, TorchPlan) else _printed(plan)
    data = (list(problem.columns), problem.y, problem.weights, problem.full(params), problem.free)
    run = Training(Task(model, *data, "SGD", {}, {}, 0, np.empty(0, np.int64), Place(claim.dtype, claim.device)))
    run.deal(rows)
    return run.look()[0]


class Memory:
    """Our rule's memory beside PyTorch's run: brought on by each gradient that PyTorch had."""

    def __init__(self, solver: Any, p: int) -> None:
        self.solver, self.p = solver, p
        self.state = np.zeros(solver.blocks * p)
        self.before, self.steps = self.state, 0
        self._options, self._work = solver.packed(), np.empty(2 * p)

    def step(self, params: Array, gradient: Array, number: int) -> Array:
        """The memory before this step; then it is brought on."""
        self.before = before = self.state.copy()
        along = (params.ctypes.data, self.p, gradient.ctypes.data, self.p, number - 1, 1, self.p)
        recall(
            self.solver.rule.address, *along, self.state.ctypes.data, self._options.ctypes.data, self._work.ctypes.data
        )
        self.steps = number
        return np.concatenate([before, self.state[-self.p :]])  # the divisor that the step used

    def after(self, steps: int) -> Array:
        """The memory after so many steps: all, or one less where the last one was cut."""
        return self.state if steps == self.steps else self.before


def _kept(steps: int, width: int) -> NDArray[np.int64]:
    """Which rows a trace keeps: as compiled runs do; of very wide ones fewer, ever further apart."""
    if WHOLE // (32 * width) >= 2:
        found = kept_steps(steps, width)
        if len(found) * width * 8 <= 2 * WHOLE:
            return found
    count = min(steps, max(2, WHOLE // (8 * width)))
    return np.unique(np.round(np.geomspace(1, steps, count)).astype(np.int64) - 1)


def _trace(names: tuple[str, ...], ended: Ended, memory: Memory | None, whole: bool) -> Trace:
    """The record of a run; the divisors and the memory of thinned traces stand beside it."""
    p, rows, extra = len(names), ended.rows, {}
    if memory is not None:
        solver, count = memory.solver, len(rows)
        seen = np.full((count, (solver.blocks + 1) * p), np.nan)
        for k, one in enumerate(ended.watched):
            seen[k] = one
        seen[-1, : solver.blocks * p] = memory.after(ended.steps)
        if solver.divides:
            extra["scale"] = seen[:, solver.blocks * p :]
        if not whole:
            extra["state"] = seen[:, : solver.blocks * p].copy()
    return Trace(names, ended.index, rows[:, :p], rows[:, 3 * p], rows[:, p : 2 * p], rows[:, 2 * p : 3 * p], extra)


def _without_reference(
    ready: Prepared, loop: Loop, solver: Any, max_seconds: float | None, progress: Progress, seed: int
) -> Run:
    """A run of a network, or of a model of many parameters: where it ended, and whether the gradient vanishes there."""
    problem, name = ready.problem, type(solver).__name__
    if ready.said.bounds:
        raise BoundsError("E-BOUNDS", "api.first_order_bounds", solver=name)
    batches = batches_of(solver, problem, seed)
    ended = loop.minimise(solver, problem, problem.values, max_seconds=max_seconds, progress=progress, batches=batches)
    found = diagnosis(solver, problem, ended, None, batches)
    facts = found.facts
    state: State = "interrupted" if ended.ending == "interrupted" else found.state
    failure = {"interrupted": "interrupted", "diverged": "diverged"}.get(state)
    if ended.ending == "no_start":
        state, failure = "diverged", "no_start"
    many = problem.p > MOST
    if many:
        answer = _bare(problem, ended.values)
    else:
        answer = answer_of(problem, descent_at(problem, ended.values), ready.weighing, False)
    if state == "slow" and problem.n * problem.p <= CELLS and _stands_still(problem, ended.values):
        state = "not_identifiable" if answer.combinations else "converged"
    if state == "slow" and (said := unmoved(solver, ended, facts)):
        facts, failure = said, "stalled"
    options = {one.name: getattr(solver, one.name) for one in dataclasses.fields(solver)}
    counts = (ended.steps, ended.evaluations, lambda: ended.trace)
    rest = (found.cycle, None, facts)
    return Run(answer, state, name.lower(), options, *counts, failure, *rest, seconds=ended.seconds)


def _bare(problem: Problem, values: Array) -> Answer:
    """An answer without error bars: no covariance is computed of so many parameters."""
    p, nothing = problem.p, np.empty((0, 0))
    rest = Uncertainty(np.array([float(max(problem.n - p, 0))]), 0, 0)
    return Answer(values, problem.rss(values), nothing, nothing, np.full(p, np.nan), rest, (), ())


def _stands_still(problem: Problem, values: Array) -> bool:
    """Whether the residuals are orthogonal to every column of J: MINPACK's gradient test."""
    assert isinstance(problem, TabulatedProblem)  # only models of torch come here
    table = problem.tabled.table(values, 0, problem.n, True)
    residuals = problem.y - table[0]
    slopes = table[1:][problem.free]
    if problem.root is not None:
        residuals, slopes = problem.root * residuals, problem.root * slopes
    size = np.linalg.norm(slopes, axis=1) * np.linalg.norm(residuals)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.abs(slopes @ residuals) / size
    if not slopes.any():
        return False  # nothing that it computes depends on a parameter: no place is better than another
    return bool(np.nan_to_num(cosine, nan=0.0, posinf=0.0).max(initial=0.0) <= STILL)


def _why_not_finite(run: Run, loop: Loop, problem: Problem, how: Computing) -> Run:
    """A run that ended at no number: whether float32 ended there, or PyTorch's gradient."""
    ended = loop.ended
    if ended is None or ended.ending != "not_finite":
        return run
    first = ended.rows[0]
    p = problem.p
    if math.isfinite(first[3 * p]) and not np.isfinite(first[p : 2 * p]).all():
        name = problem.free_names[int(np.argmax(~np.isfinite(first[p : 2 * p])))]
        return _failed(run, "torch.gradient_not_finite", name=name)
    if how.dtype == "float32" and np.isfinite(ended.values).all():
        loss = problem.rss(ended.values) / problem.n
        start = ended.first if ended.steps else math.inf
        if math.isfinite(loss) and loss <= max(LOST * start, FAR * problem.tss_about_zero / problem.n):
            return _failed(run, "torch.overflow_single", step=ended.steps + 1, loss=f"{loss:.3g}")
    return run


def _failed(run: Run, key: str, **values: object) -> Run:
    return dataclasses.replace(
        run, state="diverged", failure="diverged", reason={**run.reason, "key": key, "values": values}
    )
