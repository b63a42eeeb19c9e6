"""Problems whose rows are elsewhere: in files larger than memory, in a database, on a cluster.

A solver needs sums over rows, and their size does not depend on how many there are. Whoever has the rows makes these
sums, one pass for all of them; what solvers ask for is made of them here. Beside them stands a seeded sample of the
rows in memory: what the search, the findings, the pictures and the check's second solver look at.

What is not here: the rows themselves. ``columns``, ``y``, ``weights`` and ``over_rows`` of a problem in memory do not
exist, and whoever asks for them has taken the wrong road.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Literal, NoReturn, Protocol, runtime_checkable

import numpy as np

from katamuki.backends.kernel import Kernel
from katamuki.backends.native import address_of
from katamuki.data.selection import Columns, Missing
from katamuki.formula import Model
from katamuki.problem import DEPENDENT, FINE, ILL, Problem, layout_of, passes
from katamuki.problem.batches import Dealt
from katamuki.records import Array, CellSums, Source

SAMPLE = 100_000  # rows of the sample, at most
WIDER = 1 << 20  # rows in memory for descents alone, at most
ROOM = 16  # times their columns' bytes that these may take of the memory for data
MEMORY = 1 << 30  # bytes of data, where nobody says how many
GONE = 1e-7  # a diagonal of a scaled Cholesky factor this small is the rounding of normal equations in doubles
Road = Literal["stream", "sql", "cluster"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a fit wants of rows that are elsewhere: the model, where its parameters begin, and which rows count.

    ``response`` names the column that is the left side, None where the left side is computed (``model.lhs``). ``used``
    are all columns that are read, those of ``sigma`` and ``weights`` included, which are column names or one number.
    ``values`` are all parameters' starts, ``free`` those to be fitted, ``linear`` whether the model is linear in them
    together. ``sample`` is how many rows a sample may have. ``left`` and ``weigh`` make y and w (None: all 1) of rows,
    columns by name, and refuse what is no response and no weight.
    """

    kernel: Kernel
    model: Model
    response: str | None
    used: tuple[str, ...]
    values: Mapping[str, float]
    free: tuple[str, ...]
    sigma: str | float | None = None
    weights: str | float | None = None
    where: str | None = None
    missing: Missing = "error"
    threads: int | None = None
    seed: int = 0
    linear: bool = False
    sample: int = SAMPLE
    memory: int = MEMORY
    left: Callable[[Mapping[str, Array]], Array]
    weigh: Callable[[Mapping[str, Array], int], Array | None]


@runtime_checkable
class Elsewhere(Protocol):
    """Data whose rows stay where they are: given to ``katamuki.fit`` as any other data.

    ``katamuki.api.elsewhere`` turns one into a problem by its ``road``.
    """

    @property
    def road(self) -> Road:
        """Who makes the sums."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in the order of the source."""

    @property
    def source(self) -> Source:
        """What is read, for reports; ``rows`` is -1 as long as nobody has counted."""


