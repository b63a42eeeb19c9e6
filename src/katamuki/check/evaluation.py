"""A claimed fit as the checker computes it: residuals, slopes and curvature from the formula's text and the columns.

Slopes come from a step into the imaginary direction (:mod:`katamuki.check.arithmetic`), curvatures from differences of
gradients, least-squares steps from a QR decomposition in blocks of rows (Golub & Van Loan 2013, sections 5.2 and
5.3; Chan, Golub & LeVeque's update by stacking triangles). ``precise=True`` does all of it in long doubles, 64 bits of
mantissa on x86-64, so that ill-conditioned problems can be judged. Nothing here decides anything.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from katamuki.check.reading import Expression, UnreadableError, read
from katamuki.records import Array, Solution

BLOCK = 1 << 16  # rows
SAMPLE = 100_000  # rows that SciPy sees
SEED = 20_240_229  # of the sample and of the perturbation
STEP = 2.0**-200  # into the imaginary direction: its square vanishes beside every number of interest
REAL_STEP = 1e-3  # relative, where the imaginary step fails; its fourth power is the error
BEND = 1e-4  # of the prediction's size: how far a parameter moves to measure curvature
EPS = float(np.finfo(np.float64).eps)
TOGETHER = 1 << 14  # slopes that one evaluation of the formula gives; of more rows, one evaluation for each parameter
OPERATIONS = 8.0  # roundings of a prediction, each of them eps of its parts


@dataclass(frozen=True, slots=True)
class Case:
    """What a solution claims to have fitted: the formula read anew, and the data.

    ``free`` are the parameters that move, ``held`` the values of the others; ``columns`` (n,) each; ``y`` (n,) the left
    side; ``root`` (n,) is √w, or None.
    """

    right: Expression
    free: tuple[str, ...]
    held: Mapping[str, float]
    columns: Mapping[str, Any]
    y: Any
    root: Any

    resolution: ClassVar[float] = 0.0  # what the slopes' own error adds to a small singular value

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.y)

    @property
    def blocks(self) -> Iterator[slice]:
        """All rows, in pieces of at most ``BLOCK``."""
        return (slice(start, start + BLOCK) for start in range(0, self.n, BLOCK))

    @property
    def parts(self) -> Iterator[tuple[Case, slice]]:
        """All rows, in pieces: a case that has them, and which of its rows they are."""
        return ((self, rows) for rows in self.blocks)

    @property
    def many(self) -> bool:
        """Whether a solver sees a sample only."""
        return self.n > SAMPLE

    def sample(self) -> Case:
        """The claim on ``SAMPLE`` rows, the same ones each time."""
        return self.only(np.sort(np.random.default_rng(SEED).choice(self.n, SAMPLE, replace=False)))

    def squares(self) -> tuple[float, float]:
        """Σ w (y − ȳ_w)², and how much of it rounding leaves open."""
        if self.root is None:
            away = self.y - self.y.mean()
            return float(away @ away), 4.0 * EPS * float(np.linalg.norm(self.y) * np.linalg.norm(away))
        weights = self.root**2
        away = self.root * (self.y - (weights @ self.y) / weights.sum())
        return float(away @ away), 4.0 * EPS * float(np.linalg.norm(self.root * self.y) * np.linalg.norm(away))

    def only(self, rows: Any) -> Case:
        """The same claim on some of the rows."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        root = None if self.root is None else self.root[rows]
        return Case(self.right, self.free, self.held, columns, self.y[rows], root)

    def holding(self, values: Mapping[str, float]) -> Case:
        """The same claim with some free parameters held."""
        free = tuple(name for name in self.free if name not in values)
        return Case(self.right, free, {**self.held, **values}, self.columns, self.y, self.root)

    def predict(self, values: Any, rows: slice, moved: int = -1, by: Any = 0.0) -> Any:
        """ŷ (m,) at free values (p,), one of which may be moved by ``by``."""
        named: dict[str, Any] = dict(self.held)
        wide = values.dtype == np.longdouble
        for name, column in self.columns.items():
            named[name] = column[rows].astype(np.longdouble) if wide else column[rows]
        named.update(zip(self.free, values, strict=True))
        if moved >= 0:
            named[self.free[moved]] = values[moved] + by
        return np.broadcast_to(self.right(named), self.y[rows].shape)

    def residuals(self, values: Any, rows: slice = slice(None)) -> Any:
        """√w(y − ŷ), (m,)."""
        found = self.y[rows] - self.predict(values, rows)
        return found if self.root is None else self.root[rows] * found

    def several(self, points: Any, rows: slice = slice(None)) -> tuple[Any, Any]:
        """√w(y − ŷ) (s, m) and √w ∂ŷ/∂parameters (s, m, p) at free values (s, p): of few rows in one evaluation."""
        found = self._together(points, rows) if self.together(len(points)) else None
        if found is None:
            one_by_one = [(self.residuals(one, rows), self._slopes(one, rows)) for one in points]
            return np.stack([one for one, _ in one_by_one]), np.stack([one for _, one in one_by_one])
        predicted, slopes = found
        residuals = self.y[rows] - predicted
        if self.root is None:
            return residuals, slopes
        return self.root[rows] * residuals, self.root[rows][:, None] * slopes

    def both(self, values: Any, rows: slice = slice(None)) -> tuple[Any, Any]:
        """√w(y − ŷ) (m,) and √w ∂ŷ/∂parameters (m, p) at free values (p,)."""
        residuals, slopes = self.several(values[None, :], rows)
        return residuals[0], slopes[0]

    def jacobian(self, values: Any, rows: slice = slice(None)) -> Any:
        """√w ∂ŷ/∂parameters, (m, p)."""
        return self.both(values, rows)[1]

    def together(self, points: int) -> bool:
        """Whether all rows are so few that residuals and slopes at some points come from one evaluation."""
        p = len(self.free)
        return 0 < points * p * p * len(self.y) <= TOGETHER

    def _together(self, points: Any, rows: slice) -> tuple[Any, Any] | None:
        """ŷ (s, m) and its slopes (s, m, p), all steps into the imaginary direction side by side.

        Every number is what one evaluation for each parameter gives; None where that would have to help itself
        otherwise, because some number is none.
        """
        s, p = points.shape
        wide = points.dtype == np.longdouble
        moved = np.zeros((p, s, p, 1), np.clongdouble if wide else np.complex128)  # parameter, point, who moves
        moved.real = points.T[:, :, None, None]
        steps = np.abs(points) * STEP
        steps[points == 0.0] = STEP
        for k in range(p):
            moved.imag[k, :, k, 0] = steps[:, k]
        named: dict[str, Any] = {**self.held, **dict(zip(self.free, moved, strict=True))}
        for name, column in self.columns.items():
            named[name] = column[rows].astype(np.longdouble) if wide else column[rows]
        found, shape = self.right(named), (s, p, len(self.y[rows]))
        if found.shape != shape:
            found = np.broadcast_to(found, shape)
        predicted, slopes = found[:, 0].real, found.imag / steps[:, :, None]
        if not np.isfinite(slopes.sum() + predicted.sum()):
            return None
        return predicted, slopes.swapaxes(1, 2)

    def _slopes(self, values: Any, rows: slice) -> Any:
        """√w ∂ŷ/∂parameters, (m, p), one parameter after the other."""
        found = np.empty((len(self.y[rows]), len(values)), values.dtype)
        unit = np.clongdouble(1j) if values.dtype == np.longdouble else np.complex128(1j)
        for k, value in enumerate(values):
            step = STEP * abs(value) if value != 0.0 else values.dtype.type(STEP)
            found[:, k] = np.imag(self.predict(values, rows, k, unit * step)) / step
            if not np.isfinite(found[:, k]).all():
                self._by_differences(found[:, k], values, rows, k)
        return found if self.root is None else self.root[rows][:, None] * found

    def _by_differences(self, column: Any, values: Any, rows: slice, k: int) -> None:
        """Put Richardson's central differences where the imaginary step gave no number (infinity beside 0)."""
        step = REAL_STEP * (abs(values[k]) or 1.0)
        one, two = (
            (self.predict(values, rows, k, by) - self.predict(values, rows, k, -by)) / (2.0 * by)
            for by in (step / 2, step)
        )
        bad = ~np.isfinite(column)
        column[bad] = ((4.0 * one - two) / 3.0)[bad]


