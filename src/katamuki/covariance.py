"""Error bars from a triangle: rank, covariance, and which parameters the data cannot tell apart.

A solver leaves R with J = QR, J the derivatives by the free parameters. R's columns are scaled to length 1, so that
units do not matter, and one-sided Jacobi rotations give its singular values (Hestenes 1958; Demmel & Veselić 1992:
they keep the digits of small ones). At full rank the covariance comes from R⁻¹ by back substitution, which keeps more
digits than the singular vectors; otherwise from the determined subspace. Known limits: covariances are those of the
model's linearisation at the answer, and nothing here sees the data.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of, at, function, inline
from katamuki.identifiability import combinations
from katamuki.records import Array

__all__ = ["Uncertainty", "combinations", "uncertainty"]

# A singular value this small against the largest is rounding: 450 times epsilon, about what evaluating J and folding
# its rows into R leave of an exact zero. Filip, the worst certified problem, stands at 2e-10.
RANK = 1e-13
# A parameter belongs to the null space if its component there is larger than what rounding mixes in.
COMPONENT = 1e-10
ROUNDING = 2.3e-14  # 100 epsilon; divided by the smallest singular value that counts
SWEEPS = 40  # Jacobi needs 5 to 8
MANY = 64  # parameters beyond which LAPACK's singular values, blocked, are worth their call


class Uncertainty:
    """What R says about the free parameters: views of one buffer, so that what nobody reads costs nothing.

    ``rank`` and ``dof`` are numbers; the arrays are described at each property.
    """

    __slots__ = ("_p", "buffer", "rank")

    def __init__(self, buffer: Array, p: int, rank: int) -> None:
        self.buffer = buffer
        self._p = p
        self.rank = rank

    @property
    def covariance(self) -> Array:
        """(p, p), unit of one parameter times unit of the other; NaN where undetermined, held or without freedom."""
        return self.buffer[: self._p**2].reshape(self._p, self._p)

    @property
    def root(self) -> Array:
        """W (p, p) with WWᵀ = (RᵀR)⁻¹ on the determined subspace; the columns of JW are orthonormal, or zero."""
        return self.buffer[self._p**2 : 2 * self._p**2].reshape(self._p, self._p)

    @property
    def null(self) -> Array:
        """(p − rank, p): directions in the parameters' units along which the prediction does not change.

        Zero for the determined parameters.
        """
        start = 2 * self._p**2
        return self.buffer[start : start + (self._p - self.rank) * self._p].reshape(-1, self._p)

    @property
    def stderr(self) -> Array:
        """(p,) standard errors, the parameters' units; NaN where undetermined, held or without freedom."""
        return self._vector(0)

    @property
    def singular(self) -> Array:
        """(p,) singular values of R with columns of length 1, largest first, no unit; NaN where not counted."""
        return self._vector(1)

    @property
    def inflation(self) -> Array:
        """(p,) variance inflation (RᵀR)ₖₖ(RᵀR)⁻¹ₖₖ, no unit: 1 alone, infinite where undetermined."""
        return self._vector(2)

    @property
    def length(self) -> Array:
        """(p,) lengths of the columns of R, which are those of J; 1 for a column of zeros, NaN where held."""
        return self._vector(3)

    @property
    def condition(self) -> float:
        """Largest over smallest singular value; infinite below full rank."""
        singular = [value for value in self.singular.tolist() if not math.isnan(value)]
        if self.rank < len(singular):
            return math.inf
        return singular[0] / singular[-1] if singular else math.nan

    @property
    def dof(self) -> int:
        """The degrees of freedom that s² was computed with."""
        return int(self.buffer[3 * self._p**2 + 4 * self._p])

    def _vector(self, k: int) -> Array:
        start = 3 * self._p**2 + k * self._p
        return self.buffer[start : start + self._p]


