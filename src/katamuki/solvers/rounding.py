"""How far rounding moves the parameters of a fit: measured, by rounding the data and the answer otherwise.

Doubles hold 53 bits. The data were rounded when they were read, every operation of the formula rounds, and what that
leaves of a parameter depends on formula and data: ``(x - m)**2`` with x near 1.7e9 cancels, ``x**10`` magnifies. Here
every number of the data, and every result of an operation of the formula and its derivatives, is moved by a unit in the
last place this way or that (seeded), and a Gauss–Newton step by QR is computed each time. At a minimum all steps are 0
but for rounding, so their scatter is what rounding makes of the parameters, and the step that the kernel takes there is
what the solver left undone. Where residuals are large beside the surface's bend a Gauss–Newton step goes only a part of
the way to the minimum, I − C of it (C is the factor of its linear convergence; Björck 1996, 9.2.2); that matrix comes
from steps at a thousandth of a standard error, and is divided out.

A closed form that was summed in double-double is solved again from each of the moved data. Of many rows a part is
moved, evenly spread, if it determines the parameters as the whole does. What is not seen: an error that is the same
however numbers are rounded, such as a constant typed with too few digits; the operations inside a model without a
graph; and weights, which are taken as exact. Source: Vignes 1993 (random rounding shows what rounding does).
"""

from __future__ import annotations

import math
from contextlib import closing
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from katamuki.backends import numpy_
from katamuki.backends.native import address_of
from katamuki.problem import SMALL, Problem, passes
from katamuki.records import Array
from katamuki.solvers import linear

PLACES = 6  # where the rounding is another
ROWS = 4096  # moved at most: of more, this many, evenly spread
ALIKE = 3.0  # times what all rows leave open of a parameter: a part of the rows that leaves more is not like them
SHORT = 2.0**10  # times a number that is whole then: a decimal fraction, rounded, never looks so
WHOLE = 2.0**42  # below it a double has room for ten binary places
NEAR = 1e-3  # standard errors, to see how much of the way a step goes
ABOVE = 1e3  # times the rounding: a distance at which a step is more than that
LEAST = 30.0  # times the rounding: nearer, a step is rounding, and so are residuals, beside which no step falls short
FAR = 0.3  # standard errors: the surface bends otherwise beyond
FEW = 3.0  # times the rounding: a step that may be rounding
NO_BAR = 1e-3  # of the residuals: moves no error bar
LOST = 0.1  # of a column: rounding that large leaves no column
OPEN = 1e-13  # a singular value of the scaled triangle this small is rounding
MOST = 64  # parameters for which I − C is worth its steps

Places = NDArray[np.int64]


class Model(Protocol):
    """A model at its answer."""

    def response(self, columns: list[Array]) -> Array:
        """y (n,) of these columns."""

    def problem(self, columns: list[Array], y: Array, weights: Array | None) -> Problem:
        """The problem of these rows, its values the answer."""

    def shaken(self, columns: list[Array], draw: np.random.Generator) -> Array | None:
        """f and its derivatives by all parameters (1 + all_p, n), every operation rounded otherwise; None: no graph."""

    def edges(self, columns: list[Array]) -> NDArray[np.bool_]:
        """The rows (n,) on an edge of the model, such as the corner of ``max``."""

    def noise(self, columns: list[Array], draw: np.random.Generator) -> Array:
        """By how much they move (1 + all_p, n) where only what double-double does not compute is rounded otherwise."""


def moved(
    model: Model,
    columns: list[Array],
    weights: Array | None,
    held: NDArray[np.bool_],
    *,
    closed: bool,
    sampled: bool = False,
) -> Array:
    """How far rounding moves each free parameter, and what the solver left undone: (p,), unit of the parameter.

    Parameters
    ----------
    model : Model
        Problems of its rows, and its formula.
    columns : list of (n,) float64
        What was read, the response's columns included.
    weights : (n,) float64 or None
        w of Σ w r².
    held : (p,) bool
        Parameters that stand at a bound: they are not moved, and have 0.
    closed : bool
        The formula is linear, and the answer its closed form.
    sampled : bool
        The columns are a sample, of which the answer is not the minimum: what was left undone is not seen.

    Returns
    -------
    (p,) float64
        Infinite or NaN where nothing could be evaluated beside the answer.

    Source
    ------
    Vignes 1993, Mathematics and Computers in Simulation 35, 233; Björck 1996, section 9.2.2.
    """
    loose, out = np.flatnonzero(~held), np.zeros(len(held))
    if not len(loose):
        return out
    with closing(model.problem(columns, model.response(columns), weights)) as whole, np.errstate(all="ignore"):
        here = _triangle(whole, whole.values)
        spread, _, condition = _spread(here, loose)
        problem = whole
        if whole.n > ROWS:
            rows = np.linspace(0, whole.n - 1, ROWS).astype(np.int64)
            few, weighing = [one[rows] for one in columns], None if weights is None else weights[rows]
            part = model.problem(few, model.response(few), weighing)
            open_there = _spread(_triangle(part, part.values), loose)[0] * math.sqrt(ROWS)
            if (open_there <= ALIKE * math.sqrt(whole.n) * spread).all():
                problem, columns, weights = part, few, weighing
        found = None
        if closed and whole.compiled and not condition <= linear.CONDITION:
            found = _closed(model, problem, columns, weights)
        if found is None:
            found = _stepped(model, whole, here, problem, columns, weights, loose, not closed, not sampled)
    out[loose] = found
    return out