class Distant(Problem):
    """What a solver needs of rows that are elsewhere.

    A subclass calls ``super().__init__(wanted)``, sets ``sample`` and ``drawn``, and by the end of ``begin`` the facts
    ``n``, ``tss``, ``tss_about_zero`` and ``source``; it gives ``sums`` and ``squares``, and where it can ``folded``
    and ``exact_sums``.
    """

    compiled: ClassVar[bool] = False  # no compiled loop may call the kernel on columns
    sample: Problem  # at most ``SAMPLE`` rows in memory, its values the start
    drawn: Columns  # the sample's columns by name, and the numbers of its rows in the source, from 0
    placed: bool = False  # the sample is of some places of the source, and not of all rows alike
    wider: Problem | None = None  # more rows in memory than the sample's, for descents and curvature alone
    source: Source  # what was read: rows fitted, left out and dropped
    drawn_weights: Array | None = None  # w of the sample's rows
    whole: bool = False  # the sample is all rows that count
    asked_by: str = ""  # the query that makes the sums, of rows in a database
    buffer: int = 0  # rows that are shuffled together, where batches are dealt from fewer than all at once
    travelled: bool = True  # the sample is made of rows; else of means of cells of rows, and ``drawn`` of ranges

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.kernel = wanted.kernel
        self.names = wanted.kernel.parameters
        self.layout = layout_of(wanted.kernel, tuple(wanted.free))
        self.free_names = self.layout.names
        self.free = self.layout.free
        self.p = len(self.free)
        self.all_p = len(self.names)
        self.values = np.array([wanted.values[name] for name in self.names], dtype=np.float64)
        self.threads = wanted.threads
        self.evaluations = 0  # passes over all rows
        self.ill = self.rough = False
        self.n = 0
        self.tss = self.tss_about_zero = 0.0
        self._known: tuple[bytes, Array] | None = None

    def batches(self, size: int, seed: int) -> Dealt:
        """Mini-batches, where rows can be read one after the other."""
        del size, seed
        raise NotImplementedError

    @property
    def deals(self) -> bool:
        """Whether it has mini-batches."""
        return type(self).batches is not Distant.batches

    @property
    def widest(self) -> int:
        """How many rows ``wider`` may have; 0 where they would hardly be more than the sample's."""
        wanted = self.wanted
        rows = min(WIDER, wanted.memory // (8 * ROOM * max(len(wanted.used), 1)))
        return 0 if wanted.linear or rows < 2 * wanted.sample else rows

    @property
    def weighted(self) -> bool:
        """Whether rows have weights."""
        return self.wanted.sigma is not None or self.wanted.weights is not None

    @property
    def counted(self) -> int:
        """How many rows are known to count before any pass."""
        return self.sample.n

    def draw(self, count: int) -> tuple[Mapping[str, Array], Array | None]:
        """So many rows, where they may travel: columns by name, and w."""
        raise NotImplementedError

    def cells(self, values: Array) -> CellSums | None:
        """Sums over residuals at all parameters (all_p,) by cells of rows, where no row is here; None: too few."""
        del values
        return None

    def digits(self, values: Array, triangle: Array, rss: float) -> dict[str, float] | None:
        """How many digits of each free parameter rounding leaves at all parameters (all_p,), where only whoever has
        the rows can say; ``triangle`` (p, p) is R of the weighted Jacobian there."""
        del values, triangle, rss
        return None

    # One pass over all rows each ---------------------------------------------------------------------------------

    def begin(self, values: Array) -> None:
        """Count the rows and sum what does not depend on parameters, at the latest when this returns.

        Called once, before any other pass, at parameters (all_p,) that are near the answer: a source that must pass
        over its rows to count them makes the sums at these parameters in the same pass.
        """

    def redraw(self) -> bool:
        """Draw the sample from all rows where it is ``placed``; whether it was."""
        return False

    def squares(self, values: Array) -> float:
        """Σ w r² at all parameters (all_p,); a subclass gives this or ``squares_at``."""
        return float(self.squares_at(values[None])[0])

    def squares_at(self, places: Array) -> Array:
        """Σ w r² at several places (s, all_p): (s,); in one pass where the source can."""
        return np.array([self.squares(one) for one in places])

    def sums(self, values: Array) -> Array:
        """rss, Jᵀr (p,) and the upper triangle of JᵀJ by rows at all parameters (all_p,), weighted."""
        raise NotImplementedError

    def folded(self, values: Array) -> Array | None:
        """rss and the triangle (p+1, p+1) of [J, r] by blocked QR, flat; None where the source cannot."""
        return None

    def exact_sums(self) -> list[Decimal] | None:
        """Of a formula that is linear in its free parameters, all of them 0: ``sums`` with 31 digits; None: cannot."""
        return None

    # Made of them ------------------------------------------------------------------------------------------------

    def rss(self, values: Array) -> float:
        """Σ w r² at all parameters (all_p,)."""
        if self._known is not None and self._known[0] == values.tobytes():
            return float(self._known[1][0])
        return self.squares(values)

    def losses(self, params: Array) -> Array:
        """Σ w r² / n at many places: (s, p) free parameters give (s,)."""
        return np.array([self.loss(one) for one in params])

    def normal(self, values: Array) -> Array:
        """``sums``; those of the place that was asked for last are kept."""
        if self._known is None or self._known[0] != values.tobytes():
            self.remember(values, self.sums(values))
        assert self._known is not None
        return self._known[1].copy()

    def remember(self, values: Array, sums: Array) -> None:
        """Keep the sums at a place (all_p,), so that whoever asks for them next makes no pass."""
        self._known = (values.tobytes(), sums)

    def triangle(self, values: Array, exact: bool = False) -> Array:
        """rss and the triangle (p+1, p+1) of [J, r], flat, at all parameters (all_p,); see ``Problem.triangle``."""
        if not (self.rough if exact else self.ill):
            sums, out = self.normal(values), np.empty(1 + (self.p + 1) ** 2)
            least = FINE if exact else ILL
            if passes.factor(address_of(sums), self.p, least, address_of(out)) != DEPENDENT:
                return out
            self.rough, self.ill = True, self.ill or not exact
        found = self.folded(values)
        return rooted(self.normal(values), self.p) if found is None else found

    def blocks(self) -> Callable[[], Iterator[tuple[Mapping[str, Array], Array | None]]] | None:
        """What gives all rows anew, block by block: used columns by name, and w; None where rows do not travel."""
        return None

    def residuals(self, values: Array) -> NoReturn:
        """There are too many."""
        raise NotImplementedError

    def over_rows(self, function: Any, values: Array, size: int, more: tuple[float, ...]) -> NoReturn:
        """Rows are not here."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of files, threads and connections that were opened here; the sample stays."""
        self.sample.close()
        if self.wider is not None:
            self.wider.close()
            self.wider = None


def rooted(sums: Array, p: int) -> Array:
    """From ``sums`` to rss and triangle, flat, with as many digits as normal equations in doubles have.

    A column that depends on those before it but for rounding gets a row of zeros. Source: Golub & Van Loan 2013,
    algorithm 4.2.1 (Cholesky), columns scaled to length 1.

    Example
    -------
    >>> rooted(np.array([5.0, 2.0, 4.0, 1.0, 2.0, 4.0]), 2)[1:].reshape(3, 3).round(6).tolist()
    [[1.0, 2.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    q, triangle = p + 1, np.zeros((p + 1, p + 1))
    if not np.isfinite(sums).all():
        return np.full(1 + q * q, np.nan)
    matrix = np.zeros((p, p))
    matrix[np.triu_indices(p)] = sums[1 + p :]
    length = np.sqrt(np.diag(matrix))
    unit = np.where(length > 0.0, length, 1.0)
    scaled, right = matrix / np.outer(unit, unit), sums[1 : 1 + p] / unit
    for k in range(p):
        above = triangle[:k]
        pivot = scaled[k, k] - above[:, k] @ above[:, k]
        if pivot <= GONE * GONE:
            continue
        triangle[k, k] = np.sqrt(pivot)
        triangle[k, k + 1 : p] = (scaled[k, k + 1 :] - above[:, k] @ above[:, k + 1 : p]) / triangle[k, k]
        triangle[k, p] = (right[k] - above[:, k] @ above[:, p]) / triangle[k, k]
    rest = sums[0] - triangle[:p, p] @ triangle[:p, p]
    triangle[:p, :p] *= unit
    triangle[p, p] = np.sqrt(max(rest, 0.0))
    return np.concatenate([[sums[0]], triangle.ravel()])