@inline
def scale_columns(r, p, matrix, norm):  # type: ignore[no-untyped-def]
    """``matrix[k*p + i]`` = R[i, k] / ``norm[k]``, each column of length 1 (or 0); False if R is not finite."""
    for k in range(p):
        largest = 0.0
        bad = 0.0
        for i in range(k + 1):
            largest = max(largest, math.fabs(r[i * p + k]))
            bad += r[i * p + k] * 0.0
        if bad != 0.0:
            return False
        total = 0.0
        for i in range(p):
            matrix[k * p + i] = 0.0
        if largest > 0.0:
            for i in range(k + 1):
                matrix[k * p + i] = r[i * p + k] / largest
                total += matrix[k * p + i] * matrix[k * p + i]
            total = math.sqrt(total)
            for i in range(k + 1):
                matrix[k * p + i] /= total
        norm[k] = largest * total if largest > 0.0 else 1.0
    return True


@inline
def rotate(matrix, vectors, p):  # type: ignore[no-untyped-def]
    """Make the columns of ``matrix`` orthogonal by rotations from the right, gathered in ``vectors``."""
    for k in range(p * p):
        vectors[k] = 0.0
    for k in range(p):
        vectors[k * p + k] = 1.0
    for _ in range(SWEEPS):
        turned = False
        for j in range(p - 1):
            a = at(matrix, j * p)
            for k in range(j + 1, p):
                b = at(matrix, k * p)
                aa = 0.0
                bb = 0.0
                ab = 0.0
                for i in range(p):
                    aa += a[i] * a[i]
                    bb += b[i] * b[i]
                    ab += a[i] * b[i]
                if ab * ab <= 1e-31 * (aa * bb):
                    continue
                turned = True
                zeta = (bb - aa) / (2.0 * ab)
                tangent = 1.0 / (math.fabs(zeta) + math.sqrt(1.0 + zeta * zeta))
                if zeta < 0.0:
                    tangent = -tangent
                cosine = 1.0 / math.sqrt(1.0 + tangent * tangent)
                sine = cosine * tangent
                for i in range(p):
                    first, second = a[i], b[i]
                    a[i] = cosine * first - sine * second
                    b[i] = sine * first + cosine * second
                    first, second = vectors[j * p + i], vectors[k * p + i]
                    vectors[j * p + i] = cosine * first - sine * second
                    vectors[k * p + i] = sine * first + cosine * second
        if not turned:
            return


@inline
def order_columns(matrix, vectors, p, singular):  # type: ignore[no-untyped-def]
    """Singular values, largest first, and the vectors in the same order."""
    for k in range(p):
        total = 0.0
        for i in range(p):
            total += matrix[k * p + i] * matrix[k * p + i]
        singular[k] = math.sqrt(total)
    for k in range(p):
        best = k
        for j in range(k + 1, p):
            if singular[j] > singular[best]:
                best = j
        if best != k:
            singular[k], singular[best] = singular[best], singular[k]
            for i in range(p):
                vectors[k * p + i], vectors[best * p + i] = vectors[best * p + i], vectors[k * p + i]


@inline
def invert_triangle(r, norm, p, root):  # type: ignore[no-untyped-def]
    """``root`` = D R⁻¹ by back substitution: the inverse of R with columns of length 1."""
    for k in range(p):
        for i in range(p):
            root[i * p + k] = 0.0
        root[k * p + k] = norm[k] / r[k * p + k]
        for i in range(k - 1, -1, -1):
            total = 0.0
            for j in range(i + 1, k + 1):
                total += r[i * p + j] / norm[j] * root[j * p + k]
            root[i * p + k] = -total * norm[i] / r[i * p + i]


@inline
def invert_determined(vectors, singular, p, rank, root):  # type: ignore[no-untyped-def]
    """``root`` = V S⁻¹ over the determined subspace, 0 elsewhere."""
    for i in range(p):
        for k in range(p):
            root[i * p + k] = vectors[k * p + i] / singular[k] if k < rank else 0.0