@dataclass(frozen=True, slots=True)
class Local:
    """A claim near one point, over the free parameters; √w is in everything.

    ``slope`` (p,) is Jᵀr, ``lengths`` (p,) the columns' |J|, ``inverse`` (p, p) is (JᵀJ)⁻¹ (None where J has not full
    rank), ``singular`` (p,) the singular values of J with columns of length 1, ``directions`` (p, p) their right
    vectors as rows, in units of one over ``lengths``, ``step`` (p,) the Gauss–Newton step, ``size`` the norm of
    |y| + |ŷ|, ``bulk`` the same with every |J·parameter| added: what rounding acts on.
    """

    values: Any
    rss: float
    slope: Array
    lengths: Array
    singular: Array
    directions: Array
    inverse: Array | None
    step: Any
    size: float
    bulk: float

    @property
    def finite(self) -> bool:
        """Whether values and slopes are numbers on every row."""
        return bool(np.isfinite(self.rss) and np.isfinite(self.lengths).all())

    @property
    def condition(self) -> float:
        """Largest over smallest singular value of the scaled J."""
        least = self.singular.min(initial=np.inf)
        return float(self.singular.max(initial=0.0) / least) if least > 0.0 else np.inf

    @property
    def rounding(self) -> float:
        """How much of rss double precision leaves open, unit of rss."""
        error = OPERATIONS * EPS * self.bulk
        return float(2.0 * self.rss**0.5 * error + error**2)


