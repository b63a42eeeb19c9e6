"""Training as PyTorch does it: forward, loss, ``zero_grad``, ``backward``, ``optim.step``, with a trace of every step.

The optimizers are those of ``torch.optim``, used directly; a solver's class name names one, its options are passed on.
A row of the trace is the state before a step: parameters, gradient, the step taken, the loss, and what the caller's
``watch`` says of the rule's memory (the divisors). Wide traces are thinned by the caller's choice of rows. Sums are
PyTorch's; nothing here chooses a step. Where steps take batches, a row holds loss and gradient of its step's batch, the
last one those of all rows. L-BFGS is stopped where its tolerances let nothing move any more. A step that Ctrl-C cuts is
dropped.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.torch_ import Place, library, threads
from katamuki.backends.torch_.models import Model, split, tensor
from katamuki.errors import BackendError
from katamuki.records import Array

PROGRESS = 0.05  # seconds between two calls of the caller's ``progress``
Ending = Literal["steps_over", "still", "diverged", "not_finite", "interrupted", "time_over"]
# (params, gradient, step number) -> what the rule's memory adds to a row: divisors, or nothing
Watch = Callable[[Array, Array, int], Array | None]


@dataclass(frozen=True, slots=True)
class Task:
    """What is trained, on what, by whom.

    ``options`` are the optimizer's, ``defaults`` what they are where nobody says otherwise.
    ``start`` (all_p,) all parameters, ``free`` (p,) the places of those that move; ``limit`` the loss that ends a run
    unless a multiple of the first one, ``lost``, is larger; ``kept`` the steps whose rows the trace keeps; ``rows``
    tells which rows a step (from 0) takes, None: all.
    """

    model: Model
    columns: list[Array]
    y: Array
    weights: Array | None
    start: Array
    free: NDArray[np.int64]
    optimizer: str
    options: Mapping[str, Any]
    defaults: Mapping[str, Any]
    steps: int
    kept: NDArray[np.int64]
    place: Place
    loss: Any = None  # an nn.MSELoss, or the mean written out
    limit: float = np.inf
    lost: float = np.inf
    threads: int | None = None
    rows: Callable[[int], NDArray[np.int64]] | None = None


@dataclass(slots=True)
class Ended:
    """Where it ended: all parameters (all_p,), rows (kept + 1, 3p + 1), their steps, what ``watch`` said of each."""

    ending: Ending
    values: Array
    rows: Array
    index: NDArray[np.int64]
    watched: list[Array | None]
    steps: int
    evaluations: int
    seconds: float  # of the loop, nothing before or after it
    first: float  # the loss of all rows at the start


def _known(optimizer: Any, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that an older PyTorch does not have, where they say nothing."""
    names = inspect.signature(optimizer).parameters
    return {name: value for name, value in options.items() if name in names or value != defaults.get(name)}


