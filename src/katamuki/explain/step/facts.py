"""From a fit to one of its steps: the state before it from the trace, the rest computed anew at that state.

First-order steps that a long trace left out are repeated exactly; the solver's memory is what its own rule makes of the
recorded gradients. Nothing here chooses a step, and nothing is a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from katamuki.errors import BoundsError
from katamuki.explain.graph.sketch import sketch_of
from katamuki.explain.graph.tape import Tape, opaque, predicted, record
from katamuki.explain.step import batch as batched
from katamuki.explain.step import curvature
from katamuki.explain.step import remarks as step_remarks
from katamuki.explain.step.attempt import attempt_at
from katamuki.explain.step.batch import narrowed
from katamuki.explain.step.differences import differences, losses_of, turns_of
from katamuki.explain.step.iterations import iterations_of
from katamuki.explain.step.record import Attempt, Differences, Helped, Iteration, Step, Update
from katamuki.explain.step.updates import Moved, blocks_of, update_of
from katamuki.explain.step.updates_moments import MAKERS, undecayed
from katamuki.explain.subject import Subject
from katamuki.messages import Listing
from katamuki.records import Array, Trace
from katamuki.report.numbers import grouped
from katamuki.solvers import first_order_run
from katamuki.solvers.first_order import FIRST_ORDER
from katamuki.solvers.lbfgs import LBFGS
from katamuki.solvers.levenberg_marquardt import LevenbergMarquardt


def step_of(subject: Subject, k: object) -> Step:
    """Step ``k`` of a run, counted from 1.

    Parameters
    ----------
    subject : Subject
        The fit.
    k : int
        Which step.

    Returns
    -------
    Step
        Its facts.

    Raises
    ------
    BoundsError
        If the run has no such step, or no steps at all.
    """
    claim = subject.solution
    if claim.solver == "linear":
        raise BoundsError("E-STEP", "step.closed_form")
    steps = int(subject.trace.index[-1])
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise BoundsError("E-STEP", "step.whole", given=repr(k))
    if steps < 1:
        raise BoundsError("E-STEP", "step.none")
    if not 1 <= k <= steps:
        raise BoundsError("E-STEP", "step.range", given=str(k), steps=grouped(steps))
    if claim.edges and k == steps:  # no rule made it
        raise BoundsError("E-STEP", "step.edge", given=grouped(steps), names=Listing([one.name for one in claim.edges]))
    return _Maker(subject, int(k)).step()


class _Maker:
    """Everything about one step, in the order in which it is needed."""

    def __init__(self, subject: Subject, k: int) -> None:
        self.whole, self.subject = subject, narrowed(subject, k)
        self.k = k
        self.claim = subject.solution
        self.free = subject.trace.names
        self.trace, self.row = self._rows()
        self.params = dict(self.claim.params) | self._named(self.trace.params[self.row])
        self.move = self._named(self.trace.step[self.row])
        self.gradient = self._named(self.trace.gradient[self.row])

    def _named(self, values: Array) -> dict[str, float]:
        return dict(zip(self.free, np.asarray(values, dtype=np.float64).tolist(), strict=True))

    def _rows(self) -> tuple[Trace, int]:
        """A trace that has the step's row and, for first-order rules, its memory; and which row it is."""
        trace, k = self.subject.trace, self.k
        place = int(np.searchsorted(trace.index, k - 1))
        kept = trace.index[place] == k - 1 and trace.index[place + 1] == k
        if not kept and self.claim.backend == "torch":  # only what computed a run can repeat it exactly
            before = max(place - 1, 0)
            near = [grouped(int(trace.index[at]) + 1) for at in (before, place)]
            raise BoundsError("E-STEP", "step.left_out", given=grouped(k), before=near[0], after=near[1])
        if isinstance(self.subject.solver, FIRST_ORDER):
            whole = self.whole
            return first_order_run.window(self.subject.solver, whole.problem(), trace, k, 1, whole.batches), 0
        return trace, place

    def step(self) -> Step:
        """The record, with its remarks."""
        claim, subject = self.claim, self.subject
        memory, after, updates = self._arithmetic()
        attempt = self._attempt()
        tape = self._tape([one.symbol for update in updates for one in update.equations])
        loss = float(self.trace.loss[self.row])
        new = self._named(self.trace.params[self.row + 1])
        loss_after = float(self.trace.loss[self.row + 1])
        if attempt is not None and not attempt.accepted:
            loss_after = loss - attempt.came / claim.n
        if subject.batches is not None:  # the trace goes on with another batch
            loss_after = batched.loss_after(self.whole, self.k, self.trace.params[self.row + 1])
        made = Step(
            number=self.k,
            steps=int(subject.trace.index[-1]),
            solver=claim.solver,
            options=claim.options,
            dtype=claim.dtype,
            formula=claim.formula,
            response=claim.response,
            n=len(subject.y),
            weighted=subject.weights is not None,
            before=self.params,
            after=self.params | new,
            free=self.free,
            loss=loss,
            loss_after=loss_after,
            tape=tape,
            gradient=self.gradient,
            left=self._left(),
            differences=self._differences(),
            memory=memory,
            memory_after=after,
            updates=updates,
            attempt=attempt,
            iterations=self._iterations(),
            helped=self._helped(loss, loss_after),
            remarks=(),
            batch=batched.batch_of(self.whole, self.k, *self.trace.params[self.row : self.row + 2]),
            subject=subject,
        )
        return replace(made, remarks=step_remarks.remarks(made, self.trace, self.row))

    def _tape(self, symbols: list[str]) -> Tape:
        subject = self.subject
        if subject.graph is None:
            prediction = predicted(subject, [self.params[name] for name in self.free])
            return opaque(prediction, subject.y, subject.weights, self.claim.response)
        sketch = sketch_of(subject.graph, self.claim.response, self.free, frozenset({"g", "p", "Δ", *symbols}))
        return record(sketch, subject.columns, subject.y, subject.weights, self.params)

    def _left(self) -> dict[str, float] | None:
        """What earlier steps left in the gradient, where gradients accumulate."""
        summed = self.trace.extra.get("accumulated")
        if summed is None:
            return None
        seen = self._named(summed[self.row])
        return {name: seen[name] - self.gradient[name] for name in self.free}

    def _arithmetic(self) -> tuple[Mapping[str, Any], Mapping[str, Any], tuple[Update, ...]]:
        """Memory before and after, and the equations, of a first-order rule."""
        solver = self.subject.solver
        if not isinstance(solver, FIRST_ORDER):
            return {}, {}, ()
        state = first_order_run.memory(solver, self.trace, self.k - 1)
        before = blocks_of(solver.memory, state, self.free)
        seen = self.trace.extra.get("accumulated", self.trace.gradient)[self.row]
        params, gradient = self.trace.params[self.row].copy(), np.ascontiguousarray(seen)
        start = params.copy()
        state = state.copy()
        solver.update(params, gradient, state, solver.packed(), len(self.free), float(self.k))
        after = blocks_of(solver.memory, state, self.free)
        name = type(solver).__name__.lower()
        names = {*self.claim.params, *self.claim.columns}
        left = undecayed(solver)
        updates = []
        for place, one in enumerate(self.free):
            moved = Moved(
                one,
                float(start[place]),
                float(gradient[place]),
                {block: before[block][one] for block in before},
                {block: after[block][one] for block in after},
                self.claim.options,
                self.k,
                float(start[place] * left - params[place]),
            )
            updates.append(update_of(name, moved, MAKERS, names))
        return before, after, tuple(updates)

    def _attempt(self) -> Attempt | None:
        if not isinstance(self.subject.solver, LevenbergMarquardt):
            return None
        return attempt_at(self.subject.problem(), self.trace, self.row)

    def _iterations(self) -> tuple[Iteration, ...]:
        """L-BFGS's iterations within the step; PyTorch keeps its own to itself."""
        solver, claim = self.subject.solver, self.claim
        if not isinstance(solver, LBFGS) or claim.backend == "torch":
            return ()
        problem = self.subject.problem()
        moves = int(self.trace.extra["inner"][self.row])
        return iterations_of(solver, problem, problem.full(self.subject.trace.params[0]), self.k, moves)

    def _differences(self) -> Differences | None:
        """The gradient by another road; models that are no formula have none."""
        subject = self.subject
        if subject.graph is None:
            return None
        slopes, summands = self._sizes()
        w = 1.0 if subject.weights is None else subject.weights
        size = math.sqrt(float((w * subject.y * subject.y).mean())) or 1.0
        losses = losses_of(subject.graph, subject.columns, subject.y, subject.weights, self.params, self.free)
        here, gradient = self.trace.params[self.row], self.trace.gradient[self.row]
        turns = turns_of(subject.graph, subject.columns, self.params, self.free)
        found = differences(losses, here, slopes, size, gradient, summands, self.free, turns)
        ulp = float(np.finfo(self.claim.dtype).eps)
        rounding = ulp * (len(subject.y) * summands + 2.0 * len(subject.graph.nodes) * slopes * size)
        return replace(found, rounding=self._named(rounding))

    def _sizes(self) -> tuple[Array, Array]:
        """For each free parameter the mean size of √w ∂f, and (2/n) Σ w |e ∂f|."""
        subject = self.subject
        assert subject.graph is not None  # by the caller
        return curvature.sizes(subject.graph, subject.columns, subject.y, subject.weights, self.params, self.free)

    def _helped(self, loss: float, loss_after: float) -> Helped:
        """Promise, bend and rest of the change; the distance to least squares."""
        subject = self.subject
        g, delta = np.array(list(self.gradient.values())), np.array(list(self.move.values()))
        promise = float(g @ delta)
        h, bend = None, None
        if subject.graph is not None:
            given = (subject.graph, subject.columns, subject.y, subject.weights, self.params)
            if len(self.free) <= curvature.MOST or self.claim.linear:
                h = curvature.hessian(*given, self.free, self.claim.linear)
                bend = 0.5 * float(delta @ h @ delta)
            else:
                bend = curvature.bend(*given, self.move)
        change = loss_after - loss
        rest = None if bend is None else change - promise - bend
        return Helped(change, promise, bend, rest, h, self._distance())

    def _distance(self) -> dict[str, tuple[float, float]] | None:
        """How far each free parameter is from least squares, before and after."""
        claim = self.claim
        if claim.reference is not None:
            answer: Mapping[str, float] = claim.reference.params
        elif claim.state == "converged":
            answer = claim.params
        else:
            return None
        after = self._named(self.trace.params[self.row + 1])
        return {name: (abs(self.params[name] - answer[name]), abs(after[name] - answer[name])) for name in self.free}