def read_case(solution: Solution, columns: Mapping[str, Array], weights: Array | None) -> Case:
    """The claim as a case.

    Raises
    ------
    UnreadableError
        If the formula cannot be read, or names what is neither a parameter nor a column.
    """
    left, right = read(solution.formula)
    known = {unicodedata.normalize("NFKC", name): array for name, array in columns.items()}
    params = {unicodedata.normalize("NFKC", name): name for name in solution.params}
    used = {}
    for name in (*left.names, *right.names):
        if name in params:
            continue
        if name not in known:
            raise UnreadableError(name)
        used[name] = np.asarray(known[name], dtype=np.float64)
    if any(name in params for name in left.names):
        raise UnreadableError(solution.response)
    n = len(next(iter(used.values()), ()))
    y = np.broadcast_to(left(used), (n,)).astype(np.float64)
    root = None if weights is None else np.sqrt(np.asarray(weights, dtype=np.float64))
    free = tuple(unicodedata.normalize("NFKC", name) for name in solution.free)
    held = {plain: np.float64(solution.params[name]) for plain, name in params.items() if name not in solution.free}
    return Case(right, free, held, {name: used[name] for name in right.names if name in used}, y, root)


def look(case: Case, values: Any, precise: bool = False, idle: NDArray[np.bool_] | None = None) -> Local:
    """Everything about a claim near free values (p,), from one pass over the rows; ``idle`` (p,) have no effect."""
    p = len(case.free)
    values = np.asarray(values, np.longdouble if precise and not case.resolution else np.float64)
    triangle = np.zeros((0, p + 1), values.dtype)
    rss, slope, squares, size, bulk = values.dtype.type(0.0), np.zeros(p), np.zeros(p), 0.0, 0.0
    for part, rows in case.parts:
        residuals, jacobian = part.both(values, rows)
        finite = np.isfinite(residuals.sum() + jacobian.sum())  # else it may be the sum alone that is not
        if not (finite or (np.isfinite(residuals).all() and np.isfinite(jacobian).all())):
            nothing = np.full(p, np.nan)
            return Local(values, np.nan, nothing, nothing, nothing, np.full((p, p), np.nan), None, nothing, np.nan, 0.0)
        rss += residuals @ residuals
        slope += (residuals @ jacobian).astype(np.float64)
        squares += (jacobian * jacobian).sum(axis=0).astype(np.float64)
        y = part.y[rows] if part.root is None else part.root[rows] * part.y[rows]
        magnitude = np.abs(y) + np.abs(y - residuals)
        size += float(magnitude @ magnitude)
        magnitude = magnitude + np.abs(jacobian) @ np.abs(values)
        bulk += float(magnitude @ magnitude)
        rows_of = np.concatenate((jacobian, residuals[:, None]), axis=1)
        triangle = triangle_of(np.concatenate((triangle, rows_of)) if len(triangle) else rows_of)
    if len(triangle) < p:
        triangle = np.concatenate((triangle, np.zeros((p, p + 1), values.dtype)))
    triangle = triangle[:p]
    lengths = np.sqrt(squares)
    if idle is not None:
        lengths[idle], slope[idle], triangle[:, :p][:, idle] = 0.0, 0.0, 0.0
    unit = np.where(lengths > 0.0, lengths, 1.0)
    scaled = triangle[:, :p] / unit
    _, singular, directions = np.linalg.svd(scaled.astype(np.float64))
    inverse, step = None, np.zeros_like(values)
    if (np.diag(scaled) != 0.0).all():
        root = inverse_of(scaled) / unit[:, None]
        step = root @ triangle[:, p]
        inverse = (root @ root.T).astype(np.float64)
    return Local(
        values, float(rss), slope, lengths, singular, directions, inverse, step, float(size**0.5), float(bulk**0.5)
    )