class Training:
    """One run: its tensors, its loss, its optimizer."""

    def __init__(self, task: Task) -> None:
        torch = library()
        self.task, place = task, task.place
        own = not task.model.alike
        self.columns = [tensor(one, place, own=own) for one in task.columns]
        weights = None if task.weights is None else tensor(task.weights, place)
        self.all = task.model.inputs(self.columns), tensor(task.y, place), weights
        self.inputs, self.y, self.weights = self.all
        point = torch.from_numpy(task.start.copy()).to(device=place.device, dtype=getattr(torch, place.dtype))
        moving = np.zeros(len(task.start), dtype=bool)
        moving[task.free] = True
        self.tensors = [one.clone() for one in split(task.model, point)]
        self.leaves, self.held = [], []
        for one, block in zip(self.tensors, task.model.blocks, strict=True):
            mask = moving[block.place]
            if mask.any():
                one.requires_grad_()
                self.leaves.append(one)
            if mask.any() and not mask.all():
                still = torch.from_numpy(~mask.reshape(block.shape)).to(place.device)
                self.held.append((one, still, one.detach().clone()))
        self.scalars = place.device == "cpu" and all(one.dim() == 0 for one in self.leaves)
        beside = np.concatenate([moving[block.place] for block in task.model.blocks if moving[block.place].any()])
        self.inside = np.flatnonzero(beside)  # of the leaves' elements, those that move
        self.every = bool(beside.all())
        made = getattr(torch.optim, task.optimizer)
        self.optimizer = made(self.leaves, **_known(made, task.options, task.defaults))
        self.evaluations = 0

    def deal(self, rows: NDArray[np.int64] | None) -> None:
        """Go on with these rows alone, in their order; None: with all."""
        self.inputs, self.y, self.weights = self.all
        if rows is not None:
            chosen = library().from_numpy(rows).to(self.task.place.device)
            self.inputs = self.task.model.inputs([one[chosen] for one in self.columns])
            self.y = self.y[chosen]
            self.weights = None if self.weights is None else self.weights[chosen]

    def cost(self) -> Any:
        """The loss: the mean of w (ŷ − y)², as a tensor; y − ŷ would cost PyTorch a change of sign in every row."""
        if self.task.loss is not None:
            return self.task.loss(self._predicted(), self.y)
        if self.weights is None:
            return ((self._predicted() - self.y) ** 2).mean()
        return (self.weights * (self._predicted() - self.y) ** 2).mean()

    def _predicted(self) -> Any:
        """ŷ (n,); nobody keeps it longer than it is needed, which at many rows is a quarter of the time."""
        found = self.task.model.predict(self.inputs, self.tensors)
        return found.expand_as(self.y) if found.dim() == 0 else found

    def backward(self) -> Any:
        """Loss and gradients at the present parameters."""
        self.optimizer.zero_grad()
        loss = self.cost()
        loss.backward()
        for one, still, _ in self.held:
            one.grad.masked_fill_(still, 0.0)
        self.evaluations += 1
        return loss

    def step(self) -> None:
        """The optimizer's step; what is fixed stays, whatever weight decay does."""
        self.optimizer.step()
        self.put_back()

    def put_back(self) -> None:
        """The fixed elements of a tensor at their values."""
        torch = library()
        with torch.no_grad():
            for one, still, value in self.held:
                one.copy_(torch.where(still, value, one))

    def look(self) -> tuple[float, Array]:
        """Loss and gradient (p,) at the present parameters."""
        return float(self.backward().detach()), self.gradient()

    def look_at_all(self) -> tuple[float, Array]:
        """Those of all rows, whatever the last step took."""
        self.deal(None)
        return self.look()

    def before(self, step: int) -> tuple[float, Array]:
        """Loss and gradient before a step, on its rows; of an optimizer that looks first the step, too."""
        if self.task.rows is not None:
            self.deal(self.task.rows(step))
        return self.closure_step() if self.task.optimizer == "LBFGS" else self.look()

    def closure_step(self) -> tuple[float, Array]:
        """A step of an optimizer that looks at the loss itself; loss and gradient before it."""
        first: list[tuple[float, Array]] = []

        def closure() -> Any:
            loss = self.backward()
            if not first:
                first.append((float(loss.detach()), self.gradient()))
            return loss

        self.optimizer.step(closure)
        self.put_back()
        return first[0]

    def params(self) -> Array:
        """The free parameters (p,) as doubles."""
        return self._flat(self.leaves)

    def gradient(self) -> Array:
        """Their gradient (p,)."""
        return self._flat([one.grad for one in self.leaves])

    def go_to(self, values: Array) -> None:
        """Set the free parameters (p,)."""
        torch = library()
        whole = np.concatenate([one.detach().cpu().double().numpy().reshape(-1) for one in self.leaves])
        whole[self.inside] = values
        parts = np.split(whole, np.cumsum([one.numel() for one in self.leaves])[:-1])
        with torch.no_grad():
            for one, part in zip(self.leaves, parts, strict=True):
                one.copy_(torch.from_numpy(part).reshape(one.shape))

    def _flat(self, tensors: list[Any]) -> Array:
        if self.scalars:
            return np.array([one.item() for one in tensors])
        torch = library()
        whole = torch.cat([one.detach().reshape(-1) for one in tensors]).to(device="cpu", dtype=torch.float64)
        found: Array = whole.numpy()
        return found if self.every else found[self.inside]