@function("int64(double*, int64, double, double, double, int64, double*)")
def spread_of(r, p, rss, n, dof, known, out):  # type: ignore[no-untyped-def]
    """Everything of :class:`Uncertainty`; the rank, or −1 if R is not finite.

    ``dof`` < 0 stands for n − rank. ``out``: covariance, root, null (p² each), stderr, singular, inflation, norm (p
    each), degrees of freedom, then room for two p² matrices.
    """
    covariance, root, stderr = out, at(out, p * p), at(out, 3 * p * p)
    singular, inflation, norm = at(stderr, p), at(stderr, 2 * p), at(stderr, 3 * p)
    matrix, vectors = at(stderr, 4 * p + 1), at(stderr, 4 * p + 1 + p * p)
    if not scale_columns(r, p, matrix, norm):
        return -1
    rotate(matrix, vectors, p)
    order_columns(matrix, vectors, p, singular)
    rank = 0
    while rank < p and singular[rank] > RANK * singular[0]:
        rank += 1
    if rank == p:
        invert_triangle(r, norm, p, root)
    else:
        invert_determined(vectors, singular, p, rank, root)
    freedom = dof if dof >= 0.0 else n - rank
    stderr[4 * p] = freedom
    variance = math.nan
    if known == 1:
        variance = 1.0
    elif freedom > 0.0:
        variance = rss / freedom
    for i in range(p):
        for k in range(i + 1):
            total = 0.0
            for j in range(p):
                total += root[i * p + j] * root[k * p + j]
            covariance[i * p + k] = variance * total / norm[i] / norm[k]
            covariance[k * p + i] = covariance[i * p + k]
            inflation[i] = total
        stderr[i] = math.sqrt(variance * inflation[i]) / norm[i]
    limit = max(COMPONENT, ROUNDING / singular[rank - 1] * singular[0] if 0 < rank < p else 0.0)
    for i in range(p):
        if rank < p:
            blank_undetermined(out, i, p, rank, limit)
        for k in range(p):
            root[i * p + k] /= norm[i]
    return rank


@inline
def blank_undetermined(out, i, p, rank, limit):  # type: ignore[no-untyped-def]
    """Write parameter i's part of the null directions, and NaN for its error bar if it has a part."""
    null, stderr = at(out, 2 * p * p), at(out, 3 * p * p)
    inflation, norm = at(stderr, 2 * p), at(stderr, 3 * p)
    vectors = at(stderr, 4 * p + 1 + p * p)
    total = 0.0
    for k in range(rank, p):
        total += vectors[k * p + i] * vectors[k * p + i]
    undetermined = math.sqrt(total) > limit
    for k in range(rank, p):
        null[(k - rank) * p + i] = vectors[k * p + i] / norm[i] if undetermined else 0.0
    if undetermined:
        stderr[i] = math.nan
        inflation[i] = math.inf
        for k in range(p):
            out[i * p + k] = math.nan
            out[k * p + i] = math.nan


def uncertainty(
    r: Array,
    rss: float,
    n: int,
    sigma_known: bool,
    dof: int | None = None,
    held: NDArray[np.bool_] | None = None,
) -> Uncertainty:
    """Covariance, standard errors and rank of a fit from its triangle.

    ``covariance = s² (RᵀR)⁻¹``, with s² = 1 where sigma is known and rss / dof elsewhere.

    Parameters
    ----------
    r : (p, p) float64
        Upper triangle of J = QR over the free parameters, rows of J multiplied by √w.
    rss : float
        Σ w r², unit of y squared (no unit where sigma is known).
    n : int
        How many rows.
    sigma_known : bool
        Whether the weights are 1/sigma² with sigma known.
    dof : int, optional
        Degrees of freedom; by default n less the rank.
    held : (p,) bool, optional
        Parameters that stand at a bound: they get no error bar, and those of the others hold for them standing there.

    Returns
    -------
    Uncertainty
        Arrays over the free parameters.

    Raises
    ------
    ValueError
        If ``r`` is not square.

    Source
    ------
    Golub & Van Loan 2013, sections 5.5 and 8.6.

    Example
    -------
    >>> import numpy as np
    >>> found = uncertainty(np.array([[2.0, 0.0], [0.0, 4.0]]), rss=8.0, n=4, sigma_known=False)
    >>> found.rank, found.stderr.tolist()
    (2, [1.0, 0.5])
    """
    p = len(r)
    if r.shape != (p, p):
        raise ValueError(f"R must be square, not {r.shape}")
    if held is not None and held.any():
        return _conditional(r, rss, n, sigma_known, dof, held)
    r = np.require(r, np.float64, ("C", "W")) if r.dtype != np.float64 or not r.flags.carray else r
    if p > MANY and np.isfinite(r).all():
        return _by_lapack(r, rss, n, sigma_known, dof)
    buffer = np.empty(5 * p * p + 4 * p + 1)
    rank = spread_of(address_of(r), p, rss, n, -1.0 if dof is None else dof, sigma_known, address_of(buffer))
    if rank < 0:
        buffer.fill(math.nan)
        buffer[3 * p * p + 4 * p] = max(0, n - p)
    return Uncertainty(buffer, p, max(rank, 0))