def triangle_of(matrix: Any) -> Any:
    """R of a QR decomposition, (min(m, q), q); by Householder reflections where LAPACK has no such precision."""
    if matrix.dtype == np.float64:
        return np.linalg.qr(matrix, mode="r")
    left = matrix.copy()
    rows, columns = left.shape
    for k in range(min(rows - 1, columns)):
        mirror = left[k:, k].copy()
        largest = np.abs(mirror).max()
        if largest == 0.0:
            continue
        mirror /= largest
        mirror[0] += np.copysign(np.sqrt(mirror @ mirror), mirror[0])
        left[k:, k:] -= np.outer(mirror, (2.0 / (mirror @ mirror)) * (mirror @ left[k:, k:]))
    return np.triu(left[: min(rows, columns)])


def inverse_of(triangle: Any) -> Any:
    """R⁻¹ by back substitution, in R's own precision."""
    p = len(triangle)
    found = np.eye(p, dtype=triangle.dtype)
    for k in range(p - 1, -1, -1):
        found[k] = (found[k] - triangle[k, k + 1 :] @ found[k + 1 :]) / triangle[k, k]
    return found


def curvature(case: Case, here: Local) -> tuple[Array, float]:
    """Second derivatives of rss/2, scaled by the columns' lengths, and the noise in them.

    Parameters
    ----------
    case : Case
        The claim.
    here : Local
        Where.

    Returns
    -------
    ((p, p) float64, float)
        H with H[j, k]·|J_j|·|J_k| = ½ ∂²rss/∂j∂k, from central differences of the gradient, and its rounding noise.
    """
    p = len(case.free)
    values = np.asarray(here.values, np.float64)
    unit = np.where(here.lengths > 0.0, here.lengths, 1.0)
    reach = BEND * here.size / unit
    by = np.where(values != 0.0, np.minimum(reach, REAL_STEP * np.abs(values)), reach)
    by = np.where(by == 0.0, BEND, by)
    moved = np.concatenate([values + np.diag(by), values - np.diag(by)])
    slopes = np.zeros((2 * p, p))
    each = 2 * p if case.together(2 * p) else 2  # points at a time: slopes of many rows take room
    for start in range(0, 2 * p, each):
        some = slice(start, start + each)
        for part, rows in case.parts:
            residuals, jacobian = part.several(moved[some], rows)
            slopes[some] += (residuals[:, None, :] @ jacobian)[:, 0]
    found = ((slopes[p:] - slopes[:p]) / (2.0 * by * unit)[:, None]).T / unit[:, None]
    return (found + found.T) / 2.0, float((16.0 * EPS * here.bulk / (by * unit)).max(initial=0.0))
