"""``katamuki.race``: several solvers from one start on one clock, and when each came how near to the answer.

The answer is that of :func:`katamuki.fit` with its own solver: closed form, or Levenberg–Marquardt polished to the last
digits; :meth:`Race.check` judges it by another route. Every lane runs on the same problem. No lane is judged for being
a good fit: a race says who arrives when, not what to believe.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from katamuki.api import failures, race_lanes
from katamuki.api.computing import kind_of
from katamuki.api.elsewhere import refuse
from katamuki.api.entry import Missing, judged, solution_of
from katamuki.api.options import check_names, check_options, shown
from katamuki.api.preparing import Given, Prepared, prepare
from katamuki.api.race_judging import Course
from katamuki.api.result import Fit
from katamuki.api.solving import Solver, solve
from katamuki.errors import BackendError, BoundsError, NotConverged
from katamuki.messages import Phrase
from katamuki.records import Array, CheckReport, Lane, Reference, SigmaIs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 20_000
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-6)


@dataclass(frozen=True, slots=True)
class Race:
    """The result of :func:`katamuki.race`; printing it prints the table.

    Parameters
    ----------
    answer : Fit
        What the lanes run to: the least-squares answer.
    start : mapping
        Where they began, by name, unit of the parameter.
    steps : int
        The length of the race.
    tolerances : tuple of float
        How near counts, unit of the parameters, the widest first.
    eigenvalues : (p,) float64
        Curvatures of the loss at the answer, the least first, unit of the loss per unit of a parameter squared.
    lanes : tuple of Lane
        One run each: ``label``, ``solver``, ``reached``, ``ending``, ``remark``, ``steps``, ``evaluations``,
        ``params``, ``loss``, ``error``, and ``path`` with ``errors`` for a picture.
    seconds : float
        How long it took.

    Example
    -------
    >>> import katamuki as km
    >>> run = km.race("y ~ a*x + b", km.datasets("tutorial"), ["linear", km.RMSprop(lr=0.001)], steps=6000)
    >>> [(str(lane.label), lane.ending) for lane in run.lanes]
    [('closed form', 'exact'), ('RMSprop 0.001', 'cycle')]
    """

    answer: Fit
    start: Mapping[str, float]
    steps: int
    tolerances: tuple[float, ...]
    eigenvalues: Array
    lanes: tuple[Lane, ...]
    seconds: float

    @property
    def condition(self) -> float:
        """λmax/λmin of the curvature at the answer, no unit: how long and narrow its valley is."""
        return float(self.eigenvalues[-1] / self.eigenvalues[0])

    def check(self) -> CheckReport:
        """Judge the answer that the lanes run to, by the route of :meth:`Fit.check`.

        Example
        -------
        >>> import katamuki as km
        >>> km.race("y ~ a*x + b", km.datasets("tutorial"), ["linear"]).check().verdict
        'PASS'
        """
        return self.answer.check()

    def text(self, lang: str = "en", width: int = 80) -> str:
        """The table, one row a lane.

        Parameters
        ----------
        lang : str
            The language of the sentences.
        width : int
            Columns at most, where the texts allow it.

        Returns
        -------
        str
            Lines without a newline at the end.

        Example
        -------
        >>> import katamuki as km
        >>> print(km.race("y ~ a*x + b", km.datasets("tutorial"), ["linear"]).text().split("\\n")[0])
        y ~ a*x + b      response y, variable x, parameters a b  linear in a b
        """
        from katamuki.report import race as words

        return words.text(self, lang=lang, width=width)

    def to_dict(self, check: CheckReport | None = None, lang: str = "en") -> dict[str, Any]:
        """The race as plain data (schema ``katamuki.race/1``), NaN and infinity as None; codes do not depend on lang.

        Example
        -------
        >>> import katamuki as km
        >>> km.race("y ~ a*x + b", km.datasets("tutorial"), ["linear"]).to_dict()["lanes"][0]["ending"]
        'exact'
        """
        from katamuki.report import race as words

        return words.as_dict(self, check, lang)

    def plot(self, lang: str = "en") -> Figure:
        """The error of each lane against the steps, both logarithmic, as a matplotlib figure.

        Example
        -------
        >>> import katamuki as km
        >>> len(km.race("y ~ a*x + b", km.datasets("tutorial"), ["adam"], steps=100).plot().axes)
        1
        """
        from katamuki.plot import racing

        return racing.figure(self, self.answer.solution.formula, lang)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from katamuki.report import race as words

        return words.html(self)

    def __repr__(self) -> str:
        return f"<Race {self.answer.solution.formula!r}: {len(self.lanes)} lanes, {self.steps} steps>"


def race(
    model: str | Callable[..., object],
    data: object,
    solvers: Sequence[str | Solver | tuple[str, str | Solver]] | None = None,
    *,
    start: Mapping[str, float] | None = None,
    steps: int = STEPS,
    fixed: Mapping[str, float] | None = None,
    params: Sequence[str] | None = None,
    sigma: object = None,
    sigma_is: SigmaIs | None = None,
    weights: object = None,
    where: str | None = None,
    missing: Missing = "error",
    tolerances: Sequence[float] = TOLERANCES,
    seed: int = 0,
    max_seconds: float | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Race:
    """Race solvers from one start: when does each come within a distance of the least-squares answer, for good?

    The error of a step is the largest |value − answer| of a free parameter. A lane has *reached* a tolerance at the
    first step after which its error stays below it to the end of the race. Where it had stayed below for a twentieth of
    the race and left again, it is *unsteady*; else *never*.

    Parameters
    ----------
    model : str or function
        A formula or a NumPy function, as in :func:`katamuki.fit`.
    data : mapping, DataFrame, path or source
        Columns of n numbers each.
    solvers : sequence, optional
        Names (``"adam"``), records (``km.Adam(lr=0.01)``) or (label, either) pairs. Without it: the closed form or
        Levenberg–Marquardt, L-BFGS with one iteration a step, gradient descent at 1.98/λmax and with the best momentum,
        Adagrad 0.5, RMSprop 0.001, Adam 0.001 and 0.01; λ are the curvatures at the answer.
    start : mapping, optional
        Starting values by name, unit of the parameter; a parameter without one starts at 1.
    steps : int
        Steps of every lane; of Levenberg–Marquardt attempts.
    fixed, params, sigma, sigma_is, weights, where, missing : optional
        As in :func:`katamuki.fit`.
    tolerances : sequence of float
        How near counts, unit of the parameters.
    seed : int
        Deals the mini-batches of lanes with a ``batch_size``; each lane begins anew with it.
    max_seconds : float, optional
        For the whole race, shared by the lanes; those that are not through then are rows that say so.
    progress : function, optional
        Called between slices of a lane with its step and loss.

    Returns
    -------
    Race
        ``lanes`` in the order given, the answer, and the curvature there.

    Raises
    ------
    FormulaError, DataError, BoundsError
        As :func:`katamuki.fit`, and for lanes that cannot be meant.
    BackendError
        If the model is a module of PyTorch, whose minima are many.
    NotConverged
        If there is no one answer to run to, or after Ctrl-C; ``.race`` holds the lanes so far.

    Source
    ------
    Polyak 1964 for the best momentum.

    Example
    -------
    >>> import katamuki as km
    >>> start = {"a": 0.5, "b": 0.5}
    >>> run = km.race("y ~ a*x + b", km.datasets("tutorial"), [km.SGD(lr=0.01, momentum=0.9)], start=start)
    >>> [one.step for one in run.lanes[0].reached]
    [122, 197, 272, 496]
    """
    began = time.perf_counter()
    check_options(1, seed, None, None, max_seconds, progress)
    check_names(start, None, fixed, params)
    if kind_of(model, None) != "formula":
        raise BackendError("E-BACKEND", "race.module", given=type(model).__name__)
    near = _tolerances(tolerances)
    if not isinstance(steps, (int, np.integer)) or isinstance(steps, bool) or steps < 1:
        raise BoundsError("E-USAGE", "race.steps", given=shown(steps))
    ready = prepare(model, data, Given(start, None, fixed, params, sigma, sigma_is, weights, where, missing))
    refuse(ready.problem, "stream.what.race")
    try:
        return _run(ready, solvers, int(steps), near, seed, max_seconds, progress, began)
    finally:
        ready.problem.close()


def _run(
    ready: Prepared,
    solvers: object,
    steps: int,
    tolerances: tuple[float, ...],
    seed: int,
    max_seconds: float | None,
    progress: Callable[[int, float], None] | None,
    began: float,
) -> Race:
    """Find the answer, then run lane after lane; after Ctrl-C the race so far goes with the error."""
    free = ready.said.free
    linear = ready.plan.is_linear(free)
    given = None if solvers is None else race_lanes.given_lanes(solvers, steps, linear, free)
    answer, reference = _answer(ready, linear, seed, max_seconds)
    bends = np.asarray(np.linalg.eigvalsh(reference.curvature), dtype=np.float64)
    entries = race_lanes.default_lanes(linear, bends) if given is None else given
    best = np.array([reference.params[name] for name in free])
    ends = None if max_seconds is None else began + max_seconds
    course = Course(ready.problem, linear, reference, best, steps, tolerances, ends, progress, seed)
    start = {name: ready.said.start[name] for name in free}
    lanes: list[Lane] = []
    interrupted = False
    try:
        for label, solver in entries:
            lanes.append(race_lanes.run_lane(label, solver, course, len(entries) - len(lanes) - 1))
    except KeyboardInterrupt:
        interrupted = True
    found = Race(answer, start, steps, tolerances, bends, tuple(lanes), time.perf_counter() - began)
    if interrupted:
        error = NotConverged("E-INTERRUPTED", "race.interrupted", lanes=len(lanes), all=len(entries))
        error.race = found
        raise error
    return found


def _tolerances(given: object) -> tuple[float, ...]:
    """The tolerances, the widest first."""
    values = list(given) if isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str) else []
    good = [isinstance(one, (int, float, np.number)) and not isinstance(one, bool) for one in values]
    if not values or not all(good) or not all(0.0 < float(one) < math.inf for one in values):
        raise BoundsError("E-USAGE", "race.tolerances", given=shown(given))
    return tuple(sorted({float(one) for one in values}, reverse=True))


def _answer(ready: Prepared, linear: bool, seed: int, max_seconds: float | None) -> tuple[Fit, Reference]:
    """The fit that the lanes run to, also as the record that runs are compared with; an error where there is none."""
    problem = ready.problem
    run = solve(problem, linear, None, ready.said, ready.weighing, max_seconds, None)
    solution = solution_of(ready, run)
    if run.failure is None and run.answer.uncertainty.rank < problem.p:
        parts = run.answer.combinations
        what = failures.undetermined(parts[0]) if parts else Phrase("api.undetermined_group", names=list(solution.free))
        last = parts[0].names[-1] if parts else solution.free[-1]
        raise NotConverged("E-IDENT", "race.undetermined", what=what, last=last)
    fit = judged(ready.plan, problem, run, solution, ready.columns, seed)
    curvature = 2.0 / problem.n * (run.answer.triangle.T @ run.answer.triangle)
    return fit, Reference(solution.params, solution.stderr, solution.loss, curvature)