def settled(problem: Problem, values: Array, held: NDArray[np.bool_]) -> bool:
    """Whether nothing is left to do but rounding, at a place (all_p,) where steps neither end nor shrink.

    The step still to go, in units of the residuals (Bates & Watts 1988, 2.2.3: the relative offset), is no more than a
    few times what rounding makes of it, and that is less than a thousandth: it moves no error bar.
    """
    loose, kernel = np.flatnonzero(~held), problem.kernel
    if not problem.compiled or not len(loose):
        return False
    rows = np.linspace(0, problem.n - 1, min(problem.n, ROWS)).astype(np.int64)
    columns, y = [one[rows] for one in problem.columns], problem.y[rows]
    weights = None if problem.weights is None else problem.weights[rows]
    given = dict(zip(problem.names, values.tolist(), strict=True))
    part = Problem(kernel, columns, y, weights, given, problem.free_names)
    draw, named = np.random.default_rng(0), dict(zip(kernel.columns, columns, strict=True)) or {"": y}
    with np.errstate(all="ignore"):
        triangles = [_triangle(problem, values), _triangle(part, values)]
        tables = [numpy_.shaken(kernel.derivative, named, given, draw) for _ in range(PLACES)]
        triangles += [_folded(y, table, part) for table in tables]
        if not np.isfinite(triangles).all() or min(triangles[0][0], triangles[1][0]) <= 0.0:
            return False
        steps, r = _steps(np.array(triangles), loose), [_square(one)[:-1, loose] for one in triangles[:2]]
        offset = float(np.linalg.norm(r[0] @ steps[0])) / math.sqrt(triangles[0][0])
        moves = np.linalg.norm(r[1] @ (steps[2:] - steps[1]).T, axis=0) / math.sqrt(triangles[1][0])
        noise = float(np.sqrt(np.mean(moves**2) * len(rows) / problem.n))
    return offset <= FEW * noise and noise <= NO_BAR


def _shaken(columns: list[Array], draw: np.random.Generator, meant: bool) -> list[Array]:
    """The data, each number a unit in its last place up, down, or where it was.

    With ``meant``, numbers that end in binary, such as whole ones, are taken as meant.
    """
    found = []
    for one in columns:
        unit = np.spacing(one) * (one != 0.0)
        if meant:
            unit[(one * SHORT == np.rint(one * SHORT)) & (np.abs(one) < WHOLE)] = 0.0
        found.append(one + unit * draw.integers(-1, 2, len(one), np.int8))
    return found


def _closed(model: Model, problem: Problem, columns: list[Array], weights: Array | None) -> Array | None:
    """The scatter of closed forms in double-double; of derivatives that are not, by what JᵀWr makes of it."""
    draw, here, found = np.random.default_rng(0), linear.refine(problem), []
    if here is None:
        return None
    table = problem.kernel.evaluate(problem.columns, problem.values, problem.n, want=True)
    residuals = (problem.y - table[0]) * (1.0 if weights is None else weights)
    for _ in range(PLACES):
        there = _shaken(columns, draw, meant=True)
        moved = model.noise(there, draw)
        one = linear.refine(model.problem(there, model.response(there) - moved[0], weights))
        if one is None or _lost(moved, table):
            return np.full(problem.p, math.inf)
        found.append(one.params - here.params + here.inverse @ (moved[1:][problem.free] @ residuals))
    return _size(np.array(found))


def _stepped(
    model: Model,
    whole: Problem,
    here: Array,
    problem: Problem,
    columns: list[Array],
    weights: Array | None,
    loose: Places,
    bends: bool,
    ends: bool,
) -> Array:
    """The scatter of Gauss–Newton steps about the answer, and the step from it where it ends there."""
    draw, triangles = np.random.default_rng(0), [here, here if problem is whole else _triangle(problem, problem.values)]
    first, edges = None, model.edges(columns)
    for _ in range(PLACES):
        there = _shaken(columns, draw, meant=False)
        y, table = model.response(there), model.shaken(there, draw)
        if table is None:
            other = model.problem(there, y, weights)
            triangles.append(_triangle(other, other.values))
            continue
        first = table if first is None else first
        table[1:, edges] = first[1:, edges]  # of either side, as rounding has it: no digit is lost by that
        if _lost(table - first, first):
            return np.full(len(loose), math.inf)
        triangles.append(_folded(y, table, problem))
    steps = _steps(np.array(triangles), loose)
    undone, scatter = steps[0] * ends, steps[2:] - steps[1]
    scatter = scatter[np.isfinite(scatter).all(axis=1)]
    if not len(scatter):
        return np.full(len(loose), math.inf)
    if bends and len(loose) <= MOST:
        share = _share(problem, triangles[1], loose, _size(scatter))
        try:
            undone, scatter = np.linalg.solve(share, undone), np.linalg.solve(share, scatter.T).T
        except np.linalg.LinAlgError:
            return np.full(len(loose), math.inf)
    return np.asarray(np.abs(undone) + _size(scatter))