def _by_lapack(r: Array, rss: float, n: int, sigma_known: bool, dof: int | None) -> Uncertainty:
    """:func:`spread_of` for many parameters; small singular values have fewer digits than Jacobi gives them."""
    p = len(r)
    largest = np.abs(r).max(axis=0)
    largest[largest == 0.0] = 1.0
    length = largest * np.linalg.norm(r / largest, axis=0)
    length[length == 0.0] = 1.0
    _, singular, vectors = np.linalg.svd(r / length)
    rank = int((singular > RANK * singular[0]).sum())
    found = Uncertainty(np.zeros(5 * p * p + 4 * p + 1), p, rank)
    freedom = n - rank if dof is None else dof
    found.buffer[3 * p * p + 4 * p] = freedom
    variance = 1.0 if sigma_known else rss / freedom if freedom > 0 else math.nan
    root = vectors[:rank].T / singular[:rank]
    found.root[:, :rank] = root / length[:, None]
    found.inflation[:] = (root * root).sum(axis=1)
    found.covariance[:] = variance * (found.root @ found.root.T)
    found.stderr[:] = np.sqrt(variance * found.inflation) / length
    found.singular[:], found.length[:] = singular, length
    if rank < p:
        limit = max(COMPONENT, ROUNDING / singular[rank - 1] * singular[0] if rank else 0.0)
        loose = np.linalg.norm(vectors[rank:], axis=0) > limit
        found.null[:] = np.where(loose, vectors[rank:] / length, 0.0)
        found.stderr[loose], found.inflation[loose] = math.nan, math.inf
        found.covariance[loose], found.covariance[:, loose] = math.nan, math.nan
    return found


def _conditional(
    r: Array, rss: float, n: int, sigma_known: bool, dof: int | None, held: NDArray[np.bool_]
) -> Uncertainty:
    """The same with some parameters held where they are: their columns leave R."""
    p, loose = len(r), np.flatnonzero(~held)
    few = len(loose)
    if not few:
        nothing = Uncertainty(np.full(5 * p * p + 4 * p + 1, math.nan), p, 0)
        nothing.root[:] = nothing.null[:] = 0.0
        nothing.buffer[3 * p * p + 4 * p] = n if dof is None else dof
        return nothing
    reduced: Array = np.asarray(np.linalg.qr(r[:, loose], mode="r"))[:few]
    inner = uncertainty(reduced, rss, n, sigma_known, dof)
    found = Uncertainty(np.full(5 * p * p + 4 * p + 1, math.nan), p, inner.rank)
    found.buffer[3 * p * p + 4 * p] = inner.dof
    found.covariance[np.ix_(loose, loose)] = inner.covariance
    found.root[:] = 0.0
    found.root[np.ix_(loose, np.arange(few))] = inner.root
    found.null[:] = 0.0
    found.null[: few - inner.rank, loose] = inner.null
    found.stderr[loose], found.inflation[loose] = inner.stderr, inner.inflation
    found.length[loose] = inner.length
    found.singular[:few] = inner.singular
    return found
