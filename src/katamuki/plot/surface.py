"""The numbers of a loss surface: the loss over one or two parameters, and where the run went on it.

The other free parameters are held (a slice), or fitted again at each point (a profile: in closed form where the model
is linear in them, variable projection; by Levenberg–Marquardt from the neighbouring point else). The rows are all
rows, or a seeded sample where a picture would cost too much, and then the picture says so. Sources: Golub & Pereyra
1973 (variable projection); Bates & Watts 1988, chapter 6 (profiles).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from katamuki.errors import BoundsError
from katamuki.graph import is_linear
from katamuki.plot.ran import Ran, answer, lowest, spread_of
from katamuki.problem import Problem
from katamuki.records import Array, Solution, Trace
from katamuki.solvers.levenberg_marquardt import minimise

Method = Literal["slice", "profile"]
Held = Literal["answer", "end", "start"]
Point = tuple[float, ...]

ACROSS, UP = 96, 72  # points of the grid
COARSE = 48, 36  # the same where a point costs a call of torch, or a longer fit
COARSEST = 24, 18
LINE = 401  # points where there is one parameter
BUDGET = 1e8  # rows × points of a slice: under half a second
FITTED = 4096  # rows that a profile is fitted to
ROW_COST, CALL, TORCH_CALL, ATTEMPTS = 4e-9, 6e-6, 3e-3, 8  # seconds per row and parameter², per call; calls per refit
SHORT, LONGEST = 2.0, 60.0  # seconds: a grid is made coarser from the first on, a profile refused from the second
REFITS = 50  # attempts of one refit
SAME = 1e-9  # of their size: values this near are one, and their difference is rounding
ROOM = 0.12  # of the picture, free at each side
HIGH = 30.0  # times the start's height above the answer: a path beyond is outside
WIDE = 4.0  # times what else there is to see: a larger ellipse does not set the scale


@dataclass(frozen=True, slots=True)
class Surface:
    """The loss over a grid.

    ``names`` are the parameters across and up, ``axes`` their values, ``loss`` (up, across) or (across,); ``lowest``
    is the least loss known on these rows; ``held`` the other free parameters of a slice, ``place`` where they were
    taken, ``fitted`` those of a profile; ``linear`` says that these are fitted in closed form, ``missed`` at how many
    points they are not converged. ``start``, ``end`` and ``answer`` are points, ``path`` (steps, 1 or 2) all states of
    the run, ``ellipse`` the covariance of the parameters shown; None where there is none. ``rows`` were summed of
    ``of_rows``.
    """

    names: tuple[str, ...]
    axes: tuple[Array, ...]
    loss: Array
    lowest: float
    method: Method
    held: Mapping[str, float]
    place: Held
    fitted: tuple[str, ...]
    linear: bool
    missed: int
    rows: int
    of_rows: int
    start: Point | None
    end: Point | None
    answer: Point | None
    path: Array | None
    ellipse: Array | None

    def inside(self, point: Sequence[float]) -> bool:
        """Whether a point lies in the picture."""
        return all(axis[0] <= x <= axis[-1] for axis, x in zip(self.axes, point, strict=True))


def surface(ran: Ran, of: Sequence[str] | None = None, method: Method = "slice") -> Surface:
    """The loss over the parameters ``of``, by default the first two free ones.

    Parameters
    ----------
    ran : Ran
        The run.
    of : sequence of str, optional
        One or two free parameters.
    method : "slice" or "profile"
        Hold the other free parameters, or fit them again at each point.

    Returns
    -------
    Surface
        Loss in the unit of y squared, parameters in their own.

    Raises
    ------
    BoundsError
        If a name is none of the free parameters, or the same twice.
    """
    claim = ran.solution
    names = chosen(claim, of, (1, 2))
    problem = ran.problem()
    try:
        found, at_lowest = answer(claim), lowest(claim)
        base, place = _base(ran, problem, found)
        places = [claim.free.index(name) for name in names]
        ends = _box(ran, names, places, found, at_lowest)
        rest = tuple(name for name in claim.free if name not in names)
        if not rest:
            method = "slice"  # nothing is held and nothing fitted again: the two are the same
        axes, less = _grid(ends, problem, method, len(rest))
        points = _points(axes)
        missed, linear = 0, False
        if method == "slice":
            full = np.tile(base, (len(points), 1))
            full[:, places] = points
            loss = less.losses(full)
        else:
            bounded = any(name in claim.bounds for name in rest)
            linear = not bounded and ran.graph is not None and is_linear(ran.graph, rest)
            loss, missed = _refit(less, names, axes, base, claim.bounds, linear)
        reference = float(less.losses(base[None, :])[0]) if found is not None else math.nan
        shape = tuple(len(axis) for axis in reversed(axes))
        return Surface(
            names=names,
            axes=axes,
            loss=loss.reshape(shape),
            lowest=_least(loss, reference),
            method=method,
            held=dict(zip(rest, (base[claim.free.index(name)] for name in rest), strict=True)),
            place=place,
            fitted=rest if method == "profile" else (),
            linear=linear,
            missed=missed,
            rows=less.n,
            of_rows=problem.n,
            **_looks(ran, places, found, names),
        )
    finally:
        problem.close()


def chosen(claim: Solution, of: Sequence[str] | None, count: tuple[int, int]) -> tuple[str, ...]:
    """The parameters to be shown, from ``count[0]`` to ``count[1]`` of them; refuses what names none of them."""
    if of is None:
        return claim.free[: count[1]]
    if not isinstance(of, (list, tuple)) or not all(isinstance(name, str) for name in of):
        raise BoundsError("E-USAGE", "plot.of.text", given=repr(of))
    names = tuple(of)
    for name in names:
        if name not in claim.params:
            raise BoundsError("E-USAGE", "plot.of.unknown", name=name, names=", ".join(claim.free))
        if name not in claim.free:
            raise BoundsError("E-USAGE", "plot.of.fixed", name=name, names=", ".join(claim.free))
    twice = next((name for k, name in enumerate(names) if name in names[:k]), None)
    if twice is not None:
        raise BoundsError("E-USAGE", "plot.of.twice", name=twice)
    if not count[0] <= len(names) <= count[1]:
        raise BoundsError("E-USAGE", "plot.of.count", given=", ".join(names), least=count[0], most=count[1])
    return names


def _base(ran: Ran, problem: Problem, found: Mapping[str, float] | None) -> tuple[Array, Held]:
    """Where the parameters that are not shown are held (p,): at the answer, else where the run ended, or began."""
    claim = ran.solution
    for place, values in (("answer", found), ("end", claim.params)):
        if values is not None:
            here = np.array([values[name] for name in claim.free], dtype=np.float64)
            if np.isfinite(here).all() and (place == "answer" or math.isfinite(problem.loss(here))):
                return here, place  # type: ignore[return-value]
    return problem.values[problem.free].astype(np.float64), "start"


def _looks(ran: Ran, places: list[int], found: Mapping[str, float] | None, names: tuple[str, ...]) -> dict[str, Any]:
    """Start, end, answer, path and ellipse in the parameters shown."""
    trace, spread = ran.trace, spread_of(ran.solution)
    path = None
    if trace is not None and ran.solution.solver != "linear":
        path = np.asarray(trace.params[:, places], dtype=np.float64)
    return {
        "start": None if path is None else tuple(path[0].tolist()),
        "end": None if path is None else tuple(path[-1].tolist()),
        "answer": None if found is None else tuple(found[name] for name in names),
        "path": path,
        "ellipse": None if spread is None else spread[np.ix_(places, places)],
    }


def _near(trace: Trace, at_lowest: float | None, tss: float) -> Array:
    """The states of a run that set the scale: finite, and not far above its start."""
    low = at_lowest if at_lowest is not None else float(trace.loss[np.isfinite(trace.loss)].min(initial=math.inf))
    high = HIGH * max(float(trace.loss[0]) - low, tss)
    with np.errstate(invalid="ignore"):
        near = np.isfinite(trace.params).all(axis=1) & (trace.loss - low <= high)
    near[0] = True
    return np.asarray(trace.params[near], dtype=np.float64)


def _box(
    ran: Ran, names: tuple[str, ...], places: list[int], found: Mapping[str, float] | None, at_lowest: float | None
) -> list[tuple[float, float]]:
    """The ends of each axis: path, start and answer lie inside, and one standard error where that is not far."""
    claim, spread = ran.solution, spread_of(ran.solution)
    path = None
    if ran.trace is not None and claim.solver != "linear":
        path = _near(ran.trace, at_lowest, claim.tss / claim.n)
    spans = []
    for name, place in zip(names, places, strict=True):
        values = [] if path is None else [float(path[:, place].min()), float(path[:, place].max())]
        if found is not None:
            values.append(found[name])
        spans.append((min(values or [claim.params[name]]), max(values or [claim.params[name]])))
    errors = [0.0] * len(places) if spread is None else np.sqrt(np.diag(spread))[places].tolist()
    there_is_more = any(high - low > SAME * max(abs(low), abs(high)) for low, high in spans)
    if there_is_more and all(error > WIDE * (high - low) for error, (low, high) in zip(errors, spans, strict=True)):
        errors = [0.0] * len(places)  # the path would be a dot in an ellipse of this size
    ends = []
    for name, (low, high), error in zip(names, spans, errors, strict=True):
        if found is not None and error > 0.0:
            reach = error if there_is_more else 3.0 * error
            low, high = min(low, found[name] - reach), max(high, found[name] + reach)  # noqa: PLW2901
        apart = high - low > SAME * max(abs(low), abs(high))
        room = ROOM * (high - low) if apart else abs(low) / 2 or 1.0
        bound = claim.bounds.get(name, (-math.inf, math.inf))
        ends.append((max(low - room, bound[0]), min(high + room, bound[1])))
    return ends


def _grid(
    ends: list[tuple[float, float]], problem: Problem, method: Method, rest: int
) -> tuple[tuple[Array, ...], Problem]:
    """The axes, and the problem on as many rows as a picture may cost."""
    line = len(ends) == 1
    grids: list[tuple[int, ...]] = [(LINE,), (LINE // 4,)] if line else [(ACROSS, UP), COARSE, COARSEST]
    if method == "profile":
        rows = min(problem.n, FITTED)
        one = rows * (rest + 1) ** 2 * ROW_COST + (CALL if problem.compiled else TORCH_CALL * (1.0 + rest / 5.0))
        spent = [math.prod(grid) * ATTEMPTS * one for grid in grids]
        counts = next((grid for grid, time in zip(grids, spent, strict=True) if time <= SHORT), grids[-1])
        if spent[-1] > LONGEST:
            points, minutes = math.prod(grids[-1]), math.ceil(spent[-1] / 60.0)
            raise BoundsError("E-USAGE", "plot.profile.long", count=rest, points=points, minutes=minutes)
    else:
        rows, counts = problem.n, grids[0 if problem.compiled else 1]
        rows = min(rows, int(BUDGET / math.prod(counts)))
    axes = tuple(np.linspace(low, high, count) for (low, high), count in zip(ends, counts, strict=True))
    return axes, _sampled(problem, rows)


def _sampled(problem: Problem, most: int) -> Problem:
    """The problem on a seeded sample of its rows, in their order; the problem itself where it has no more."""
    if problem.n <= most or getattr(problem.kernel, "whole", False):  # a whole model needs all of its rows
        return problem
    kept = np.sort(np.random.default_rng(0).choice(problem.n, most, replace=False))
    columns = [np.ascontiguousarray(one[kept]) for one in problem.columns]
    weights = None if problem.weights is None else np.ascontiguousarray(problem.weights[kept])
    values = dict(zip(problem.names, problem.values.tolist(), strict=True))
    y = np.ascontiguousarray(problem.y[kept])
    return type(problem)(problem.kernel, columns, y, weights, values, problem.free_names)


def _points(axes: tuple[Array, ...]) -> Array:
    """All points of the grid (points, 1 or 2), the first parameter running fastest."""
    grids = np.meshgrid(*axes)
    return np.stack([one.ravel() for one in grids], axis=1)


def _least(loss: Array, reference: float) -> float:
    """The least loss known: of the grid, and at the answer."""
    known = [*loss[np.isfinite(loss)].tolist(), *([reference] if math.isfinite(reference) else [])]
    return min(known, default=math.nan)


def _refit(
    problem: Problem,
    names: tuple[str, ...],
    axes: tuple[Array, ...],
    base: Array,
    bounds: Mapping[str, tuple[float, float]],
    linear: bool,
) -> tuple[Array, int]:
    """The loss at each point with the rest fitted to it, from the neighbour's values; how many did not converge."""
    rest = tuple(name for name in problem.free_names if name not in names)
    begun = problem.full(base)
    values = dict(zip(problem.names, begun.tolist(), strict=True))
    free = type(problem)(problem.kernel, problem.columns, problem.y, problem.weights, values, rest, threads=1)
    limits = np.array([bounds.get(name, (-math.inf, math.inf)) for name in rest]).T
    where = [problem.names.index(name) for name in names]
    home = [int(np.argmin(abs(axis - values[name]))) for axis, name in zip(axes, names, strict=True)]
    ups, across = (axes[1], axes[0]) if len(axes) == 2 else (np.zeros(1), axes[0])
    solved = np.empty((len(ups), len(across), len(begun)))
    loss, missed = np.full((len(ups), len(across)), math.nan), 0
    for row, below in _outwards(len(ups), home[1] if len(axes) == 2 else 0):
        for column, beside in _outwards(len(across), home[0]):
            begins = [begun]
            if beside is not None:
                begins.insert(0, solved[row, beside])
            elif below is not None:
                begins.insert(0, solved[below, column])
            converged = False
            for begin in begins:
                here = begin.copy()
                here[where] = (across[column], ups[row])[: len(where)]
                descent = minimise(free, here, *limits, linear=linear, max_steps=1 if linear else REFITS)
                converged = descent.ending == "converged" or (linear and math.isfinite(descent.rss))
                if converged:
                    break
            missed += not converged
            loss[row, column] = descent.rss / free.n
            solved[row, column] = descent.values if np.isfinite(descent.values).all() else begun
    return loss.ravel(), missed


def _outwards(count: int, home: int) -> Iterator[tuple[int, int | None]]:
    """The places 0 to count − 1 from ``home`` outwards, each with the neighbour that came before it."""
    yield home, None
    for k in range(home + 1, count):
        yield k, k - 1
    for k in range(home - 1, -1, -1):
        yield k, k + 1