def _lost(moved: Array, table: Array) -> bool:
    """Whether the model or a derivative is rounding: then the answer is one of another problem, whose steps agree."""
    return bool((np.linalg.norm(moved, axis=1) > LOST * np.linalg.norm(table, axis=1)).any())


def _folded(y: Array, table: Array, problem: Problem) -> Array:
    """rss and the triangle of [J, r], flat, from a table of values and derivatives."""
    rows = np.vstack([table[1:][problem.free], y - table[0]]).T
    if problem.root is not None:
        rows = rows * problem.root[:, None]
    q, out = problem.p + 1, np.zeros(1 + (problem.p + 1) ** 2)
    if not np.isfinite(rows).all():
        return np.full(len(out), math.nan)
    r = np.linalg.qr(rows, mode="r")
    out[1:].reshape(q, q)[: len(r)] = r
    return out


def _share(problem: Problem, here: Array, loose: Places, noise: Array) -> Array:
    """I − C (count, count): how much of the way to the minimum a step goes, from steps on both sides of it."""
    share, dof = np.eye(len(loose)), problem.n - len(loose)
    if dof < 1:
        return share
    spread, length, _ = _spread(here, loose)
    error = spread * math.sqrt(max(here[0], 0.0) / dof)
    width = np.maximum(NEAR * error, np.minimum(ABOVE * noise, FAR * error))
    seen = (width > 0.0) & (width > LEAST * noise) & (spread * length < 1.0 / OPEN)
    wide, found = np.flatnonzero(seen), []
    for j in wide:
        for sign in (-1.0, 1.0):
            there = problem.values.copy()
            there[problem.free[loose[j]]] += sign * width[j]
            found.append(_triangle(problem, there))
    if found:
        steps = _steps(np.array(found), loose)
        for j, before, after in zip(wide, steps[::2], steps[1::2], strict=True):
            slope = (before - after) / (2.0 * width[j])
            if np.isfinite(slope).all():
                share[:, j] = slope
    return share


def _triangle(problem: Problem, values: Array) -> Array:
    """rss and the triangle of [J, r], flat, by QR."""
    if not problem.compiled or problem.n > SMALL:
        return problem.triangle(values, exact=True)
    out, block, root = np.empty(1 + (problem.p + 1) ** 2), problem.block(), problem.root_address
    model = (problem.kernel.address, problem.columns_address, address_of(values), problem.y_address, root)
    layout = (problem.layout.free_address, problem.p, problem.layout.order_address)
    passes.qr_pass(*model, int(root != 0), 0, problem.n, *layout, address_of(block), address_of(out))
    return out


def _square(triangles: Array) -> Array:
    """The triangles (…, p + 1, p + 1) of flat ones."""
    q = math.isqrt(triangles.shape[-1])
    return triangles[..., 1:].reshape(*triangles.shape[:-1], q, q)


def _spread(triangle: Array, loose: Places) -> tuple[Array, Array, float]:
    """√diag (RᵀR)⁻¹ and the lengths of R's columns, (count,) each, and the condition of R with columns of length 1."""
    r = _square(triangle)[:-1, loose]
    length = np.linalg.norm(r, axis=0)
    length[length == 0.0] = 1.0
    if not np.isfinite(r).all():
        return np.full(len(loose), math.inf), length, math.inf
    _, singular, vectors = np.linalg.svd(r / length, full_matrices=False)
    return np.linalg.norm(vectors.T / singular, axis=1) / length, length, float(singular[0] / singular[-1])


def _steps(triangles: Array, loose: Places) -> Array:
    """Gauss–Newton steps (k, count) from triangles (k, 1 + (p+1)²); the shortest where columns depend on each other."""
    out = np.full((len(triangles), len(loose)), math.nan)
    fine = np.isfinite(triangles).all(axis=1)
    square = _square(triangles[fine])
    r = square[:, :-1, loose]
    length = np.linalg.norm(r, axis=1)
    length[length == 0.0] = 1.0
    inverse = np.linalg.pinv(r / length[:, None, :], rcond=OPEN)
    out[fine] = (inverse @ square[:, :-1, -1:])[:, :, 0] / length
    return out


def _size(scatter: Array) -> Array:
    """The root mean square of each column."""
    return np.asarray(np.sqrt(np.mean(scatter * scatter, axis=0)))