def train(
    task: Task,
    watch: Watch | None = None,
    max_seconds: float | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Ended:
    """Take the steps.

    Raises
    ------
    BackendError
        If ``torch.optim`` refuses the options.
    """
    with threads(task.threads, len(task.y)):
        try:
            run = Training(task)
        except (ValueError, TypeError) as error:
            raise BackendError("E-BACKEND", "torch.optimizer", name=task.optimizer, cause=str(error)[:200]) from error
        return _loop(run, watch, max_seconds, progress)


class Trace:
    """The rows that are kept, as they come."""

    def __init__(self, kept: NDArray[np.int64], p: int) -> None:
        self.rows = np.full((len(kept) + 1, 3 * p + 1), np.nan)
        self.watched: list[Array | None] = []
        self.marks: list[int] = []
        self._kept, self._p = iter(kept.tolist()), p
        self.wanted = next(self._kept, -1)

    def state(self, values: Array, loss: float, gradient: Array) -> None:
        """The state before a step, or at the end."""
        row, p = self.rows[len(self.marks)], self._p
        row[:p], row[p : 2 * p], row[2 * p : 3 * p], row[3 * p] = values, gradient, np.nan, loss

    def step(self, number: int, step: Array, said: Array | None) -> None:
        """The step that followed the state."""
        self.rows[len(self.marks), 2 * self._p : 3 * self._p] = step
        self.marks.append(number)
        self.watched.append(said)
        self.wanted = next(self._kept, -1)

    def drop(self, number: int) -> None:
        """Forget this step and those after it."""
        while self.marks and self.marks[-1] >= number:
            self.marks.pop()
        del self.watched[len(self.marks) :]


def _loop(
    run: Training, watch: Watch | None, max_seconds: float | None, progress: Callable[[int, float], None] | None
) -> Ended:
    """The loop of steps: look, record, step."""
    task = run.task
    trace = Trace(task.kept, len(task.free))
    began = told = time.perf_counter()
    values, loss, done, rested = run.params(), math.nan, 0, 0
    gradient = np.full(len(values), np.nan)
    limit, ending, alike = task.limit, "steps_over", task.rows is None
    first = math.nan if alike else run.look_at_all()[0]
    over = not alike and not math.isfinite(first)
    try:
        while True:
            last = over or done == task.steps
            loss, gradient = run.look_at_all() if last else run.before(done)
            if done == 0:
                first = loss if alike else first
                limit = max(limit, task.lost * first)
            fine = math.isfinite(loss) and loss <= limit
            if last or not fine:
                trace.state(values, *((loss, gradient) if alike or last else run.look_at_all()))
                break
            if done == trace.wanted:
                trace.state(values, loss, gradient)
            if task.optimizer != "LBFGS":
                run.step()
            after = run.params()
            said = None if watch is None else watch(values, gradient, done + 1)
            if done == trace.wanted:
                trace.step(done, after - values, said)
            rested = rested + 1 if task.optimizer == "LBFGS" and (after == values).all() else 0
            values, done = after, done + 1  # in one line, which Ctrl-C cannot part
            now = time.perf_counter()
            if progress is not None and now - told > PROGRESS:
                told = now
                progress(done, loss)
            over = max_seconds is not None and now - began > max_seconds
            if rested == 2:  # a third call would see what the second saw
                over, done = True, done - rested
                trace.drop(done)
        ending = "not_finite" if not math.isfinite(loss) else "diverged" if loss > limit else "steps_over"
        if ending == "steps_over" and done < task.steps:
            ending = "still" if rested == 2 else "time_over"
    except KeyboardInterrupt:
        ending = "interrupted"
        trace.drop(done)
        run.go_to(values)
        loss, gradient = run.look_at_all()
        trace.state(values, loss, gradient)
    seconds = time.perf_counter() - began
    found = task.start.copy()
    found[task.free] = values
    index = np.array([*trace.marks, done], dtype=np.int64)
    rows = trace.rows[: len(index)]
    return Ended(ending, found, rows, index, trace.watched, done, run.evaluations, seconds, first)  # type: ignore[arg-type]
